"""Tests mixed precision: what a task trains is float32, its forms agree, and its files are as good."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    Updates,
    algorithms,
    export_saved_model,
    export_tflite,
    load,
    load_exported,
    save,
    set_seeds,
    to_compressed,
    to_compressible,
    to_plain,
)
from lambdapress.framework.surgery.computed_weights import computed_weights_of
from lambdapress.framework.task import tasks
from lambdapress.tasks.digits import Digits
from lambdapress.tasks.keras_task import KerasTask
from lambdapress.tasks.precision import PRECISIONS

MIXED = [precision for precision in PRECISIONS if precision != "float32"]
TRAINED = sorted(name for name in algorithms.names() if algorithms.get(name).trains or name == "none")
DTYPES = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16, "float32": tf.float32}


@dataclasses.dataclass(frozen=True)
class Small(Digits):
    """Digits with a network of every kind of weight, for one short epoch."""

    epochs: int = 1
    batch_size: int = 200
    steps_per_execution: int = 6

    def build_model(self):
        k = tf.keras.layers
        layers = [k.Conv2D(4, 3, strides=2), k.BatchNormalization(), k.ReLU(), k.Flatten(), k.Dense(10)]
        return tf.keras.Sequential([k.InputLayer((8, 8, 1)), *layers])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["digits", "lenet5_caffe", "resnet20", "markov_text", "markov_language"])
def test_a_model_computes_in_its_precision_and_keeps_float32(name, precision):
    task = tasks.build(name, precision=precision)
    model = task.build_model()
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    assert model.output.dtype == tf.float32
    assert {weight.dtype for weight in model.weights if weight.dtype.is_floating} == {tf.float32}
    layers = [layer for layer in model.layers if layer.weights]
    assert {layer.compute_dtype for layer in layers} == {DTYPES[precision].name}
    plain = tasks.build(name).build_model()
    assert [w.name for w in plain.weights] == [w.name for w in model.weights]


def test_the_users_own_policy_comes_back_even_where_building_fails():
    class Broken(Small):
        def build_model(self):
            raise RuntimeError(tf.keras.mixed_precision.global_policy().name)

    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    with pytest.raises(RuntimeError, match="^mixed_float16$"):
        Broken(precision="mixed_float16").build_model()
    assert tf.keras.mixed_precision.global_policy().name == "mixed_bfloat16"
    assert Small().build_model().layers[0].compute_dtype == "float32"


def test_another_precision_is_refused_by_name():
    with pytest.raises(ValueError, match="digits.precision must be one of float32, mixed_bf.*got 'float64'"):
        tasks.build("digits", precision="float64")


def test_several_outputs_of_which_some_are_no_logits():
    class Outputs(Small):
        def build_model(self):
            inputs = tf.keras.Input((8, 8, 1), name="image")
            logits = tf.keras.layers.Dense(10)(tf.keras.layers.Flatten()(inputs))
            choice = tf.argmax(logits, -1)
            return tf.keras.Model({"image": inputs}, {"logits": logits, "choice": choice, "in": inputs})

    model = Outputs(precision="mixed_bfloat16").build_model()
    found = model({"image": tf.zeros((2, 8, 8, 1))})
    dtypes = {name: value.dtype for name, value in found.items()}
    assert dtypes == {"logits": tf.float32, "choice": tf.int64, "in": tf.float32}


def test_a_subclassed_model_trains_and_is_evaluated():
    class Subclassed(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.out = tf.keras.layers.Dense(10)

        def call(self, inputs):
            return self.out(tf.reshape(inputs, [-1, 64]))

    class Task(Small):
        def build_model(self):
            model = Subclassed()
            model(tf.zeros((1, 8, 8, 1)))
            return model

    set_seeds(0)
    task = Task(precision="mixed_bfloat16", epochs=10, learning_rate=1e-2)
    model = task.build_model()
    task.train(model)
    assert model(tf.zeros((1, 8, 8, 1))).dtype == tf.bfloat16
    assert task.evaluate(model).values["accuracy"] > 0.8


def trained(name: str, precision: str, **parameters) -> tuple[KerasTask, tf.keras.Model, tf.keras.Model]:
    set_seeds(0)
    task = Small(precision=precision, **parameters)
    plain = task.build_model()
    model = to_compressible(plain, algorithms.build(name), lmbda=0.1)
    task.train(model, [Updates()])
    return task, plain, model


@pytest.mark.parametrize("precision", MIXED)
@pytest.mark.parametrize("name", TRAINED)
def test_what_is_trained_is_float32_and_all_forms_and_files_agree(name, precision, tmp_path):
    task, plain, model = trained(name, precision)
    for computed in computed_weights_of(model):
        for variable in computed.variables().values():
            assert variable.dtype == tf.float32 or not variable.dtype.is_floating
        assert computed.compute().dtype == tf.float32
    assert all(loss.dtype == tf.float32 for loss in model.losses)
    assert all(np.isfinite(value).all() for value in model.get_weights())
    # On the same products of rounded numbers the forms differ in nothing but what graphs fuse.
    images = task.load("test").images[:50].astype(np.float32) / 16
    expected = model(images).numpy()
    scale = np.abs(expected).max()

    def agrees(outputs) -> None:
        np.testing.assert_allclose(outputs, expected, atol=0.03 * scale)

    save(model, tmp_path / "model.lpz")
    loaded = load(tmp_path / "model.lpz", plain)
    np.testing.assert_array_equal(loaded(images), expected)
    np.testing.assert_array_equal(to_compressed(model)(images), expected)
    restored = load(tmp_path / "model.lpz", Small().build_model())  # of the same task in float32
    for ours, theirs in zip(to_plain(restored).get_weights(), to_plain(model).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    agrees(restored(images))
    assert task.evaluate(loaded).values == pytest.approx(task.evaluate(model).values, abs=1e-3)
    assert model.output.dtype == loaded.output.dtype == tf.float32


@pytest.mark.parametrize("precision", MIXED)
@pytest.mark.parametrize("name", ["none", "epr"])
def test_exports_agree(name, precision, tmp_path):
    task, _, model = trained(name, precision)
    images = task.load("test").images[:50].astype(np.float32) / 16
    expected = model(images).numpy()
    scale = np.abs(expected).max()
    export_saved_model(model, tmp_path / "saved", decode="during")
    again = load_exported(tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    (outputs,) = served(tf.constant(images)).values()
    assert outputs.dtype == again.output.dtype == tf.float32
    np.testing.assert_allclose(outputs, expected, atol=0.03 * scale)
    np.testing.assert_allclose(again(images), expected, atol=0.03 * scale)
    export_tflite(model, tmp_path / "model.tflite", decode="during", ops="builtin")
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    runner = interpreter.get_signature_runner()
    (name_in,) = runner.get_input_details()
    found = [next(iter(runner(**{name_in: image[np.newaxis]}).values()))[0] for image in images[:10]]
    np.testing.assert_allclose(found, expected[:10], atol=0.03 * scale)


def test_float16_is_trained_with_a_scaled_loss_and_goes_on_from_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("lambdapress.framework.training.checkpoint.SHARE", float("inf"))

    def model_of(task):
        set_seeds(0)
        return to_compressible(task.build_model(), algorithms.build("epr"), lmbda=0.1)

    class Kill(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise InterruptedError

    task = Small(precision="mixed_float16", epochs=2)
    whole, part, again = (model_of(task) for _ in range(3))
    task.train(whole, [Updates()])
    assert isinstance(whole.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    set_seeds(0)
    with pytest.raises(InterruptedError):
        task.train(part, [Updates(), Kill()], tmp_path)
    set_seeds(0)
    task.train(again, [Updates()], tmp_path)
    for ours, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert float(again.optimizer.loss_scale) == float(whole.optimizer.loss_scale)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_digits_trains_as_well_in_each_precision(precision):
    set_seeds(0)
    task = tasks.build("digits", precision=precision, epochs=5, batch_size=128)
    model = task.build_model()
    task.train(model)
    assert task.evaluate(model).values["accuracy"] > 0.9
