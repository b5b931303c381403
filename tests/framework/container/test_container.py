"""Tests the `.lpz` container: all that is packed comes out again, and bad files are refused."""

from __future__ import annotations

import io
import os
import pathlib
import random
import subprocess
import sys
import tracemalloc
import zlib

import ml_dtypes
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdapress.framework.atomic import write_atomically
from lambdapress.framework.container import format as container_format
from lambdapress.framework.container.file import pack, read, unpack, write
from lambdapress.framework.container.format import Contents, Entry
from lambdapress.framework.container.header import ContainerError

GOLDEN = pathlib.Path(__file__).parent / "golden"
DTYPES = {
    **{name: np.dtype(name) for name in ("bool", "float16", "float32", "float64")},
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


def lenet(rng: np.random.Generator, algorithm: str = "power_law") -> list[Entry]:
    """Makes a LeNet-5's eight weights, with byte strings as long as a trained one's."""
    rows = [
        ("conv2d", (5, 5, 1, 20), 310, (5, 3)),
        ("conv2d_1", (5, 5, 20, 50), 2900, (5, 3)),
        ("dense", (800, 500), 6120, ()),
        ("dense_1", (500, 10), 900, ()),
    ]
    entries = []
    for layer, shape, size, step in rows:
        for name, plain, length, steps in (("kernel", shape, size, step), ("bias", shape[-1:], 19, ())):
            code = {"code": rng.bytes(length), "log_step": rng.normal(size=steps).astype(np.float16)}
            entries.append(Entry(f"{layer}/{name}", plain, "float32", algorithm, {}, code))
    return entries


def in_full(path: str = "norm/gamma", value: np.ndarray | None = None) -> Entry:
    value = np.arange(6, dtype=np.float32).reshape(2, 3) if value is None else value
    return Entry(path, value.shape, value.dtype.name, None, {}, {"value": value})


def coded(path: str = "dense/kernel", **tensors) -> Entry:
    return Entry(path, (4, 3), "float32", "half", {}, tensors)


def sorted_deep(value):
    if isinstance(value, dict):
        return {key: sorted_deep(value[key]) for key in sorted(value)}
    return list(map(sorted_deep, value)) if isinstance(value, list) else value


def comparable(entry: Entry) -> tuple:
    """Returns all of an entry in a form that compares by bits, NaN payloads included."""

    def of(tensor):
        if isinstance(tensor, bytes):
            return tensor
        if isinstance(tensor, (list, tuple)):
            return list(tensor)
        return tensor.dtype.name, tensor.shape, tensor.tobytes()

    tensors = {name: of(tensor) for name, tensor in entry.tensors.items()}
    return entry.path, entry.shape, entry.dtype, entry.algorithm, repr(sorted_deep(entry.config)), tensors


def check_accounting(contents: Contents, size: int) -> None:
    assert contents.size_bytes == size
    assert sum(contents.entry_bytes().values()) + contents.overhead_bytes == size


# A second implementation of the layout, after docs/container.md: fields of a file, and a file from fields.


def open_up(data: bytes) -> tuple[bytes, bytes]:
    """Returns the plain header and the payload."""
    lengths = msgpack.Unpacker()
    lengths.feed(data[10:19])
    size = lengths.unpack()
    start = 10 + lengths.tell()
    header = data[start : start + size]
    if data[5] & 1:
        header = zlib.decompressobj(-15, container_format.DICTIONARY).decompress(header)
    return header, data[start + size :]


def seal(
    header: bytes, payload: bytes = b"", flags: int = 0, version: int = 1, size: int | None = None
) -> bytes:
    """Makes a file with a correct checksum, as a hostile writer would."""
    body = msgpack.packb(len(header) if size is None else size) + header + payload
    lead = b"\xce\xbbpz" + bytes([version, flags])
    return lead + zlib.crc32(lead + body).to_bytes(4, "little") + body


def deflated(header: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, 0, container_format.DICTIONARY)
    return deflate.compress(header) + deflate.flush()


def header_of(*objects) -> bytes:
    return b"".join(map(msgpack.packb, objects))


# Round trips.

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
names = texts.filter(bool)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=True) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


dtypes = st.sampled_from(sorted(DTYPES))


@st.composite
def arrays(draw, shape=shapes):
    shape, dtype = draw(shape), DTYPES[draw(dtypes)]
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    raw = np.frombuffer(draw(st.binary(min_size=size, max_size=size)) + b"\0", np.uint8)[:size]
    raw = raw % 2 if dtype.name == "bool" else raw  # other dtypes take any bits, including NaNs with payloads
    return raw.copy().view(dtype).reshape(shape)


tensors = st.binary(max_size=300) | st.lists(st.binary(max_size=20), max_size=4) | arrays()


@st.composite
def entries(draw):
    path = draw(names)
    if draw(st.booleans()):
        return in_full(path, draw(arrays()))
    shape, dtype = draw(shapes), draw(dtypes)
    config = draw(st.dictionaries(names, plain, max_size=3))
    held = draw(st.dictionaries(texts, tensors | arrays(st.just(shape)), max_size=3))
    return Entry(path, shape, dtype, draw(names), config, held)


@given(
    st.lists(entries(), max_size=5, unique_by=lambda entry: entry.path),
    st.dictionaries(texts, plain, max_size=3),
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_round_trip(held, metadata):
    data = pack(held, metadata)
    contents = unpack(data)
    assert list(map(comparable, contents.entries)) == list(map(comparable, held))
    assert repr(contents.metadata) == repr(sorted_deep(metadata))
    check_accounting(contents, len(data))
    assert pack(contents.entries, contents.metadata) == data


def test_order_of_keys_does_not_matter_and_order_of_entries_is_kept():
    tensors = {"a": b"1", "b": np.float16([1])}
    config = {"x": 1, "y": {"p": [1, 2], "q": None}}
    turned = {"y": {"q": None, "p": (1, 2)}, "x": 1}
    held = [Entry(path, (2,), "float32", "half", config, tensors) for path in "zb"]
    other = [Entry(path, (2,), "float32", "half", turned, dict(reversed(tensors.items()))) for path in "zb"]
    assert pack(held, {"u": 1, "v": 2}) == pack(other, {"v": 2, "u": 1})
    assert [entry.path for entry in unpack(pack(held)).entries] == ["z", "b"]


def test_same_bytes_in_every_process():
    code = (
        "import numpy as np; from lambdapress.framework.container.file import Entry, pack; "
        "names = {'alpha', 'beta', 'gamma', 'delta'}; "  # a set: its order changes with the hash seed
        "entry = Entry('k', (2,), 'float32', 'a', dict.fromkeys(names, 1), dict.fromkeys(names, b'x')); "
        "print(pack([entry]).hex())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(runs) == 1


def test_does_not_import_tensorflow():
    code = (
        "import sys, lambdapress.framework.container.file; "
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'TensorFlow was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("dtype", [">f4", ">i8", "<f4"])
def test_byte_order_of_the_writer_is_forgotten(dtype):
    value = np.array([[1, -2], [3, 4]], dtype)
    there = unpack(pack([in_full(value=value)])).entries[0].tensors["value"]
    assert there.dtype.isnative
    np.testing.assert_array_equal(there, value)


def test_strided_arrays_and_numpy_scalars():
    value = np.arange(24, dtype=np.int16).reshape(4, 6)[::2, ::-3].T
    scalar = np.float16(0.5)  # the result of `.numpy()` of a scalar tensor
    there = unpack(pack([in_full("a", value), coded("b", step=scalar)])).entries
    np.testing.assert_array_equal(there[0].tensors["value"], value)
    assert there[1].tensors["step"].shape == () and there[1].tensors["step"] == scalar


def test_arrays_are_the_readers_own():
    array = unpack(pack([coded(code=b"x", step=np.ones(3, np.float64))])).entries[0].tensors["step"]
    assert array.flags.writeable and array.flags.aligned
    array += 1


# Bytes.


def test_a_lenet_costs_little_beyond_its_tensors():
    held = lenet(np.random.default_rng(0))
    contents = unpack(pack(held))
    header, _ = open_up(pack(held))
    paths = sum(len(entry.path) for entry in held)
    assert len(header) - paths < 8 * 12 + 40  # 40: the layout, once
    assert contents.overhead_bytes <= 140


def test_what_entries_share_is_stored_once():
    def overhead(count):
        config = {"a_hyper_parameter_of_long_name": list(range(50))}
        held = [Entry(f"{i:03}", (), "float32", "half", config, {"code": b""}) for i in range(count)]
        return len(open_up(pack(held))[0])

    assert overhead(101) - overhead(1) <= 100 * 8


def test_full_weights_cost_no_more_than_path_and_shape():
    one, two = (pack([in_full(f"p{i}") for i in range(count)]) for count in (1, 2))
    assert len(two) - len(one) <= 24 + 1 + 2 + 1 + 3  # payload, path, layout, shape


@pytest.mark.parametrize("count", [0, 1, 8, 3000])
def test_accounting(count):
    held = [coded(f"block_{i // 7}/layer_{i}/kernel", code=b"x" * (i % 300)) for i in range(count)]
    data = pack(held, {"task": "digits"})
    contents = unpack(data)
    check_accounting(contents, len(data))
    assert contents.entry_bytes() == {entry.path: len(entry.tensors["code"]) for entry in held}


def test_a_very_regular_header_stays_within_the_inflation_bound():
    held = [coded(f"{'layer/' * 100}{i}", code=b"") for i in range(1500)]
    assert len(unpack(pack(held)).entries) == 1500


# The file.


def test_write_and_read(tmp_path):
    path = tmp_path / "model.lpz"
    held = lenet(np.random.default_rng(1))
    size = write(path, held, {"seed": 3})
    contents = read(path)
    assert size == path.stat().st_size
    assert list(map(comparable, contents.entries)) == list(map(comparable, held))
    assert contents.metadata == {"seed": 3}
    check_accounting(contents, size)
    write(str(path), held[:1])
    assert len(read(str(path)).entries) == 1
    assert os.listdir(tmp_path) == ["model.lpz"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, function, error):
    def fail(*_):
        raise error

    path = tmp_path / "model.lpz"
    write(path, [in_full()])
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(type(error)):
            write(path, lenet(np.random.default_rng(0)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.lpz"]


def test_the_final_name_appears_only_when_all_is_on_disk(tmp_path, monkeypatch):
    path, real, seen = tmp_path / "model.lpz", os.fsync, []

    def fsync(descriptor):
        real(descriptor)
        seen.append((path.exists(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    size = write(path, [in_full()])
    assert seen == [(False, size)]


def test_an_entry_that_cannot_be_stored_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.lpz"
    write(path, [in_full()])
    before = path.read_bytes()
    with pytest.raises(ContainerError):
        write(path, [in_full(), in_full()])
    assert path.read_bytes() == before


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.lpz")
    with pytest.raises(ContainerError, match="folder"):
        read(tmp_path)
    with pytest.raises(ContainerError, match="folder"):
        write(tmp_path, [])


def test_messages_name_the_file_and_the_mend(tmp_path):
    path = tmp_path / "model.lpz"
    for content, message in (
        (b"", "empty"),
        (b"PK\x03\x04 a zip file", r"not an \.lpz file \(starts with b'PK"),
        (b"\xce\xbbpz\x01", "cut short after 5 bytes"),
        (
            seal(header_of({}, []), version=3),
            r"format version 3; this is lambdapress .*, which reads version 1",
        ),
        (seal(header_of({}, []))[:-1] + b"!", "checksum does not match.* download it again"),
        (seal(header_of({}, []), flags=4), "unknown flags 0x04"),
    ):
        path.write_bytes(content)
        with pytest.raises(ContainerError, match=message) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")


# Values that cannot be stored.


@pytest.mark.parametrize(
    "entry, message",
    [
        (Entry("", (), "float32", "a", {}, {}), "path"),
        (Entry("x" * 1025, (), "float32", "a", {}, {}), "path"),
        (Entry("\ud800", (), "float32", "a", {}, {}), "Unicode"),
        (Entry("x", (-1,), "float32", "a", {}, {}), "shape"),
        (Entry("x", (2.0,), "float32", "a", {}, {}), "shape"),  # pyright: ignore
        (Entry("x", (1,) * 33, "float32", "a", {}, {}), "33|32 axes"),
        (Entry("x", (2**21, 2**20), "float32", "a", {}, {}), "elements"),
        (Entry("x", (0, 2**41), "float32", "a", {}, {}), "elements"),
        (Entry("x", (), "complex64", "a", {}, {}), "'complex64' .*available: bool"),
        (Entry("x", (), "float32", "", {}, {}), "algorithm"),
        (Entry("x", (), "float32", "a", {"k": b"bytes"}, {}), "config holds b'bytes' of type bytes"),
        (Entry("x", (), "float32", "a", {"k": np.float32(1)}, {}), "float32"),
        (Entry("x", (), "float32", "a", {"k": 2**64}, {}), "64 bits"),
        (Entry("x", (), "float32", "a", {1: 2}, {}), "text keys"),  # pyright: ignore
        (Entry("x", (), "float32", "a", {"k": [[[[[[[[[[]]]]]]]]]]}, {}), "deep"),
        (Entry("x", (), "float32", "a", {"k": "x" * 2**16}, {}), "65,536"),
        (Entry("x", (), "float32", "a", {}, {"t": "text"}), "'t' is str; give bytes"),  # pyright: ignore
        (Entry("x", (), "float32", "a", {}, {"t": np.array([b"a\0"], object)}), "an array of object"),
        (Entry("x", (), "float32", "a", {}, {"t": np.zeros(2, np.complex64)}), "an array of complex64"),
        (Entry("x", (), "float32", "a", {}, {"t": [b"a", 1]}), "'t' is list"),  # pyright: ignore
        (
            Entry("x", (2,), "float32", None, {}, {"value": np.zeros(3, np.float32)}),
            r"\(3,\) where .* \(2,\)",
        ),
        (Entry("x", (2,), "float32", None, {}, {"value": np.zeros(2, np.float16)}), "float16 .* float32"),
        (Entry("x", (2,), "float32", None, {}, {"value": b"12345678"}), "where the weight is float32"),
        (Entry("x", (2,), "float32", None, {}, {}), "the one tensor 'value'"),
        (Entry("x", (), "float32", None, {"k": 1}, {"value": np.zeros((), np.float32)}), "empty config"),
    ],
)
def test_refuses_to_store(entry, message):
    with pytest.raises(ContainerError, match=f"entry .*{message}"):
        pack([entry])


def test_refuses_what_a_reader_would_refuse():
    with pytest.raises(ContainerError, match="'norm/gamma' is given twice"):
        pack([in_full(), in_full()])
    with pytest.raises(ContainerError, match="16,384 entries"):
        pack(coded(str(i), code=b"") for i in range(2**14 + 1))
    with pytest.raises(ContainerError, match="header takes"):
        pack(coded(f"{i:01024}", code=b"") for i in range(1100))
    with pytest.raises(ContainerError, match="metadata"):
        pack([], {"x": object()})


# Damage: every accidental change of a file is noticed.


def check_damaged(data: bytes) -> None:
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(ContainerError):
        unpack(data)
    assert tracemalloc.get_traced_memory()[1] - before <= 4 * len(data) + 1_000_000


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("seed", range(4))
def test_truncated(traced, seed):
    rng = random.Random(seed)
    data = pack(lenet(np.random.default_rng(seed)), {"seed": seed})
    for size in rng.sample(range(len(data)), 250):
        check_damaged(data[:size])


@pytest.mark.parametrize("seed", range(4))
def test_one_bit_flipped(traced, seed):
    rng = random.Random(seed)
    data = pack(lenet(np.random.default_rng(seed)), {"seed": seed})
    early = range(8 * 150)  # magic, lengths and header, where a flip would be misread
    for bit in [*rng.sample(early, 150), *rng.sample(range(8 * len(data)), 100)]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        check_damaged(bytes(flipped))


@pytest.mark.parametrize("lead", [b"", b"\xce\xbbpz", b"\xce\xbbpz\x01\x00", b"\xce\xbbpz\x01\x01"])
def test_random_files(traced, lead):
    rng = random.Random(lead)
    for _ in range(250):
        check_damaged(lead + rng.randbytes(rng.choice([0, 1, 3, 7, 20, 200, 5000])))


# Hostile writers: the checksum is right, but the contents are not.

LAYOUT = [10, "half", {}, {"code": 30}]
ARRAYS = [10, "half", {}, {"step": 9}]
BOOLS = [10, "half", {}, {"mask": 0}]
LISTS = [10, "half", {}, {"codes": 31}]
NESTED = b"\x91" * 990 + b"\x90"  # deep enough for Python's repr to give up


@pytest.mark.parametrize(
    "data, message",
    [
        (seal(b""), "header ends inside the metadata"),
        (seal(header_of({})), "header ends inside the layout table"),
        (seal(header_of([], [])), "metadata"),
        (seal(header_of({1: 2}, [])), "not msgpack at the metadata"),
        (seal(header_of({"a": b"x"}, [])), "type bytes"),
        (seal(header_of({"a": msgpack.Timestamp(1)}, [])), "type Timestamp"),
        (seal(header_of({"a": msgpack.ExtType(5, b"x")}, [])), "extension type"),
        (seal(b"\x82\xa1a\x01\xa1a\x02\x90"), "key twice"),
        (seal(b"\x81\xa1\xff\x01\x90"), "utf-8"),
        (seal(b"\x81\xa1a" + b"\x91" * 60_000 + b"\x90\x90"), "not msgpack|deep"),
        (seal(b"\x81\xa1a" + b"\x91" * 60 + b"\x90\x90"), "deep"),
        (seal(b"\x81\xa1a\xdd\xff\xff\xff\xff\x90"), "ends inside the metadata"),
        (seal(header_of({"a": "x" * 70_000}, [])), "metadata takes more than 65,536"),
        (seal(b"\xc1"), "not msgpack"),
        (seal(header_of({}, {})), "layout table"),
        (seal(header_of({}, [[10, "half"]])), "list of 1 or 4"),
        (seal(header_of({}, [[13]])), "weight dtype 13"),
        (seal(header_of({}, [[True]])), "weight dtype True"),
        (seal(header_of({}, [[10, None, {}, {}]])), "algorithm"),
        (seal(header_of({}, [[10, "half", [], {}]])), "config"),
        (seal(header_of({}, [[10, "half", {}, {"code": 29}]])), "'code' has the unknown dtype 29"),
        (seal(header_of({}, [[10, "half", {}, {"b": 30, "a": 30}]])), "out of order"),
        (seal(header_of({}, [LAYOUT], "k", 0, [], 5), b"1234"), "claims 5 bytes where 4 are left"),
        (seal(header_of({}, [LAYOUT], "k", 0, [], 4), b"12345"), "1 bytes too many"),
        (seal(header_of({}, [LAYOUT], "k", 0, [], -1), b"1234"), "-1"),
        (seal(header_of({}, [LAYOUT], "k", 0, [], 2**64 - 1), b"1234"), "claims"),
        (seal(header_of({}, [LAYOUT], "k", 0, [], 4.0), b"1234"), "4.0"),
        (seal(header_of({}, [LAYOUT], "k", 1, [], 4), b"1234"), "layout 1 where there are 1"),
        (seal(header_of({}, [LAYOUT], "k", -1, [], 4), b"1234"), "layout is not a size"),
        (seal(header_of({}, [LAYOUT], "k", 0, [-1], 4), b"1234"), "shape"),
        (seal(header_of({}, [LAYOUT], "k", 0, [2**40, 2], 4), b"1234"), "elements"),
        (seal(header_of({}, [LAYOUT], "k", 0, [1] * 33, 4), b"1234"), "axes"),
        (seal(header_of({}, [LAYOUT], "k", 0, None, 4), b"1234"), "shape"),
        (seal(header_of({}, [LAYOUT], "k", 0, [], 2, "k", 0, [], 2), b"1234"), "'k' is given twice"),
        (seal(header_of({}, [LAYOUT], "", 0, [], 4), b"1234"), "path"),
        (seal(header_of({}, [LAYOUT], 7, 0, [], 4), b"1234"), "path"),
        (seal(header_of({}, [LAYOUT], "k", 0, []), b"1234"), "ends inside the code"),
        (seal(header_of({}, [ARRAYS], "k", 0, [], [3]), b"1234"), "claims 6 bytes"),
        (seal(header_of({}, [ARRAYS], "k", 0, [], [2**33, 2**33]), b"1234"), "elements"),
        (seal(header_of({}, [ARRAYS], "k", 0, [], [0, 2**62]), b""), "elements"),
        (seal(header_of({}, [ARRAYS], "k", 0, [3], None), b"1234"), "claims 6 bytes"),
        (seal(header_of({}, [BOOLS], "k", 0, [], [4]), b"\0\1\2\0"), "neither 0 nor 1"),
        (seal(header_of({}, [LAYOUT], "k", 0, []) + NESTED), "code is not a size"),
        (seal(header_of({}, [LAYOUT], "k", 0) + NESTED), "shape is not"),
        (seal(header_of({}, [LAYOUT]) + NESTED), "path"),
        (seal(b"\x80\x91\x91" + NESTED), "weight dtype"),
        (seal(header_of({}, [LISTS], "k", 0, [], 4), b"1234"), "not a list"),
        (seal(header_of({}, [LISTS], "k", 0, [], [3, 2]), b"1234"), "claims 2 bytes where 1 are left"),
        (seal(header_of({}, [LISTS], "k", 0, [], [3, -1]), b"1234"), "-1"),
        (seal(header_of({}, [[10]], "k", 0, [2]), b"1234567"), "claims 8 bytes where 7 are left"),
        (seal(header_of({}, [[10]], "k", 0, [2]), b"123456789"), "too many"),
        (seal(header_of({}, []), size=2**40), "the header claims"),
        (seal(header_of({}, []), size=-1), "header length"),
        (seal(b"not deflate", flags=1), "does not inflate"),
        (seal(deflated(header_of({}, []))[:-1], flags=1), "cut short"),
        (seal(deflated(header_of({}, [])) + b"!", flags=1), "other bytes follow"),
        (seal(deflated(b"\x80" * 10_000_000), flags=1), "the header takes more than"),
        (seal(header_of({}, []) + b"\x80" * 2**20), "the header takes more than 1,048,576"),
        (
            seal(header_of({}, [[10, "half", {}, {}]], *(f for i in range(16_385) for f in (str(i), 0, [])))),
            "16,384",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile(data: bytes, message: str):
    with pytest.raises(ContainerError, match=message):
        unpack(data)


def test_the_most_objects_a_file_can_ask_for(traced):
    """Stores empty arrays: they take almost nothing in a file, but an object each in memory."""
    names = [f"{i:02x}" for i in range(255)]
    layout = [10, "half", {}, dict.fromkeys(names, 0)]
    rows = b"".join(header_of(str(i), 0, [0]) + b"\xc0" * len(names) for i in range(2**16 // len(names)))
    data = seal(header_of({}, [layout]) + rows)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    assert len(unpack(data).entries) == 257
    assert tracemalloc.get_traced_memory()[1] - before <= 25_000_000
    tracemalloc.stop()  # tracing would triple the time of the rest
    with pytest.raises(ContainerError, match="65,536 tensors"):
        unpack(seal(header_of({}, [layout]) + rows + header_of("last", 0, [0]) + b"\xc0" * len(names)))
    many = [coded(str(i), **dict.fromkeys(names, b"")) for i in range(258)]
    with pytest.raises(ContainerError, match="65,536 tensors"):
        pack(many)


def test_hostile_allocation_is_bounded(traced):
    """Tests the files that expand most: deflated headers full of small objects, in each possible place."""
    many = [[]] * 60_000
    for data in (
        seal(deflated(b"\x80" * 2**20), flags=1),
        seal(deflated(b"\0" * 20_000_000), flags=1),
        seal(deflated(header_of({"a": many}, [])), flags=1),
        seal(deflated(header_of({}, many)), flags=1),
        seal(deflated(header_of({}, [LAYOUT], many)), flags=1),
        seal(deflated(header_of({}, [LISTS], "k", 0, [], many)), flags=1),
        seal(header_of({}, [[10, "half", {"a": many}, {}], LAYOUT], "k", 0, [], 9)),
    ):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(ContainerError):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] - before <= 4 * len(data) + 12_000_000


HOSTILE_VALUES = [
    None, True, -1, 0, 1, 2, 31, 127, 128, 2**31, 2**40, 2**63, 2**64 - 1, -(2**63), 0.5, float("nan"),
    "", "k", "value", "\0", b"", b"x", "x" * 2000, msgpack.Timestamp(0), msgpack.ExtType(1, b""),
    [], [[]], [0], [10], [2**62, 4], [[[[[[[[[[[[]]]]]]]]]]]], [10, "a", {}, {}], {}, {"a": 1}, {"": []},
]  # fmt: skip


def mutated(rng: random.Random, value, certain: bool = False):
    """Returns `value` with one of its parts replaced, removed, repeated or moved."""
    if isinstance(value, list) and value and (certain or rng.random() < 0.85):
        value, at = list(value), rng.randrange(len(value))
        choice = rng.random()
        if choice < 0.6:
            value[at] = mutated(rng, value[at])
        elif choice < 0.7:
            del value[at]
        elif choice < 0.8:
            value.insert(at, rng.choice(value))
        elif choice < 0.9:
            rng.shuffle(value)
        else:
            value.insert(at, rng.choice(HOSTILE_VALUES))
        return value
    if isinstance(value, dict) and value and rng.random() < 0.7:
        key = rng.choice(sorted(value))
        return {**value, key: mutated(rng, value[key])}
    if type(value) is int and rng.random() < 0.5:
        return value + rng.choice([-1, 1, 7, 256])
    return rng.choice(HOSTILE_VALUES)


@pytest.mark.parametrize("seed", range(10))
def test_mutations_under_a_right_checksum(seed):
    rng = random.Random(seed)
    held = [
        *lenet(np.random.default_rng(seed))[:3],
        in_full(),
        coded(
            "lists",
            codes=[b"12", b"", b"345"],
            mask=np.ones((4, 3), bool),
            table=np.zeros((2, 0, 3), np.int8),
        ),
    ]
    header, payload = open_up(pack(held, {"task": "digits", "trial": [1, 2.5, None, {"deep": ["er"]}]}))
    fields = list(msgpack.Unpacker(io.BytesIO(header)))
    sound = 0
    for _ in range(200):
        if rng.random() < 0.75:  # the structure
            hostile = header_of(*mutated(rng, fields, certain=True))
        else:  # its bytes
            hostile = bytearray(header)
            for _ in range(rng.choice([1, 2, 8])):
                hostile[rng.randrange(len(hostile))] = rng.randrange(256)
        body = payload[: rng.choice([None, None, None, -1, 0, 100])] + rng.choice([b"", b"", b"", b"\0"])
        if rng.random() < 0.5:
            data = seal(deflated(bytes(hostile)), body, flags=1)
        else:
            data = seal(bytes(hostile), body)
        try:
            contents = unpack(data)
        except ContainerError:
            continue
        sound += 1
        check_accounting(contents, len(data))
        again = unpack(pack(contents.entries, contents.metadata))  # a sound file can be stored again
        assert list(map(comparable, again.entries)) == list(map(comparable, contents.entries))
    assert sound < 150  # otherwise the mutations have no effect


# Golden files: `LAMBDAPRESS_REGENERATE_GOLDEN=1 pytest tests/framework/container/test_container.py` rewrites
# them. Version 1 is frozen with the first release: after that, a difference means a new version.

ramp = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)
GOLDEN_CONTENTS = {
    # Too small for deflate to pay: bytes that no zlib release can change.
    "plain.lpz": ([Entry("k", (2, 3), "float32", "a", {}, {"c": bytes(range(5))})], {}),
    "every_kind.lpz": (
        [
            *(in_full(f"full/{name}", (ramp.clip(0) % 2).astype(dtype)) for name, dtype in DTYPES.items()),
            Entry(
                "conv2d/kernel",
                (5, 5, 1, 20),
                "float32",
                "power_law",
                {"alpha": 0.01, "rounds": 3, "tied": True, "prior": None, "sizes": [1, -2], "λ": "utf-8"},
                {"code": b"\0\1\2\xff", "log_step": np.float16([[-4.5, 0], [1, 65504]])},
            ),
            Entry(
                "dense/kernel",
                (3, 2),
                "bfloat16",
                "lists",
                {},
                {"codes": (b"", b"ab"), "sign": ramp.T > 0, "step": np.array(2, np.float16)},
            ),
        ],
        {"task": "digits", "lmbda": 2.0, "nested": {"b": [], "a": False}},
    ),
}


@pytest.mark.parametrize("name", GOLDEN_CONTENTS)
def test_golden(name):
    held, metadata = GOLDEN_CONTENTS[name]
    if os.environ.get("LAMBDAPRESS_REGENERATE_GOLDEN"):
        write(GOLDEN / name, held, metadata)
    stored = (GOLDEN / name).read_bytes()
    contents = unpack(stored)
    assert list(map(comparable, contents.entries)) == list(map(comparable, held))
    assert contents.metadata == metadata
    made = pack(held, metadata)
    if not stored[5] & 1:
        assert made == stored
    assert open_up(made) == open_up(stored)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder '.*nowhere' to write '.*x.lpz' in"):
        write_atomically(tmp_path / "nowhere" / "x.lpz", b"")
