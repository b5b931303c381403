"""Tests how Keras's tasks are trained: the rate over time, weight decay and the loss."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import Updates, algorithms, set_seeds, to_compressible
from lambdapress.framework.task import tasks
from lambdapress.framework.training.weight_decay import undecayed
from lambdapress.tasks.digits import Digits
from lambdapress.tasks.optimization import CrossEntropy

STEPS = 100


def rates(**parameters) -> np.ndarray:
    rate = tasks.build("digits", learning_rate=2.0, **parameters).make_learning_rate(STEPS)
    if isinstance(rate, float):
        return np.full(STEPS + 1, rate)
    return np.array([float(rate(tf.constant(step, tf.int64))) for step in range(STEPS + 1)])


def test_nothing_said_is_adam_along_half_a_cosine_as_ever():
    made = tasks.build("digits").make_optimizer(tasks.build("digits").build_model(), STEPS)
    before = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(3e-3, STEPS, alpha=0.01))
    assert made.get_config() == before.get_config() and type(made) is tf.keras.optimizers.Adam
    constant = tasks.build("digits", final_learning_rate_factor=1.0)
    assert constant.make_learning_rate(STEPS) == 3e-3


def test_one_cycle_rises_and_falls_along_lines():
    found = rates(schedule="one_cycle", final_learning_rate_factor=0.0)
    assert 2 / 25 < found[0] < 0.15 and found.argmax() in (29, 30) and found[-1] == 0
    assert found[29:31] == pytest.approx([2, 2])
    np.testing.assert_allclose(np.diff(found[:30], 2), 0, atol=1e-6)
    np.testing.assert_allclose(np.diff(found[30:], 2), 0, atol=1e-6)
    later = rates(schedule="one_cycle", warmup=0.5, final_learning_rate_factor=0.1)
    assert later.argmax() in (49, 50) and later[-1] == pytest.approx(0.2)


def test_a_warm_up_rises_from_0_to_what_the_schedule_does_after_it():
    for schedule, end in (("constant", 2.0), ("cosine", 0.02)):
        found = rates(schedule=schedule, warmup=0.2, final_learning_rate_factor=0.01)
        np.testing.assert_allclose(found[:20], 2 * np.arange(1, 21) / 20, rtol=1e-6)
        assert found[20] == pytest.approx(2) and found[-1] == pytest.approx(end)
        assert found[60] == pytest.approx((2 + end) / 2)  # half of the fall
    np.testing.assert_array_equal(rates(schedule="constant"), 2)


def test_one_cycle_without_a_rise_falls_from_the_first_step():
    found = rates(schedule="one_cycle", warmup=0.0, final_learning_rate_factor=0.0)
    np.testing.assert_allclose(found, 2 * (1 - np.arange(STEPS + 1) / STEPS), atol=1e-6)


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("schedule", "one-cycle", "one of constant, cosine, one_cycle, got 'one-cycle'"),
        ("optimizer", "adamw", "one of adam, sgd, got 'adamw'"),
        ("warmup", 1.0, "at least 0 and below 1, got 1.0"),
        ("warmup", -0.1, "at least 0 and below 1, got -0.1"),
        ("momentum", True, "at least 0 and below 1, got True"),
        ("label_smoothing", 1, "at least 0 and below 1, got 1"),
        ("weight_decay", -1e-4, "a number of at least 0, got -0.0001"),
        ("weight_decay", float("nan"), "a number of at least 0, got nan"),
        ("learning_rate", float("inf"), "above 0, got inf"),
    ],
)
def test_a_bad_hyper_parameter_is_named(field, value, said):
    with pytest.raises(ValueError, match=rf"digits\.{field} must be .*{said}"):
        tasks.build("digits", **{field: value})


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_smoothed_labels_are_those_of_the_categorical_loss(smoothing, shape):
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(*shape, 5)).astype(np.float32)
    labels = draw.integers(0, 5, shape)
    dense = tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = dense(tf.one_hot(labels, 5), logits)
    np.testing.assert_allclose(CrossEntropy(smoothing)(labels, logits), expected, rtol=1e-6)


def test_the_loss_is_float32_for_logits_that_are_not():
    logits = tf.constant([[1.0, 2.0]], tf.bfloat16)
    for smoothing in (0.0, 0.1):
        found = CrossEntropy(smoothing)([0], logits)
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, CrossEntropy(smoothing)([0], tf.cast(logits, tf.float32)))


def every_role() -> tf.keras.Model:
    k = tf.keras.layers
    inputs = tf.keras.Input((4,), dtype=tf.int32)
    x = k.GRU(5, name="gru")(k.Embedding(9, 6, name="embedding")(inputs))
    x = k.BatchNormalization(name="norm")(k.Dense(6, name="dense")(x))
    x = k.DepthwiseConv1D(2, name="depthwise")(k.Reshape((3, 2))(x))
    return tf.keras.Model(inputs, k.Dense(3, name="out")(k.Flatten()(x)))


KERNELS = {
    "embedding/embeddings",
    "gru/gru_cell/kernel",
    "gru/gru_cell/recurrent_kernel",
    "dense/kernel",
    "depthwise/depthwise_kernel",
    "out/kernel",
}


def decayed(model: tf.keras.Model) -> set[str]:
    left = {id(variable) for variable in undecayed(model)}
    return {v.name.partition(":")[0] for v in model.trainable_variables if id(v) not in left}


def test_of_a_plain_model_kernels_and_embeddings_are_decayed():
    assert decayed(every_role()) == KERNELS


@pytest.mark.parametrize("name", sorted(algorithms.names()))
def test_of_what_an_algorithm_trains_only_the_weight_itself_is_decayed(name):
    model = to_compressible(every_role(), algorithms.build(name), lmbda=0.1)
    found = decayed(model)
    assert all(variable.endswith(("_weight", "weight__weight")) for variable in found), found
    assert not any(part in variable for variable in found for part in ("bias", "gamma", "beta", "latent"))
    if name in ("none", "pruning", "clustering", "uniform", "half", "lossless"):
        assert {variable.removesuffix("_weight") for variable in found} == KERNELS
    if name in ("epr", "power_law"):
        assert not found


def test_a_chain_that_trains_weights_decays_them():
    algorithm = algorithms.build("chain", algorithms=["pruning", "uniform"])
    found = decayed(to_compressible(every_role(), algorithm, lmbda=0.1))
    assert {variable.removesuffix("_weight__weight") for variable in found} == KERNELS


def test_a_kernel_that_an_algorithm_leaves_alone_is_decayed():
    model = to_compressible(every_role(), [("dense/kernel", algorithms.build("epr")), (".*", None)])
    assert decayed(model) == KERNELS - {"dense/kernel"}


@dataclasses.dataclass(frozen=True)
class Tiny(Digits):
    """Digits with a network that is traced quickly."""

    def build_model(self):
        k = tf.keras.layers
        return tf.keras.Sequential([k.InputLayer((8, 8, 1)), k.Flatten(), k.Dense(10, name="out")])


def weights_after(algorithm: str | None, **parameters) -> dict[str, np.ndarray]:
    """Returns a model's trainable variables after one epoch."""
    set_seeds(0)
    task = Tiny(epochs=1, **parameters)
    model = task.build_model()
    if algorithm is not None:
        model = to_compressible(model, algorithms.build(algorithm), lmbda=0.3)
    callbacks = [] if algorithm is None else [Updates()]
    task.train(model, callbacks)
    return {v.name: v.numpy() for v in model.trainable_variables}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_decay_shrinks_kernels_and_a_baseline_is_trained_as_the_plain_model(optimizer):
    settings = dict(optimizer=optimizer, learning_rate=3e-3, schedule="constant")
    plain = weights_after(None, **settings)
    shrunk = weights_after(None, **settings, weight_decay=10.0)
    baseline = weights_after("none", **settings, weight_decay=10.0)
    for name, value in plain.items():
        if "kernel" in name:
            assert np.linalg.norm(shrunk[name]) < 0.8 * np.linalg.norm(value), name
        stored = name.replace(":0", "_weight:0")
        np.testing.assert_allclose(baseline[stored], shrunk[name], atol=1e-5)


def test_latents_steps_and_priors_are_trained_as_without_decay():
    without, decay = weights_after("epr"), weights_after("epr", weight_decay=10.0)
    assert without.keys() == decay.keys() and any("log_step" in name for name in without)
    for name, value in without.items():
        np.testing.assert_array_equal(decay[name], value, err_msg=name)


@pytest.mark.parametrize("optimizer, rate", [("adam", 3e-3), ("sgd", 0.05)])
def test_a_recipe_learns(optimizer, rate):
    set_seeds(0)
    task = tasks.build(
        "digits",
        epochs=8,
        optimizer=optimizer,
        learning_rate=rate,
        schedule="one_cycle",
        weight_decay=1e-3,
        label_smoothing=0.1,
    )
    model = task.build_model()
    task.train(model)
    assert task.evaluate(model).values["accuracy"] > 0.93
