"""Tests batch normalisation folded into weights: outputs stay the same; it is done only where possible."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    FormError,
    algorithms,
    export_saved_model,
    export_tflite,
    fold_batch_norm,
    load_exported,
    to_compressed,
    to_compressible,
)
from lambdapress.framework.export.formats import open_exported

k = tf.keras.layers


def randomised(model: tf.keras.Model) -> tf.keras.Model:
    rng = np.random.default_rng(1)
    for variable in model.weights:
        noise = rng.normal(scale=0.3, size=variable.shape)
        variable.assign(np.abs(noise) + 0.1 if "variance" in variable.name else noise)
    return model


def network() -> tf.keras.Model:
    """Makes a model of four foldable normalisations, one after an activation, one with a shared input."""
    inputs = tf.keras.Input((8, 8, 3))
    x = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, padding="same", use_bias=False)(inputs)))
    x = k.ReLU()(k.BatchNormalization(scale=False)(k.DepthwiseConv2D(3, depth_multiplier=2)(x)))
    x = k.ReLU()(k.BatchNormalization(center=False)(k.SeparableConv2D(8, 3)(x)))
    x = k.BatchNormalization()(k.Conv2D(8, 1, activation="relu")(x))
    both = k.Conv2D(8, 1)(x)
    x = k.Add()([both, k.BatchNormalization()(both)])
    x = k.BatchNormalization()(k.Dense(12)(k.GlobalAveragePooling2D()(x)))
    return randomised(tf.keras.Model(inputs, k.Dense(4)(x)))


class Subclassed(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution, self.norm = k.Conv2D(8, 3, use_bias=False), k.BatchNormalization()

    def call(self, inputs, training=None):
        return self.norm(self.convolution(inputs), training=training)


def images() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(2, 8, 8, 3)).astype(np.float32)


def norms(model: tf.keras.Model) -> int:
    return sum(isinstance(layer, k.BatchNormalization) for layer in model._flatten_layers())


def test_a_folded_model_predicts_the_same_with_fewer_weights():
    model = network()
    before = [value.copy() for value in model.get_weights()]
    folded = fold_batch_norm(model)
    assert (norms(model), norms(folded)) == (6, 2)
    np.testing.assert_allclose(folded(images()), model(images()), rtol=1e-5, atol=1e-5)
    assert folded.count_params() < model.count_params()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    again = tf.keras.Model.from_config(folded.get_config())
    again.set_weights(folded.get_weights())
    np.testing.assert_allclose(again(images()), folded(images()), rtol=1e-6)


def test_a_subclassed_model_is_folded():
    model = Subclassed()
    model(images())
    randomised(model)
    folded = fold_batch_norm(model)
    assert norms(folded) == 0 and isinstance(folded, Subclassed)
    np.testing.assert_allclose(folded(images()), model(images()), rtol=1e-5, atol=1e-5)


def test_a_layer_that_is_used_twice_stays():
    inputs, norm = tf.keras.Input((4,)), k.BatchNormalization()
    model = randomised(tf.keras.Model(inputs, norm(k.Dense(4)(norm(k.Dense(4)(inputs))))))
    assert norms(fold_batch_norm(model)) == 1


class Tied(tf.keras.layers.Layer):
    """Multiplies by the kernel of another layer."""

    def __init__(self, other: tf.keras.layers.Layer):
        super().__init__()
        self.kernel = other.kernel

    def call(self, inputs):
        return tf.matmul(inputs, self.kernel)


def tied() -> tf.keras.Model:
    inputs, dense = tf.keras.Input((4,)), k.Dense(4, use_bias=False)
    x = k.BatchNormalization()(dense(inputs))
    return randomised(tf.keras.Model(inputs, Tied(dense)(x)))


def test_a_weight_that_another_layer_has_too_stays(tmp_path):
    model, given = tied(), images()[0, :, :4, 0]
    folded = fold_batch_norm(model)
    assert norms(folded) == 1
    np.testing.assert_allclose(folded(given), model(given), rtol=1e-6)
    compressed = to_compressed(model, algorithms.build("power_law"))
    export_saved_model(compressed, tmp_path / "m", fold_batch_norm=True)
    predict, (name, *_) = open_exported(tmp_path / "m")
    np.testing.assert_allclose(predict({name: given})["output"], compressed(given), rtol=1e-5)


def test_only_plain_models_are_folded():
    with pytest.raises(FormError, match="is compressible: fold first"):
        fold_batch_norm(to_compressible(network(), algorithms.build("power_law")))


@pytest.mark.parametrize("decode", ["before", "during", "once"])
def test_an_exported_saved_model_is_folded_and_comes_back(decode, tmp_path):
    compressed = to_compressed(network(), algorithms.build("power_law"))
    export_saved_model(compressed, tmp_path / "m", decode, fold_batch_norm=True)
    expected = compressed(images()).numpy()
    loaded = tf.saved_model.load(str(tmp_path / "m")).signatures["serving_default"]
    fused = [n for f in loaded.graph._functions.values() for n in f.cached_definition.node_def]
    assert sum(node.op == "FusedBatchNormV3" for node in fused) in (0, 2)
    predict, (name, *_) = open_exported(tmp_path / "m")
    np.testing.assert_allclose(predict({name: images()})["output"], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(load_exported(tmp_path / "m")(images()), expected, rtol=1e-5, atol=1e-5)
    assert norms(compressed) == 6
    np.testing.assert_array_equal(compressed(images()), expected)


def test_an_exported_tflite_file_is_folded(tmp_path):
    compressed = to_compressed(network(), algorithms.build("power_law"))
    export_tflite(compressed, tmp_path / "m.tflite", fold_batch_norm=True)
    predict, (name, *_) = open_exported(tmp_path / "m.tflite")
    np.testing.assert_allclose(
        predict({name: images()})["output"], compressed(images()), rtol=1e-4, atol=1e-4
    )


def test_an_activation_between_kernel_and_normalisation_is_not_folded_through():
    """ReLU lets positive factors through, and a gain may be negative."""
    layers = [k.Conv2D(8, 3, activation="relu"), k.BatchNormalization(), k.Flatten(), k.Dense(4)]
    model = tf.keras.Sequential([tf.keras.Input((8, 8, 3)), *layers])
    model.layers[1].gamma.assign(np.linspace(-2, 2, 8))
    assert not model.layers[0].bias.numpy().any()
    folded = fold_batch_norm(model)
    assert norms(folded) == 1
    np.testing.assert_allclose(folded(images()), model(images()), rtol=1e-5, atol=1e-5)


def attributes(model: tf.keras.Model) -> list:
    return [(type(layer), sorted(vars(layer))) for layer in model._flatten_layers()]


@pytest.mark.parametrize("before", ["an export", "a saved model"])
def test_what_was_written_before_changes_nothing(before, tmp_path):
    """Converters leave `call` on each layer, which hides the class that folding gives a normalisation."""
    model = network()
    if before == "a saved model":
        model.save(tmp_path / "saved")
    compressed = to_compressed(model, algorithms.build("uniform"))
    expected = compressed(images()).numpy()
    if before == "an export":
        untouched = attributes(compressed)
        export_tflite(compressed, tmp_path / "first.tflite")
        export_saved_model(compressed, tmp_path / "first")
        assert attributes(compressed) == untouched
    export_tflite(compressed, tmp_path / "m.tflite", fold_batch_norm=True)
    export_saved_model(compressed, tmp_path / "m", fold_batch_norm=True)
    for path in (tmp_path / "m.tflite", tmp_path / "m"):
        predict, (name, *_) = open_exported(path)
        np.testing.assert_allclose(predict({name: images()})["output"], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fold_batch_norm(model)(images()), model(images()), rtol=1e-5, atol=1e-5)
