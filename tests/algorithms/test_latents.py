"""Tests latents, steps and their transform."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms.latents import frequencies, from_latent, integers, quantize, real_dft, to_latent
from lambdapress.framework import WeightSpec, algorithms

RNG = np.random.default_rng(0)
SPECS = [
    WeightSpec("dense", (7, 5), "float32", "kernel"),
    WeightSpec("bias", (6,), "float32", "bias"),
    WeightSpec("scalar", (), "float32", "bias"),
    WeightSpec("empty", (0, 3), "float32", "kernel"),
    WeightSpec("conv1d", (5, 2, 3), "float32", "kernel", 1),
    WeightSpec("conv2d", (3, 4, 2, 3), "float32", "kernel", 2),
    WeightSpec("conv3d", (2, 3, 4, 2, 2), "float32", "kernel", 3),
    WeightSpec("pointwise", (1, 1, 4, 5), "float32", "kernel", 2),
    WeightSpec("half", (3, 3, 2, 2), "float16", "kernel", 2),
    WeightSpec("bfloat16", (4, 4), "bfloat16", "kernel"),
    WeightSpec("double", (4, 4), "float64", "kernel"),
]


def weight_of(spec: WeightSpec, scale: float = 0.5) -> tf.Tensor:
    return tf.cast(RNG.normal(scale=scale, size=spec.shape), spec.dtype)


@pytest.mark.parametrize("size", range(1, 12))
def test_the_transform_is_orthonormal_and_sorted_by_frequency(size):
    basis = real_dft(size)
    np.testing.assert_allclose(basis @ basis.T, np.eye(size), atol=1e-12)
    spectrum = np.abs(np.fft.rfft(basis, axis=1))
    assert np.argmax(spectrum, axis=1).tolist() == [(k + 1) // 2 for k in range(size)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.path)
def test_the_transform_has_an_inverse(spec):
    weight = weight_of(spec)
    latent = to_latent(weight, spec)
    assert latent.dtype == tf.float32 and latent.shape[0] == frequencies(spec)
    back = from_latent(latent, spec)
    assert back.dtype.name == spec.dtype and back.shape == spec.shape
    np.testing.assert_allclose(
        tf.cast(back, tf.float32), tf.cast(weight, tf.float32), atol=1e-2 if "16" in spec.dtype else 1e-6
    )
    np.testing.assert_allclose(np.sum(latent**2), np.sum(tf.cast(weight, tf.float32) ** 2), rtol=1e-4)


@pytest.mark.parametrize("name", ["power_law", "epr"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.path)
def test_stored_and_projected_are_bit_for_bit_the_same_in_graphs_too(name, spec):
    algorithm = algorithms.build(name, log_step=-2.0)
    variables = {key: tf.convert_to_tensor(v) for key, v in algorithm.init(weight_of(spec), spec).items()}
    projected = algorithm.project(variables, spec)
    encoded = algorithm.encode(variables, spec)
    for decoded in (
        algorithm.decode(encoded, spec),
        tf.function(lambda: algorithm.decode(encoded, spec))(),
        tf.function(lambda: algorithm.project(variables, spec))(),
        algorithm.project(algorithm.restore(encoded, spec), spec),
    ):
        assert decoded.numpy().tobytes() == projected.numpy().tobytes()
    again = algorithm.encode(algorithm.restore(encoded, spec), spec)
    assert {k: v.numpy().tobytes() if v.dtype != tf.string else v.numpy() for k, v in again.items()} == {
        k: v.numpy().tobytes() if v.dtype != tf.string else v.numpy() for k, v in encoded.items()
    }


@pytest.mark.parametrize("name", ["power_law", "epr"])
@pytest.mark.parametrize("log_step, multiplier", itertools.product([-8.0, -4.0, 0.0], [1.0, 30.0]))
def test_the_error_is_at_most_half_a_step(name, log_step, multiplier):
    algorithm = algorithms.build(name, log_step=log_step, log_step_multiplier=multiplier)
    for spec in (SPECS[0], SPECS[5]):
        weight = weight_of(spec)
        variables = algorithm.init(weight, spec)
        np.testing.assert_allclose(algorithm.step(variables), np.exp(log_step), rtol=2e-2)
        error = to_latent(algorithm.project(variables, spec) - weight, spec)
        assert np.abs(error).max() <= 0.5001 * np.max(algorithm.step(variables)) + 1e-5


def test_rounding_is_straight_through():
    latent, step = (
        tf.Variable(RNG.normal(size=(3, 20)).astype(np.float32)),
        tf.Variable([[0.1], [0.5], [2.0]]),
    )
    upstream = RNG.normal(size=(3, 20)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantize(latent, step) * upstream)
    by_latent, by_step = tape.gradient(loss, [latent, step])
    np.testing.assert_allclose(by_latent, upstream)
    scaled = latent / step
    expected = np.sum(upstream * (np.round(scaled) - scaled), axis=1, keepdims=True)
    np.testing.assert_allclose(by_step, expected, rtol=1e-3, atol=1e-4)


def test_a_projected_weight_has_no_minus_zero():
    weight = quantize(tf.constant([[-0.2, 0.2, -0.0, 0.0]]), tf.constant([[1.0]])).numpy()
    assert not np.signbit(weight).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_training_that_diverged_is_said_to_have(value):
    with pytest.raises(ValueError, match="diverged"):
        integers(tf.constant([[0.0, value]]), tf.constant([[0.1]]))
    for name in ("power_law", "epr"):
        algorithm, spec = algorithms.build(name), WeightSpec("w", (2,), "float32", "bias")
        variables = {**algorithm.init(tf.zeros(2), spec), "latent": tf.constant([[0.0, value]])}
        with pytest.raises(ValueError, match="diverged"):
            algorithm.encode(variables, spec)


@pytest.mark.parametrize("name", ["power_law", "epr"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"log_step": 11.0},
        {"log_step": float("nan")},
        {"log_step_multiplier": 0.0},
        {"log_step_multiplier": 1e5},
    ],
    ids=str,
)
def test_hyper_parameters_out_of_range(name, arguments):
    (key,) = arguments
    with pytest.raises(ValueError, match=key):
        algorithms.build(name, **arguments)


def test_steps_of_another_number_are_refused():
    algorithm, spec = algorithms.build("power_law"), SPECS[5]
    encoded = dict(algorithm.encode(algorithm.init(weight_of(spec), spec), spec))
    encoded["log_step"] = encoded["log_step"][:-1]
    with pytest.raises(ValueError, match="12 steps expected"):
        algorithm.decode(encoded, spec)


@pytest.mark.parametrize("name", ["epr", "power_law"])
@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2**9, 2**9)])
def test_the_penalty_is_a_number_for_any_weight_and_the_finest_steps(name, shape):
    spec = WeightSpec("w", shape, "float32", "kernel")
    fine = {"log_step": -12.0, **({"alpha": 1e-6} if name == "power_law" else {})}
    algorithm = algorithms.build(name, **fine)
    variables = algorithm.init(tf.random.normal(shape), spec)
    assert np.isfinite(float(algorithm.penalty(variables, spec)))


@pytest.mark.parametrize("step", [np.nan, np.inf])
def test_a_step_that_is_no_number_is_not_decoded(step):
    spec = WeightSpec("w", (3, 4), "float32", "kernel")
    algorithm = algorithms.build("epr")
    encoded = algorithm.encode(algorithm.init(tf.ones(spec.shape), spec), spec)
    with pytest.raises(ValueError, match="finite steps"):
        algorithm.decode({**encoded, "log_step": tf.constant([step], tf.float16)}, spec)
