"""Tests that what is stored follows from the weights that a training ends with, whoever sets them."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms import steps
from lambdapress.framework import Updates, algorithms, set_seeds, to_compressible, whole_training
from lambdapress.framework.surgery.computed_weights import computed_weights_of
from lambdapress.framework.surgery.private import average_of

k = tf.keras.layers
LMBDA = 0.05
_RANDOM = np.random.default_rng(0)
X = _RANDOM.normal(size=(256, 16)).astype(np.float32)
Y = np.tanh(X @ _RANDOM.normal(size=(16, 8))).astype(np.float32)

# Each does its work at the end, so that the result follows from the weights alone.
AT_THE_END = {
    "uniform": {},
    "clustering": {},
    "pruning": {"begin": 1.0, "end": 1.0},
    "low_rank": {"start": 1.0, "rank": 2},
    "chain": {"algorithms": [["pruning", {"begin": 1.0, "end": 1.0}], "uniform"]},
}


def made(name: str, optimizer="adam", **parameters) -> tf.keras.Model:
    set_seeds(1)
    layers = [tf.keras.Input((16,)), k.Dense(24, activation="tanh"), k.Dense(8)]
    model = to_compressible(tf.keras.Sequential(layers), algorithms.build(name, **parameters), LMBDA)
    model.compile(optimizer, "mse")
    return model


def fit(model: tf.keras.Model, callbacks, **arguments) -> None:
    model.fit(X, Y, **{"batch_size": 32, "epochs": 3, "verbose": 0, **arguments}, callbacks=callbacks)


def effective(model: tf.keras.Model) -> list[np.ndarray]:
    return [w.algorithm.project(w.tensors(), w.spec).numpy() for w in computed_weights_of(model)]


def halve(model: tf.keras.Model) -> None:
    """Stands for all that sets a model's weights: they are no multiple of what they were."""
    for variable in model.trainable_variables:
        variable.assign(0.5 * variable + 0.1 * tf.sin(100.0 * variable))


def assert_stored_as_if_set_before(model: tf.keras.Model, other: tf.keras.Model) -> None:
    for one, two in zip(effective(model), effective(other), strict=True):
        np.testing.assert_array_equal(one, two)


class Halve(tf.keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        halve(self.model)


@pytest.mark.parametrize("name", AT_THE_END)
def test_the_last_update_comes_after_all_callbacks_and_what_belongs_to_the_training(name):
    build = functools.partial(made, name, **AT_THE_END[name])
    before, behind, after_fit = build(), build(), build()
    fit(before, [Halve(), Updates()])
    fit(behind, [Updates(), Halve()])
    with whole_training(after_fit):
        fit(after_fit, [Updates()])
        halve(after_fit)
    assert_stored_as_if_set_before(behind, before)
    assert_stored_as_if_set_before(after_fit, before)


def test_the_best_epochs_weights_are_what_is_stored():
    class Best(tf.keras.callbacks.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, {"loss": float(epoch)})  # the first is the best

    once, stopped = made("clustering"), made("clustering")
    fit(once, [Updates()], epochs=1)
    fit(stopped, [Updates(), Best("loss", patience=2, restore_best_weights=True)], epochs=5)
    assert_stored_as_if_set_before(stopped, once)


class Mean(tf.keras.callbacks.Callback):
    """Averages the weights that the forward passes use, as the optimizer averages its variables."""

    def on_train_begin(self, logs=None):
        self.mean = None

    def on_train_batch_end(self, batch, logs=None):
        now = effective(self.model)
        before = now if self.mean is None else self.mean
        self.mean = [0.9 * a + 0.1 * b for a, b in zip(before, now, strict=True)]


@pytest.mark.parametrize("scaled", [False, True], ids=["", "loss scaling"])
@pytest.mark.parametrize(
    "name, parameters, most",
    [
        ("none", {}, 0.001),
        ("uniform", {}, 0.08),
        ("clustering", {}, 0.08),
        ("clustering", {"start": 0.7}, 0.08),
        ("pruning", {}, 0.08),
        ("low_rank", {"rank": 3, "start": 0.7}, 0.12),
        ("chain", {"algorithms": [["low_rank", {"rank": 3, "start": 0.7}], "uniform"]}, 0.15),
    ],
)
def test_what_is_stored_is_near_the_averages_that_keras_keeps(name, parameters, most, scaled):
    adam = tf.keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model = made(name, tf.keras.mixed_precision.LossScaleOptimizer(adam) if scaled else adam, **parameters)
    mean = Mean()
    fit(model, [Updates(), mean], epochs=5)
    for stored, wanted in zip(effective(model), mean.mean, strict=True):
        if stored.ndim > 1:
            assert np.linalg.norm(stored - wanted) < most * np.linalg.norm(wanted)


def test_an_optimizer_that_averages_nothing_has_no_averages():
    model = made("low_rank")
    variable = model.trainable_variables[0]
    adam = tf.keras.optimizers.Adam(use_ema=True)
    assert average_of(adam, variable) is None, "not built"
    adam.build(model.trainable_variables)
    assert average_of(adam, variable).shape == variable.shape
    assert average_of(adam, tf.Variable(1)) is None
    assert average_of(model.optimizer, variable) is None


def test_a_training_that_raises_ends_without_the_last_update():
    class Stop(tf.keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            raise InterruptedError

    model = made("uniform")
    with pytest.raises(InterruptedError):
        fit(model, [Updates(), Stop()])
    assert all((weight.tensors()["step"] == steps.OFF).numpy().all() for weight in computed_weights_of(model))
    fit(model, [Updates(steps=24)])  # nothing is left over for the next training
    assert all((weight.tensors()["step"] != steps.OFF).numpy().all() for weight in computed_weights_of(model))
