"""Tests the file of a training's variables: what `tests/conformance` does not, its door."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    ContainerError,
    FormError,
    Updates,
    algorithms,
    load,
    save,
    to_compressed,
    to_compressible,
)
from lambdapress.framework.files.trained import load_trained, save_trained
from lambdapress.framework.forms.compress import coarsen


def model(units: int = 3) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(3)
    layers = tf.keras.layers
    return tf.keras.Sequential([tf.keras.Input((8,)), layers.Dense(16, "relu"), layers.Dense(units)])


def trained(name: str) -> tf.keras.Model:
    compressible = to_compressible(model(), algorithms.build(name), lmbda=0.1)
    compressible.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 8)), rng.normal(size=(64, 3))
    compressible.fit(x, y, epochs=2, verbose=0, callbacks=[Updates()])
    return compressible


@pytest.mark.parametrize("name", ["epr", "low_rank", "clustering", "pruning", "uniform"])
def test_a_training_goes_on_from_any_process(name, tmp_path):
    """Also where the shapes of variables follow from values, as a rank does."""
    before = trained(name)
    save_trained(before, tmp_path / "trained.lpz")
    save(before, tmp_path / "before.lpz")
    after = load_trained(tmp_path / "trained.lpz", model(), lmbda=0.5)
    assert float(after.lmbda) == 0.5
    save(after, tmp_path / "after.lpz")
    assert (tmp_path / "after.lpz").read_bytes() == (tmp_path / "before.lpz").read_bytes()
    after.compile("adam", "mse")
    after.fit(np.zeros((8, 8)), np.ones((8, 3)), epochs=1, verbose=0, callbacks=[Updates()])
    assert save(after, tmp_path / "after.lpz") > 0


def test_the_two_kinds_of_file_are_told_apart(tmp_path):
    compressible = trained("epr")
    save_trained(compressible, tmp_path / "trained.lpz")
    save(compressible, tmp_path / "model.lpz")
    with pytest.raises(ContainerError, match="keeps what a training has learned, uncompressed"):
        load(tmp_path / "trained.lpz", model())
    with pytest.raises(ContainerError, match="is a compressed model; it has no variables to train"):
        load_trained(tmp_path / "model.lpz", model(), 1.0)
    with pytest.raises(ContainerError, match="is not of this model"):
        load_trained(tmp_path / "trained.lpz", model(4), 1.0)
    with pytest.raises(FormError, match="Only a compressible model has been trained"):
        save_trained(to_compressed(compressible), tmp_path / "other.lpz")


def test_variables_that_cannot_be_its_algorithm_s_are_refused(tmp_path):
    compressible = trained("epr")
    computed = next(layer for layer in compressible.layers if hasattr(layer, "kernel_latent"))
    wrong = tf.Variable(tf.zeros([2, 2]), name="kernel_latent")
    computed.kernel_latent = wrong
    save_trained(compressible, tmp_path / "trained.lpz")
    with pytest.raises(ContainerError, match=r"dense/kernel cannot be decoded by 'epr'"):
        load_trained(tmp_path / "trained.lpz", model(), 1.0)


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_is_none_is_refused(factor):
    with pytest.raises(FormError, match="give a number above 0"):
        coarsen(to_compressible(model(), algorithms.build("uniform")), factor)


def test_without_steps_nothing_can_be_coarser():
    with pytest.raises(FormError, match="has steps: pruning has none"):
        coarsen(to_compressible(model(), algorithms.build("pruning")), 2.0)
