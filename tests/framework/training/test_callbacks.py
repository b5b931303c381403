"""Tests seeds, the warm-up of λ, and updates outside of the gradient."""

from __future__ import annotations

import random

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import FormError, LmbdaWarmup, Updates, algorithms, set_seeds, to_compressible

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


def pruned() -> tf.keras.Model:
    """Makes a model whose masks follow a schedule over the training."""
    set_seeds(3)
    plain = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(32), k.Dense(2)])
    model = to_compressible(plain, algorithms.build("pruning", sparsity=0.8), 1.0)
    model.compile("adam", "mse")
    return model


def fit(model: tf.keras.Model, callbacks, **arguments) -> list[np.ndarray]:
    data = {"x": X, "y": X[:, :2], "batch_size": 4, "shuffle": False} | arguments
    model.fit(**data, verbose=0, callbacks=callbacks)
    return [variable.numpy() for variable in model.weights]


def test_a_training_in_several_calls_of_fit_is_one_training_if_its_steps_are_given():
    whole = fit(pruned(), [Updates()], epochs=4)
    model = pruned()
    for _ in range(4):
        pieces = fit(model, [Updates(steps=40)], epochs=1)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_second_call_of_fit_without_them_says_so():
    model = pruned()
    fit(model, [Updates()], epochs=1)
    with pytest.warns(UserWarning, match="trained for 10 steps before.*give Updates.steps=…"):
        fit(model, [Updates()], epochs=1)


def test_data_of_unknown_length_is_updated_as_data_of_known_length_from_the_second_epoch_on():
    """The first epoch says how long the others are; the last update is at the end in any case."""

    def batches():
        for start in range(0, len(X), 4):
            yield X[start : start + 4], X[start : start + 4, :2]

    signature = (tf.TensorSpec([None, 4]), tf.TensorSpec([None, 2]))
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    weights = fit(pruned(), [Updates()], x=data, y=None, batch_size=None, epochs=4)
    whole = fit(pruned(), [Updates()], epochs=4)
    kept = [[int(np.sum(w != 0)) for w in one if w.dtype.kind in "ib" and w.ndim] for one in (weights, whole)]
    assert kept[0] == kept[1] and kept[0]


def test_steps_are_a_number():
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        Updates(steps=0)
    with pytest.raises(ValueError, match="steps must be at least 1, got True"):
        Updates(steps=True)
    with pytest.raises(ValueError, match="steps must be at least 0, got False"):
        LmbdaWarmup(False)
    with pytest.raises(FormError, match="a number of at least 0, got True"):
        to_compressible(
            tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2)]), algorithms.build("epr"), True
        )
