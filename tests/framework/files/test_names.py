"""Tests layers' names in paths and rules: a file's are kept, those that Keras makes up are numbered."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    ContainerError,
    algorithms,
    export_saved_model,
    load,
    load_exported,
    load_keras,
    save,
    size_report,
    to_compressed,
    to_compressible,
)
from lambdapress.framework.forms.names import adopt_names, keep_names, names_matter
from lambdapress.framework.surgery.weights import weights_of

k = tf.keras.layers


def named(*names: str) -> tf.keras.Model:
    """Layers of equal shape, so that a swap is seen by the outputs alone."""
    model = tf.keras.Sequential([tf.keras.Input((4,)), *(k.Dense(4, name=name) for name in names)])
    for index, variable in enumerate(model.weights):
        variable.assign(np.random.default_rng(index).normal(size=variable.shape))
    return model


def made_up(count: int) -> tf.keras.Model:
    """The same model by code that gives no names."""
    return tf.keras.Sequential([tf.keras.Input((4,)), *(k.Dense(4) for _ in range(count))])


def written(model: tf.keras.Model, path: Path) -> tf.keras.Model:
    model.save(path)
    return load_keras(path)


def kernels(model: tf.keras.Model) -> list[str]:
    return [weight.spec.path for weight in weights_of(model) if weight.spec.role == "kernel"]


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_names_in_a_file_are_kept(suffix, tmp_path):
    model = written(named("dense_2", "dense", "separable_dense_2"), tmp_path / f"m{suffix}")
    assert kernels(model) == ["dense_2/kernel", "dense/kernel", "separable_dense_2/kernel"]
    compressible = to_compressible(model, [("^dense_2/", None), (".*", algorithms.build("uniform"))])
    save(compressible, tmp_path / "m.lpz")
    full = [row.path for row in size_report(tmp_path / "m.lpz").rows if row.algorithm is None]
    assert full == ["dense_2/kernel", "dense_2/bias"]


def test_names_that_keras_makes_up_are_numbered_within_the_model():
    assert kernels(made_up(2)) == kernels(made_up(2)) == ["dense/kernel", "dense_1/kernel"]


INPUTS = tf.constant(np.random.default_rng(9).normal(size=(3, 4)).astype(np.float32))


def permuted() -> tf.keras.Model:
    """Code in which the layer that is made first comes second."""
    second, first = k.Dense(4), k.Dense(4)
    return tf.keras.Sequential([tf.keras.Input((4,)), first, second])


BUILDS = [lambda: made_up(2), permuted, lambda: named("a", "b"), lambda: named("b_1", "b")]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("before", [0, 3])
def test_a_file_of_given_names_is_read_into_what_its_code_builds(build, before, tmp_path):
    """The file's names come from a process with `before` other layers, and the reader's from another."""
    tf.keras.backend.clear_session()
    made_up(before)
    original = build()
    for index, variable in enumerate(original.weights):
        variable.assign(np.random.default_rng(index).normal(size=variable.shape))
    original = written(original, tmp_path / "m.keras")
    one = kernels(original)[0].partition("/")[0]
    rules = [(f"^{one}/", None), (".*", algorithms.build("lossless", codec="zlib"))]
    save(to_compressed(original, rules), tmp_path / "m.lpz")
    tf.keras.backend.clear_session()
    for model in [build(), build(), original, load_keras(tmp_path / "m.keras")]:
        again = load(tmp_path / "m.lpz", model)
        np.testing.assert_array_equal(again(INPUTS), original(INPUTS))
        save(again, tmp_path / "again.lpz")
        assert (tmp_path / "again.lpz").read_bytes() == (tmp_path / "m.lpz").read_bytes()


def test_names_cost_bytes_only_where_they_differ(tmp_path):
    assert not names_matter(written(named("dense", "dense_1", "a"), tmp_path / "m.keras"))
    assert not names_matter(made_up(2))
    assert names_matter(written(named("dense_1", "dense_2"), tmp_path / "n.keras"))


@pytest.mark.parametrize("names", [("dense_7", "dense_8"), ("dense_1", "dense")])
def test_a_file_of_made_up_names_is_read_into_a_model_from_a_file(names, tmp_path):
    """Earlier releases numbered the names of a saved model."""
    original = named(*names)
    save(to_compressed(original, algorithms.build("lossless")), tmp_path / "m.lpz")
    again = load(tmp_path / "m.lpz", written(original, tmp_path / "m.keras"))
    np.testing.assert_array_equal(again(INPUTS), original(INPUTS))


@pytest.mark.parametrize("rules", [".*", "dense_1"])
def test_saved_models_and_keras_files_keep_given_names(rules, tmp_path):
    original = written(named("dense_1", "dense"), tmp_path / "m.keras")
    compressed = to_compressed(original, [(rules, algorithms.build("uniform"))], lmbda=0.01)
    export_saved_model(compressed, tmp_path / "served")
    compressed.save(tmp_path / "compressed.keras")
    from_keras = tf.keras.models.load_model(tmp_path / "compressed.keras")
    for again in [load_exported(tmp_path / "served"), from_keras]:
        np.testing.assert_array_equal(again(INPUTS), compressed(INPUTS))
        save(again, tmp_path / "again.lpz")
        paths = [row.path for row in size_report(tmp_path / "again.lpz").rows if row.path.endswith("kernel")]
        assert paths == ["dense_1/kernel", "dense/kernel"]


def test_a_pattern_that_means_another_name_is_warned_of():
    model = named("dense_1", "dense")
    rules = [("dense_1/", None), (".*", algorithms.build("uniform"))]
    with pytest.warns(UserWarning, match="takes dense_1/bias, of the layer that Keras calls 'dense' at pres"):
        to_compressible(model, rules)
    keep_names(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        to_compressible(model, rules)
        to_compressible(made_up(3), rules)


def counted(first: int) -> tf.keras.Model:
    """Code that counts on through a process in names of its own, as `ResNetRS` of Keras does."""
    return named(*(f"stem_{first + i // 2}_dense_{i % 2 + 1}" for i in range(4)), "block2_dense")


@pytest.mark.parametrize("given", [False, True])
def test_numbers_within_names_may_count_on(given, tmp_path):
    original = written(counted(1), tmp_path / "m.keras") if given else counted(1)
    compressed = to_compressed(original, algorithms.build("lossless", codec="zlib"))
    save(compressed, tmp_path / "m.lpz")
    export_saved_model(compressed, tmp_path / "served")
    for first in (1, 3, 9, 10):  # by their numbers, not by their letters
        other = counted(first)
        for variable in other.weights:
            variable.assign(tf.zeros_like(variable))
        for again in (load(tmp_path / "m.lpz", other), load_exported(tmp_path / "served", other)):
            np.testing.assert_array_equal(again(INPUTS), original(INPUTS))


@pytest.mark.parametrize(
    "others",
    [
        ("block1_a", "block3_a", "block4_a"),  # which of them is new, nothing tells
        ("stem_1_a", "stem_2_a", "block2_a"),
    ],
)
def test_numbers_that_tell_layers_apart_do_not_count_on(others, tmp_path):
    save(
        to_compressed(named("block1_a", "block2_a", "block3_a"), algorithms.build("lossless")),
        tmp_path / "m.lpz",
    )
    with pytest.raises(ContainerError, match="the file lacks"):
        load(tmp_path / "m.lpz", named(*others))


def test_names_that_fit_no_file_stay_as_they_were():
    model = named("dense_1", "dense")
    before = kernels(model)
    adopt_names(model, ["other/kernel"], given=True)
    assert kernels(model) == before
