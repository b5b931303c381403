"""Tests the files of predictions: exact enough, small, and hostile ones are refused."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from lambdapress.sweeps.results.records import RECORDS, read_records, write_records
from lambdapress.sweeps.results.schema import ResultError

RNG = np.random.default_rng(0)
SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }"


@pytest.fixture
def path(tmp_path):
    return tmp_path / RECORDS


def written_and_read(path, **records):
    write_records(path, records)
    return read_records(path)


def classifier(count):
    """Makes records in the shape that a classifier's are."""
    labels = RNG.integers(0, 10, count)
    predicted = np.where(RNG.random(count) < 0.9, labels, RNG.integers(0, 10, count))
    return {"label": labels, "predicted": predicted, "probability": RNG.random(count)}


def npy(header, content=b""):
    """Makes a member of a file of arrays, whatever its header says."""
    line = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + content


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refuses(path):
    """Tells that a file is refused by its name."""
    with pytest.raises(ResultError, match=RECORDS):
        read_records(path)
    return True


def test_integers_of_any_range_come_back_exactly(path):
    above = {f"n{bits}": RNG.integers(0, 2**bits, 20, endpoint=bits < 63) for bits in range(1, 64)}
    below = {f"m{bits}": -1 - RNG.integers(0, 2**bits, 20) for bits in range(1, 32)}
    found = written_and_read(path, **above, **below)
    for name, values in {**above, **below}.items():
        assert found[name].dtype == np.int64
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    "values",
    [
        [-1, 2**31],
        [-1, 2**33],
        [-129, 200],
        [-(2**31) - 1, 2**31 + 1],
        [-1, 2**62 + 1],
        [-(2**63), 2**63 - 1],
        [2**63 - 1, 2**63 - 2],
    ],
)
def test_integers_on_both_sides_of_zero_come_back_exactly(path, values):
    found = written_and_read(path, x=np.array(values, np.int64))["x"]
    assert found.dtype == np.int64 and found.tolist() == values


def test_probabilities_come_back_to_a_thousandth(path):
    values = np.concatenate([RNG.random(5000), [0.0, 1.0, 1e-9, 1 - 1e-9, 0.5]])
    found = written_and_read(path, probability=values)["probability"]
    assert found.dtype == np.float64 and np.abs(found - values).max() <= 1e-3
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_large_floats_come_back_in_single_precision(path):
    values = RNG.choice([-1, 1], 1000) * 10.0 ** RNG.uniform(-3, 37, 1000)
    np.testing.assert_allclose(written_and_read(path, x=values)["x"], values, rtol=2.0**-24)


def test_moderate_floats_come_back_to_a_thousandth_of_their_value(path):
    values = RNG.choice([-1, 1], 1000) * 10.0 ** RNG.uniform(-2, 4, 1000)
    np.testing.assert_allclose(written_and_read(path, nll=values)["nll"], values, rtol=1e-3)


def test_numbers_that_are_none_stay_so(path):
    values = np.array([np.nan, np.inf, -np.inf, 0.5])
    np.testing.assert_array_equal(written_and_read(path, nll=values)["nll"], values)


def test_empty_arrays_and_arrays_of_several_axes_keep_their_shape(path):
    empty = written_and_read(path, label=np.zeros(0, np.int64), nll=np.zeros(0), logits=np.zeros((0, 3)))
    assert {name: array.shape for name, array in empty.items()} == {
        "label": (0,),
        "nll": (0,),
        "logits": (0, 3),
    }
    assert empty["label"].dtype == np.int64 and empty["nll"].dtype == np.float64
    boxes = RNG.integers(-5, 500, (7, 3, 4))
    found = written_and_read(path, boxes=boxes, hit=boxes[:, 0, 0] > 9)
    np.testing.assert_array_equal(found["boxes"], boxes)
    np.testing.assert_array_equal(found["hit"], boxes[:, 0, 0] > 9)


def test_ten_thousand_examples_of_a_classifier_take_few_bytes(path):
    records = classifier(10_000)
    found = written_and_read(path, **records)
    assert path.stat().st_size < 40_000
    np.testing.assert_array_equal(found["label"], records["label"])


def test_what_cannot_be_written_leaves_the_old_file(path):
    write_records(path, {"label": np.arange(3)})
    before = path.read_bytes()
    with pytest.raises((TypeError, ValueError)):
        write_records(path, {"label": np.arange(3), "name": np.array(["a", "b", "c"])})
    assert path.read_bytes() == before and os.listdir(path.parent) == [RECORDS]


def test_no_file_is_the_callers_to_handle(path):
    with pytest.raises(FileNotFoundError):
        read_records(path)


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_pickled_objects_are_refused_and_not_executed(path, tmp_path):
    np.savez(path, label=np.arange(1), predicted=np.array([Attack(tmp_path / "made")], dtype=object))
    assert refuses(path) and not (tmp_path / "made").exists()
    np.load(path, allow_pickle=True)["predicted"]
    assert (tmp_path / "made").exists()  # so it was an attack


def test_a_bare_pickle_is_refused_and_not_executed(path, tmp_path):
    with path.open("wb") as file:
        np.save(file, np.array([Attack(tmp_path / "made")], dtype=object))
    assert refuses(path) and not (tmp_path / "made").exists()


def test_every_truncation_is_refused(path):
    write_records(path, classifier(1000))
    whole = path.read_bytes()
    for length in [*range(0, len(whole), len(whole) // 20), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert refuses(path)


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"PK\x05\x06" + bytes(18)])
@pytest.mark.parametrize("length", [0, 1, 30, 1000, 100_000])
def test_random_bytes_are_refused(path, start, length):
    path.write_bytes(start + RNG.bytes(length))
    assert refuses(path)


def test_a_changed_byte_is_refused_or_changes_no_number(path):
    records = classifier(150)
    write_records(path, records)
    whole, expected = path.read_bytes(), read_records(path)
    refused = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            found = read_records(path)
        except ResultError as error:
            assert RECORDS in str(error)
            refused += 1
        else:
            assert all(np.array_equal(found[name], expected[name]) for name in found)
    assert refused > len(whole) / 2


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED])
def test_damage_is_refused_however_the_file_is_compressed(path, compression):
    with io.BytesIO() as file:
        np.save(file, RNG.random(100))
        zipped(path, {"nll.npy": file.getvalue()}, compression)
    assert read_records(path)["nll"].shape == (100,)
    damaged = bytearray(path.read_bytes())
    middle = slice(len(damaged) // 4, len(damaged) // 2)
    damaged[middle] = bytes(byte ^ 0xFF for byte in damaged[middle])
    path.write_bytes(damaged)
    assert refuses(path)


def peak_of_refusal(path):
    """Returns the most bytes that are allocated while a file is refused."""
    tracemalloc.start()
    try:
        assert refuses(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_it_is_inflated(path):
    size, block = 1_100_000_000, bytes(10_000_000)
    header = npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("label.npy", "w") as member:
            member.write(header)
            for _ in range(size // len(block)):
                member.write(block)
    assert path.stat().st_size < 10_000_000
    assert peak_of_refusal(path) < 10_000_000


def test_a_size_that_is_smaller_than_what_follows_is_refused(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("label.npy", npy(SHAPE % 5_000_000, bytes(40_000_000)))
        archive.infolist()[0].file_size = 1000
    assert peak_of_refusal(path) < 100_000_000


def test_an_array_that_promises_more_than_the_file_has_is_not_allocated(path):
    zipped(path, {"label.npy": npy(SHAPE % 1_000_000_000, bytes(80))})
    assert peak_of_refusal(path) < 1_000_000_000


@pytest.mark.parametrize(
    "header",
    [
        SHAPE % 2**50,
        SHAPE % 10**30,
        SHAPE % -5,
        (SHAPE % 2).replace("<f8", "|O"),
        (SHAPE % 2).replace("<f8", "<x9"),
        (SHAPE % 2).replace("(2,)", "(2.0,)"),
        "",
        "[]",
        "(",
        "(" * 5000,
        "-" * 5000 + "1",
        "{[]: 1}",
        "   x\n y",
        "\x00",
        "__import__('os').getcwd()",
    ],
    ids=lambda header: ascii(header)[-24:],
)
def test_a_broken_header_is_refused(path, header):
    assert refuses(zipped(path, {"label.npy": npy(header, bytes(16))}))


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"label": np.arange(3), "predicted": np.arange(4)},
        {"label": np.arange(3), "logits": np.zeros((2, 3))},
        {"label": np.array(3)},
        {"label": np.arange(3), "loss": np.array(0.5)},
        {"label": np.array(["a", "b"])},
        {"label": np.array([b"a", b"b"])},
        {"x": np.zeros(2, np.complex64)},
        {"x": np.zeros(2, "datetime64[s]")},
        {"x": np.zeros(2, [("a", "f4"), ("b", "i4")])},
        {f"n{i}": np.arange(2) for i in range(1000)},
    ],
    ids=["none", "lengths", "axes", "scalar", "a scalar", "str", "bytes", "complex", "time", "rows", "many"],
)
def test_arrays_that_are_no_predictions_are_refused(path, arrays):
    np.savez(path, **arrays)
    assert refuses(path)


@pytest.mark.parametrize("name", ["label.npy", "note.txt", "label"])
def test_a_member_that_is_no_array_is_refused(path, name):
    assert refuses(zipped(path, {"predicted.npy": npy(SHAPE % 1, bytes(8)), name: b"some text"}))


def test_what_is_no_file_is_refused(path):
    path.mkdir()
    assert refuses(path)
