"""Tests that what a layer derives from its variables follows them into a model that is read back."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    algorithms,
    export_saved_model,
    load,
    load_exported,
    save,
    to_compressed,
    to_compressible,
)
from lambdapress.framework.files.pretrained import initialise

INPUTS = np.random.default_rng(0).normal(5, 3, size=(50, 6)).astype(np.float32)


def build(adapt: bool) -> tf.keras.Model:
    """Makes a model that normalises its inputs, by statistics of data that only the sender has."""
    normalization = tf.keras.layers.Normalization()
    if adapt:
        normalization.adapt(INPUTS)
    return tf.keras.Sequential([tf.keras.Input((6,)), normalization, tf.keras.layers.Dense(4)])


def test_a_container_brings_the_statistics_along(tmp_path):
    model = build(adapt=True)
    save(to_compressible(model, algorithms.build("lossless")), tmp_path / "model.lpz")
    restored = load(tmp_path / "model.lpz", build(adapt=False))
    np.testing.assert_array_equal(restored(INPUTS), model(INPUTS))


def test_an_exported_model_brings_them_along(tmp_path):
    model = to_compressed(build(adapt=True), algorithms.build("half"))
    export_saved_model(model, tmp_path / "served")
    for again in (load_exported(tmp_path / "served"), load_exported(tmp_path / "served", build(adapt=False))):
        np.testing.assert_array_equal(again(INPUTS), model(INPUTS))


@pytest.mark.parametrize("kind", ["model.keras", "model.weights.h5", "weights", "folder", "model.lpz"])
def test_every_file_that_a_model_is_initialised_from_does(kind, tmp_path):
    model, path = build(adapt=True), tmp_path / kind
    if kind == "model.lpz":
        save(to_compressible(model, algorithms.build("lossless")), path)
    elif kind in ("model.weights.h5", "weights"):
        model.save_weights(path)
    else:
        model.save(path)
    fresh = build(adapt=False)
    initialise(fresh, path)
    np.testing.assert_array_equal(fresh(INPUTS), model(INPUTS))
