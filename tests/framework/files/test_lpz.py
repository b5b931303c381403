"""Tests files of models: whole, of another model, damaged, and hostile."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    ContainerError,
    FormError,
    algorithms,
    load,
    save,
    size_report,
    to_compressed,
    to_compressible,
)
from lambdapress.framework.algorithm import config_of
from lambdapress.framework.container import file as container
from lambdapress.framework.container.format import Entry
from lambdapress.framework.files.lpz import entries_of
from lambdapress.framework.registry import UnknownNameError

k = tf.keras.layers
X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def build(units: int = 30, **arguments) -> tf.keras.Model:
    layers = [k.Dense(units, "relu", **arguments), k.BatchNormalization(), k.Dense(2)]
    return tf.keras.Sequential([tf.keras.Input((4,)), *layers])


@pytest.fixture(params=["power_law", "epr"])
def algorithm(request):
    return algorithms.build(request.param)


@pytest.fixture
def compressible(algorithm):
    return to_compressible(build(), algorithm)


@pytest.fixture
def path(compressible, tmp_path):
    save(compressible, tmp_path / "model.lpz")
    return tmp_path / "model.lpz"


def test_a_file_carries_hyper_parameters_that_are_not_defaults(tmp_path):
    algorithm = algorithms.build("power_law", log_step=-6.0, alpha=0.5)
    assert config_of(algorithm) == {"log_step": -6.0, "alpha": 0.5}
    assert config_of(algorithms.build("epr")) == {}
    save(to_compressed(build(), algorithm), tmp_path / "m.lpz")
    loaded = load(tmp_path / "m.lpz", build())
    again = to_compressible(loaded)
    assert {entry.config["log_step"] for entry in entries_of(again) if entry.algorithm} == {-6.0}


def test_the_report_of_a_model_is_that_of_its_file(compressible, path):
    file, model = size_report(path), size_report(compressible)
    assert file.rows == model.rows and file.size_bytes == model.size_bytes == path.stat().st_size
    assert file.num_params == compressible_params() and file.float_bytes == 4 * file.num_params
    assert file.ratio == file.float_bytes / file.size_bytes
    assert sum(row.share for row in file.rows) == pytest.approx(1 - file.overhead_bytes / file.size_bytes)
    kept = [row for row in file.rows if row.algorithm is None]
    assert {row.path.rpartition("/")[2] for row in kept} == {
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
    }
    assert all(row.bytes == 4 * row.shape[0] and row.bits_per_weight == 32 for row in kept)


def compressible_params() -> int:
    return build().count_params()


def test_estimates_exist_where_a_rate_is_in_bits(compressible, algorithm, path):
    estimate = size_report(compressible).estimated_bytes
    assert (estimate is not None) == algorithm.penalty_in_bits
    assert size_report(path).estimated_bytes is None
    if estimate is not None:
        assert 0.5 < estimate / size_report(compressible).size_bytes < 2


def test_loading_leaves_the_model_alone_and_needs_no_values_of_it(compressible, path):
    model = build()
    before = [v.numpy() for v in model.weights]
    loaded = load(path, model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_array_equal(loaded(X), compressible(X))
    np.testing.assert_array_equal(load(path, loaded)(X), compressible(X))
    np.testing.assert_array_equal(load(path, compressible)(X), compressible(X))


@pytest.mark.parametrize(
    "model, message",
    [
        (
            lambda: build(31),
            r"kernel is float32\[4, 30\] in the file and float32\[4, 31\] in the model",
        ),
        (lambda: build(use_bias=False), "the model lacks dense/bias"),
        (
            lambda: build(name="first"),
            "lacks first/kernel, first/bias; the model lacks dense_1/kernel",
        ),
        (lambda: build(dtype="float64"), "dense/kernel is float32.* in the file and float64"),
    ],
)
def test_a_file_of_another_model_is_refused(path, model, message):
    with pytest.raises(ContainerError, match=message):
        load(path, model())


def test_what_is_no_model_or_no_file(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.lpz", build())
    with pytest.raises(FormError, match="not built"):
        load(path, tf.keras.Sequential([k.Dense(2)]))
    with pytest.raises(FormError, match="got a int"):
        load(path, 3)
    with pytest.raises(FormError, match="during, once, got 'twice'"):
        load(path, build(), decode="twice")
    with pytest.raises(FormError, match="is plain; compress it first"):
        save(build(), tmp_path / "m.lpz")
    with pytest.raises(FormError, match="is plain"):
        size_report(build())
    assert not (tmp_path / "m.lpz").exists()


def test_every_damaged_byte_is_noticed(path):
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    for position in [0, 4, 5, 6, 10, 11, len(data) - 1, *rng.integers(len(data), size=20)]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with pytest.raises(ContainerError, match="model.lpz"):
            load(path, build())
    path.write_bytes(data[:-3])
    with pytest.raises(ContainerError, match="cut short"):
        load(path, build())


# Hostile files: sound containers that no encoder of this package has made.


def hostile(compressible, path, change) -> Exception:
    """Returns the error of `load` for a file whose first entry, `dense/kernel`, was changed."""
    first, *others = entries_of(compressible)
    assert first.path == "dense/kernel"
    fields = {name: getattr(first, name) for name in ("path", "shape", "dtype", "algorithm")}
    fields.update(config=dict(first.config), tensors=dict(first.tensors))
    change(fields)
    path.write_bytes(container.pack([Entry(**fields), *others]))
    with pytest.raises(ValueError) as info:
        load(path, build())
    assert isinstance(info.value, (ContainerError, UnknownNameError))
    return info.value


def tensors(**changed):
    def change(fields):
        for name, value in changed.items():
            fields["tensors"].pop(name, None)
            if value is not None:
                fields["tensors"][name] = value

    return change


def config(**changed):
    return lambda fields: fields["config"].update(changed)


HOSTILE = {
    "config of an unknown name": config(no_such_thing=1),
    "config of a wrong type": config(log_step="big"),
    "config that is a list": config(log_step=[1.0]),
    "config that is a mapping": config(log_step={"a": 1}),
    "config out of range": config(log_step=1e30),
    "config NaN": config(log_step=float("nan")),
    "config None": config(log_step_multiplier=None),
    "no code": tensors(code=None),
    "no steps": tensors(log_step=None),
    "code as numbers": tensors(code=np.zeros(5, np.float32)),
    "code as strings": tensors(code=[b"a", b"b"]),
    "code as no strings": tensors(code=[]),
    "empty code": tensors(code=b"", levels=None, lowest=None, escapes=None),
    "code of all ones": tensors(code=b"\xff" * 40, levels=None, lowest=None, escapes=None),
    "code of few values": tensors(code=b"\x01", levels=None, lowest=None, escapes=None),
    "run beyond the end": tensors(code=b"\0\0\0\x80\xff\xff\xff\xff", levels=None, lowest=None, escapes=None),
    "too many steps": tensors(log_step=np.zeros(1000, np.float16)),
    "steps as a scalar": tensors(log_step=np.float16(1)),
    "steps as strings": tensors(log_step=[b"x"]),
    "steps as a string": tensors(log_step=b"x"),
    "a tensor that hides the layer's own attribute": tensors(initializer=np.zeros(3, np.float32)),
    "a table alone": tensors(levels=np.zeros(2, np.uint8), lowest=None),
    "a huge table": tensors(levels=np.zeros(10**6, np.uint8), lowest=np.int16(0)),
    "an empty table": tensors(levels=np.zeros(0, np.uint8), lowest=np.int16(0)),
    "a table of strings": tensors(levels=[b"a", b"b"], lowest=np.int16(0)),
    "a table of floats": tensors(levels=np.array([0, np.nan], np.float32), lowest=np.int16(0)),
    "levels out of range": tensors(levels=np.array([0, 200], np.uint8), lowest=np.int16(0)),
    "many lowest": tensors(levels=np.zeros(4, np.uint8), lowest=np.zeros((1000, 1, 1), np.int16)),
}


TABLES = [case for case in HOSTILE if any(word in case for word in ("table", "levels", "lowest"))]
WITHOUT_TABLES = [case for case in HOSTILE if case not in TABLES]


@pytest.mark.parametrize(
    "algorithm, case",
    [("epr", case) for case in HOSTILE] + [("power_law", case) for case in WITHOUT_TABLES],
)
def test_a_hostile_file_ends_in_an_error(algorithm, case, tmp_path):
    compressible, path = to_compressible(build(), algorithms.build(algorithm)), tmp_path / "model.lpz"
    error = hostile(compressible, path, HOSTILE[case])
    assert "dense/kernel" in str(error) and "model.lpz" in str(error)


def test_an_algorithm_that_is_not_installed(compressible, path):
    error = hostile(compressible, path, lambda fields: fields.update(algorithm="../../evil"))
    assert isinstance(error, UnknownNameError)
    assert re.search("available: .*epr", str(error))


def test_an_entry_kept_in_full_where_the_model_has_a_computed_weight_is_fine(compressible, path):
    """Checks that the file decides which weights are compressed."""
    first, *others = entries_of(compressible)
    value = np.ones(first.shape, np.float32)
    path.write_bytes(
        container.pack([Entry(first.path, first.shape, first.dtype, None, {}, {"value": value}), *others])
    )
    assert (load(path, build()).layers[0].kernel.numpy() == 1).all()


def test_a_weight_that_no_layer_holds_cannot_be_computed(compressible, path):
    entries = entries_of(compressible)
    moving = next(i for i, entry in enumerate(entries) if entry.path.endswith("moving_mean"))
    coded = entries_of(to_compressible(build(), algorithms.build("none")))[1]  # dense/bias, of the same shape
    entries[moving] = Entry(entries[moving].path, coded.shape, "float32", "none", {}, coded.tensors)
    path.write_bytes(container.pack(entries))
    np.testing.assert_array_equal(load(path, build()).layers[1].moving_mean, coded.tensors["value"])


@pytest.mark.parametrize("name", algorithms.names())
def test_random_tensors_under_known_names_never_crash(name, tmp_path):
    """Loads seeded entries with random contents for an algorithm's own tensors, and some of another's."""
    rng, path, model = np.random.default_rng(8), tmp_path / "model.lpz", tf.keras.Sequential()
    model.add(k.Dense(30, use_bias=False, input_shape=(4,)))
    (entry,) = entries_of(to_compressible(model, algorithms.build(name)))
    kinds = [np.float16, np.float32, np.int16, np.uint8, np.int32, np.bool_, np.float64]
    outcomes = set()
    for _ in range(100):
        changed = {}
        for key in sorted({*entry.tensors, *(["levels", "lowest", "escapes"] if rng.integers(2) else [])}):
            choice = rng.integers(4)
            if choice == 0:
                changed[key] = entry.tensors.get(key, b"")
            elif choice == 1:
                changed[key] = rng.bytes(int(rng.integers(60)))
            else:
                shape = [(), (1,), (4,), (4, 30), (1, 120)][rng.integers(5)]
                changed[key] = rng.integers(0, 9, shape).astype(kinds[rng.integers(len(kinds))])
        path.write_bytes(container.pack([dataclasses.replace(entry, tensors=changed)]))
        try:
            outcomes.add(type(load(path, model)).__name__)
        except ContainerError:
            outcomes.add("error")
    assert "error" in outcomes
