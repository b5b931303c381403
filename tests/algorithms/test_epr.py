"""Tests EPR: a learned probability model whose rate is in bits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms.epr import expected_log_distance
from lambdapress.framework import WeightSpec, algorithms

RNG = np.random.default_rng(0)
SPEC = WeightSpec("dense/kernel", (100, 50), "float32", "kernel")


def density(y: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Computes the prior independently: flat on [-1/2, 1/2], a power of the distance beyond."""
    return (1 + np.maximum(np.abs(y) - 0.5, 0) / alpha) ** -beta / (1 + 2 * alpha / (beta - 1))


def prior_of(algorithm, alpha: float, beta: float) -> tf.Tensor:
    return tf.constant(np.log([alpha, beta - 1]) / algorithm.prior_multiplier, tf.float32)


@pytest.mark.parametrize("alpha, beta", [(0.2, 2.0), (1.0, 3.0), (5.0, 6.0)])
def test_the_prior_is_a_density_and_the_rate_its_expected_code_length(alpha, beta):
    grid = np.linspace(-2000, 2000, 4_000_001)
    tails = 2 * density(np.array(2000.0), alpha, beta) * (2000 + alpha) / (beta - 1)
    assert density(grid, alpha, beta).sum() * 1e-3 + tails == pytest.approx(1, abs=2e-3)

    algorithm = algorithms.build("epr", log_step=0.0)
    latent = RNG.normal(scale=2.0, size=(1, 300))
    spec = WeightSpec("w", (300,), "float32", "bias")
    variables = {
        "latent": tf.constant(latent, tf.float32),
        "log_step": tf.zeros((1, 1)),
        "prior": prior_of(algorithm, alpha, beta),
    }
    noise = (np.arange(1000) + 0.5) / 1000 - 0.5
    bits = -np.log2(density(latent[0][:, None] + noise, alpha, beta)).mean(axis=1).sum()
    assert float(algorithm.penalty(variables, spec)) == pytest.approx(bits, rel=1e-3)


def test_gradients_of_the_rate_are_those_of_its_values():
    latent = tf.Variable(RNG.normal(scale=2, size=(2, 30)).astype(np.float32))
    inverse, alpha = tf.Variable([[1.0], [3.0]]), tf.Variable(0.7)

    def value():
        return float(expected_log_distance(latent, inverse, alpha))

    with tf.GradientTape() as tape:
        loss = expected_log_distance(latent, inverse, alpha)
    gradients = tape.gradient(loss, [latent, inverse, alpha])
    for variable, gradient in zip((latent, inverse, alpha), gradients, strict=True):
        direction = tf.constant(RNG.normal(size=variable.shape).astype(np.float32))
        epsilon = 1e-2
        variable.assign_add(epsilon * direction)
        above = value()
        variable.assign_sub(2 * epsilon * direction)
        below = value()
        variable.assign_add(epsilon * direction)
        expected = (above - below) / (2 * epsilon)
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(expected, rel=2e-2, abs=2e-2)


@pytest.mark.parametrize("scale, density_of", [(0.02, 1.0), (0.1, 1.0), (0.5, 1.0), (0.5, 0.1)])
def test_with_a_fitted_prior_the_rate_estimates_the_bytes(scale, density_of):
    algorithm = algorithms.build("epr")
    weight = RNG.laplace(scale=scale, size=SPEC.shape) * (RNG.random(SPEC.shape) < density_of)
    variables = {k: tf.Variable(v) for k, v in algorithm.init(tf.constant(weight, tf.float32), SPEC).items()}
    optimizer = tf.keras.optimizers.Adam(0.02)

    @tf.function
    def fit():
        for _ in tf.range(300):
            with tf.GradientTape() as tape:
                rate = algorithm.penalty(variables, SPEC)
            optimizer.apply_gradients([(tape.gradient(rate, variables["prior"]), variables["prior"])])

    optimizer.build([variables["prior"]])
    fit()
    code = algorithm.encode(variables, SPEC)
    stored = sum(len(t.numpy()) if t.dtype == tf.string else t.numpy().nbytes for t in code.values())
    assert 0.8 <= float(algorithm.penalty(variables, SPEC)) / 8 / stored <= 1.35


def test_many_weights_get_a_table_and_few_do_not():
    algorithm = algorithms.build("epr")
    large = algorithm.encode(algorithm.init(tf.constant(RNG.normal(size=SPEC.shape), tf.float32), SPEC), SPEC)
    small_spec = WeightSpec("b", (4,), "float32", "bias")
    small = algorithm.encode(algorithm.init(tf.constant([0.0, 0.1, 0.0, 0.0]), small_spec), small_spec)
    assert "levels" in large and set(small) == {"code", "log_step"}


def test_weights_far_out_are_escaped():
    algorithm = algorithms.build("epr")
    weight = RNG.normal(scale=0.05, size=SPEC.shape)
    weight[0, 0], weight[1, 1] = 1e4, -2e3
    variables = algorithm.init(tf.constant(weight, tf.float32), SPEC)
    encoded = algorithm.encode(variables, SPEC)
    assert "escapes" in encoded
    np.testing.assert_array_equal(algorithm.decode(encoded, SPEC), algorithm.project(variables, SPEC))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), 1e5])
def test_the_priors_multiplier_out_of_range(value):
    with pytest.raises(ValueError, match="prior_multiplier must be a number in"):
        algorithms.build("epr", prior_multiplier=value)


@pytest.mark.parametrize("log_alpha, log_excess", [(26.1, 28.0), (60.0, 60.0), (3.0, 30.0), (-50.0, -50.0)])
def test_a_prior_that_drifts_to_an_exponential_keeps_the_rate_a_rate(log_alpha, log_excess):
    algorithm = algorithms.build("epr", log_step=0.0)
    latent = RNG.laplace(scale=1.0, size=SPEC.shape).astype(np.float32)
    variables = {**algorithm.init(tf.constant(latent), SPEC), "log_step": tf.zeros((1, 1))}
    variables["prior"] = tf.Variable(np.float32([log_alpha, log_excess]) / algorithm.prior_multiplier)
    with tf.GradientTape() as tape:
        rate = algorithm.penalty(variables, SPEC)
    gradient = tape.gradient(rate, variables["prior"])
    assert 0 < float(rate) < 1e9 and np.isfinite(gradient.numpy()).all()
    if (log_alpha, log_excess) == (26.1, 28.0):  # e^1.9 nats a step: too steep, so the way back is down
        assert gradient.numpy()[1] > 0 and float(rate) > algorithm.penalty(
            {**variables, "prior": prior_of(algorithm, 10.0, 11.0)}, SPEC
        )


def test_large_priors_keep_the_rate_exact():
    algorithm = algorithms.build("epr", log_step=0.0)
    latent = RNG.laplace(scale=0.3, size=(1, 20_000))
    spec = WeightSpec("w", (20_000,), "float32", "bias")
    noise = (np.arange(200) + 0.5) / 200 - 0.5
    for alpha, beta in [(100.0, 301.0), (100.0, 20_000.0)]:
        bits = -np.log2(density(latent[0][:, None] + noise, alpha, beta)).mean(axis=1).sum()
        variables = {
            "latent": tf.constant(latent, tf.float32),
            "log_step": tf.zeros((1, 1)),
            "prior": prior_of(algorithm, alpha, beta),
        }
        assert float(algorithm.penalty(variables, spec)) == pytest.approx(bits, rel=2e-3)


def test_bounds_stop_what_leads_away_and_nothing_else():
    from lambdapress.algorithms.rounding import bounded

    value = tf.Variable([-2.0, -2.0, 0.5, 2.0, 2.0])
    with tf.GradientTape() as tape:
        clipped = bounded(value, -1.0, 1.0)
        total = tf.reduce_sum(clipped * [1.0, -1.0, 3.0, 1.0, -1.0])
    np.testing.assert_array_equal(clipped.numpy(), [-1.0, -1.0, 0.5, 1.0, 1.0])
    np.testing.assert_array_equal(tape.gradient(total, value).numpy(), [0.0, -1.0, 3.0, 1.0, 0.0])
