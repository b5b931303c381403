"""Tests seeds, and the warm-up of λ."""

from __future__ import annotations

import random

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import FormError, LmbdaWarmup, algorithms, set_seeds, to_compressible

k = tf.keras.layers
X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


def trained(lmbda: float = 2.0, callbacks=(), epochs: int = 1, **arguments):
    model = to_compressible(
        tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2)]), algorithms.build("power_law"), lmbda
    )
    model.compile("sgd", "mse", **arguments)
    model.fit(X, X[:, :2], batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


class Watch(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.lmbda))


def test_lmbda_rises_linearly_and_stays():
    watch = Watch()
    model = trained(2.0, [LmbdaWarmup(5), watch])
    np.testing.assert_allclose(watch.seen, [0, 0.4, 0.8, 1.2, 1.6, 2, 2, 2, 2, 2], rtol=1e-6)
    assert float(model.lmbda) == 2.0


def test_no_steps_change_nothing():
    watch = Watch()
    trained(2.0, [LmbdaWarmup(0), watch])
    assert set(watch.seen) == {2.0}


def test_training_on_goes_on_where_it_was():
    warmup, watch = LmbdaWarmup(20), Watch()
    model = trained(2.0, [warmup, watch])
    assert float(model.lmbda) == 2.0  # between trainings λ has its original value
    model.fit(X, X[:, :2], batch_size=4, verbose=0, callbacks=[warmup, watch])
    np.testing.assert_allclose(watch.seen, 0.1 * np.arange(20), rtol=1e-5, atol=1e-6)


def test_lmbda_that_a_checkpoint_holds_is_not_taken_for_the_goal():
    """Trains from a λ that was saved while it rose."""
    watch = Watch()
    trained(0.5, [LmbdaWarmup(5, lmbda=2.0), watch])
    np.testing.assert_allclose(watch.seen, [0, 0.4, 0.8, 1.2, 1.6, 2, 2, 2, 2, 2], rtol=1e-6)


def test_warm_up_reaches_lmbda_when_several_steps_run_at_once():
    watch = Watch()
    trained(2.0, [LmbdaWarmup(5), watch], steps_per_execution=4)
    assert watch.seen[-1] == 2.0


def test_warm_up_needs_a_compressible_model_and_steps():
    model = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(FormError, match="to_compressible"):
        model.fit(X, X[:, :2], verbose=0, callbacks=[LmbdaWarmup(5)])
    with pytest.raises(ValueError, match="at least 0, got -1"):
        LmbdaWarmup(-1)


def test_seeds_repeat_everything():
    def draw():
        set_seeds(7)
        return random.random(), np.random.rand(), float(tf.random.uniform([])), trained().get_weights()

    first, second = draw(), draw()
    assert first[:3] == second[:3]
    assert all(np.array_equal(a, b) for a, b in zip(first[3], second[3], strict=True))


def test_deterministic_operations_come_and_go():
    def cropped():  # TensorFlow refuses this under deterministic operations
        box = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
        return tf.image.sample_distorted_bounding_box([8, 8, 3], bounding_boxes=box)

    set_seeds(1, deterministic=True)
    with pytest.raises(ValueError, match="determinism is enabled"):
        cropped()
    set_seeds(1)
    cropped()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", True, None])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match="seed must be an integer"):
        set_seeds(seed)
