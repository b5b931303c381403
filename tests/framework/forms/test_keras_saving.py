"""Tests Keras's own files of compressible and compressed models."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    FormError,
    algorithms,
    form_of,
    save,
    to_compressed,
    to_compressible,
    to_plain,
)

k = tf.keras.layers
X = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype(np.float32)
Y = np.zeros((8, 3), np.float32)


@pytest.fixture(params=["power_law", "epr"])
def compressible(request) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(1)
    layers = [k.Conv2D(4, 3, kernel_regularizer="l2"), k.BatchNormalization(), k.Flatten(), k.Dense(3)]
    plain = tf.keras.Sequential([tf.keras.Input(X.shape[1:]), *layers])
    model = to_compressible(plain, [("conv", algorithms.build(request.param))], lmbda=0.25)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    return model


def same(model, other) -> None:
    assert type(model).__name__ == type(other).__name__ and form_of(model) == form_of(other)
    np.testing.assert_array_equal(model(X), other(X))
    np.testing.assert_array_equal([float(x) for x in model.losses], [float(x) for x in other.losses])


def test_a_compressible_model_goes_on_training_from_its_file(compressible, tmp_path):
    compressible.save(tmp_path / "m.keras")
    again = tf.keras.models.load_model(tmp_path / "m.keras")
    same(compressible, again)
    assert float(again.lmbda) == 0.25
    for model in (compressible, again):  # the optimizer's moments came along
        model.fit(X, Y, verbose=0, shuffle=False)
    for one, other in zip(compressible.weights, again.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("decode", ["during", "once"])
def test_a_compressed_model_comes_back_with_the_same_bytes(decode, compressible, tmp_path):
    model = to_compressed(compressible, decode=decode)
    model.save(tmp_path / "m.keras")
    again = tf.keras.models.load_model(tmp_path / "m.keras")
    same(model, again)
    save(model, tmp_path / "a.lpz")
    save(again, tmp_path / "b.lpz")
    assert (tmp_path / "a.lpz").read_bytes() == (tmp_path / "b.lpz").read_bytes()
    same(to_compressible(again, lmbda=0.25), to_compressible(model, lmbda=0.25))


@tf.keras.saving.register_keras_serializable("lambdapress_test_keras_saving")
class Traced(tf.keras.Model):
    """Has a call that building traces, and that keeps the variables which it read then."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.dense = k.Dense(3)

    @tf.function
    def call(self, inputs):
        return self.dense(inputs)


def test_what_building_has_traced_does_not_read_the_replaced_variables(tmp_path):
    plain = Traced()
    plain(X)
    for model in (
        to_compressible(plain, algorithms.build("uniform")),
        to_compressed(plain, algorithms.build("uniform")),
    ):
        model.save(tmp_path / "m.keras")
        same(model, tf.keras.models.load_model(tmp_path / "m.keras"))


@pytest.mark.parametrize("name", ["w.weights.h5", "checkpoint"])
def test_weights_alone(name, compressible, tmp_path):
    for model in (compressible, to_compressed(compressible)):
        other = to_compressible(to_compressed(compressible), lmbda=0.25)
        other = to_compressed(other) if form_of(model) == "compressed" else other
        for variable in other.weights:
            if variable.dtype.is_floating:
                variable.assign(tf.zeros_like(variable))
        model.save_weights(tmp_path / name)
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(model(X), other(X))


def test_keras_saves_a_saved_model(compressible, tmp_path):
    model = to_compressed(compressible)
    model.save(tmp_path / "m")
    served = tf.saved_model.load(str(tmp_path / "m"))
    np.testing.assert_allclose(served(X), model(X), rtol=1e-6, atol=1e-6)


def test_hdf5_is_refused(compressible, tmp_path):
    for name, keywords in (("m.h5", {}), ("m", {"save_format": "h5"})):
        with pytest.raises(FormError, match="hold no compressible model; give a name that ends in .keras"):
            compressible.save(tmp_path / name, **keywords)


def test_weights_of_another_model_are_refused(compressible, tmp_path):
    rules = [("kernel", algorithms.build("power_law")), ("bias", algorithms.build("epr"))]
    to_compressible(to_plain(compressible), rules).save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match="variables bias.*; the file has .*kernel_latent"):
        compressible.load_weights(tmp_path / "w.weights.h5")


def test_a_config_cannot_allocate_what_its_weights_do_not_need(compressible):
    config = to_compressed(compressible).get_config()
    config["weights"][0]["tensors"]["log_step"] = ["float32", [1 << 20, 1 << 20]]
    with pytest.raises(ValueError, match="'log_step' of shape .* too large for its weight"):
        type(compressible).from_config(config)
