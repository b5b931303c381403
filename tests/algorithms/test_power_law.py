"""Tests the notebook's algorithm."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms.power_law import power_law_penalty
from lambdapress.framework import WeightSpec, algorithms

RNG = np.random.default_rng(0)
SPEC = WeightSpec("dense/kernel", (30, 20), "float32", "kernel")


def test_the_penalty_is_the_formula():
    algorithm = algorithms.build("power_law", alpha=0.3, log_step=-1.0)
    weight = RNG.normal(size=SPEC.shape)
    variables = algorithm.init(tf.constant(weight, tf.float32), SPEC)
    step = float(np.exp(np.float16(-1.0)))
    expected = np.log((np.abs(weight / step) + 0.3) / 0.3).sum()
    assert float(algorithm.penalty(variables, SPEC)) == pytest.approx(expected, rel=1e-4)


def test_the_penaltys_gradients_are_those_of_the_formula():
    latent = tf.Variable(RNG.normal(size=(3, 20)).astype(np.float32))
    scale = tf.Variable([[0.01], [0.1], [1.0]])
    with tf.GradientTape(persistent=True) as tape:
        ours = power_law_penalty(latent, scale)
        formula = tf.reduce_sum(tf.math.log(1 + tf.abs(latent) / scale))
    for variable in (latent, scale):
        ours_by, formula_by = tape.gradient(ours, variable), tape.gradient(formula, variable)
        np.testing.assert_allclose(ours_by, formula_by, rtol=1e-3, atol=1e-3)


def test_zeros_cost_nothing_and_no_gradient_explodes():
    algorithm = algorithms.build("power_law")
    variables = {k: tf.Variable(v) for k, v in algorithm.init(tf.zeros(SPEC.shape), SPEC).items()}
    with tf.GradientTape() as tape:
        penalty = algorithm.penalty(variables, SPEC)
    assert float(penalty) == 0
    for gradient in tape.gradient(penalty, list(variables.values())):
        np.testing.assert_array_equal(gradient, tf.zeros_like(gradient))
    stored = sum(
        len(np.asarray(t).tobytes())
        for t in algorithm.encode(variables, SPEC).values()
        if t.dtype != tf.string
    )
    assert stored == 2  # one step
    assert len(algorithm.encode(variables, SPEC)["code"].numpy()) <= 4


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), 1e4])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match="alpha must be a number in"):
        algorithms.build("power_law", alpha=alpha)
