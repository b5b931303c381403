"""Checks that compiled work gives the same results for small, compiled and sliced tensors."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms.compiled import compiled, fast_log, row_sums
from lambdapress.algorithms.epr import expected_log_distance
from lambdapress.algorithms.latents import quantize
from lambdapress.algorithms.power_law import power_law_penalty

RNG = np.random.default_rng(0)
SHAPES = [(1, 100), (3, 7), (1, 40_000), (9, 5_000), (1, 2**18 + 5), (2, 2**18)]


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_those_of_numpy(shape):
    x = np.abs(RNG.normal(size=shape)).astype(np.float32)
    sums = compiled(lambda t: row_sums(t, of=lambda x: x * x, of_log=lambda x: 1.0 + 3.0 * x))
    expected = (x.astype(np.float64) ** 2 + np.log1p(3.0 * x.astype(np.float64))).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sums(tf.constant(x)), expected, rtol=1e-5)


def test_large_values_do_not_overflow_the_products():
    x = tf.fill([1, 2**18], 2.0**31)
    sums = compiled(lambda t: row_sums(t, of_log=lambda x: x))
    np.testing.assert_allclose(sums(x), [[2**18 * 31 * np.log(2.0)]], rtol=1e-5)


def test_the_fast_logarithm_is_one():
    x = np.exp(RNG.uniform(0, np.log(2.0**31), size=(1, 2**18))).astype(np.float32)
    x[0, :5] = 1.0, 1.0 + 2.0**-23, 2.0, np.sqrt(2.0), 2.0**31
    exact = np.log(x.astype(np.float64))
    error = np.abs(fast_log(tf.constant(x)).numpy() - exact)
    assert (error <= 2 * np.spacing(np.abs(exact).astype(np.float32))).all()


@pytest.mark.parametrize("shape", SHAPES[2:])
def test_quantised_weights_are_bit_for_bit_those_of_small_pieces(shape):
    latent = RNG.normal(scale=0.1, size=shape).astype(np.float32)
    step = tf.constant(np.exp(RNG.normal(-3, 1, size=(shape[0], 1))), tf.float32)
    pieces = [quantize(tf.constant(latent[:, i : i + 1000]), step) for i in range(0, shape[1], 1000)]
    np.testing.assert_array_equal(quantize(tf.constant(latent), step), tf.concat(pieces, axis=1))


@pytest.mark.parametrize("shape", SHAPES[2:])
@pytest.mark.parametrize("penalty", ["power_law", "epr"])
def test_penalties_and_their_gradients_are_those_of_small_pieces(shape, penalty):
    latent = RNG.normal(scale=2.0, size=shape).astype(np.float32)
    scale = tf.constant(np.exp(RNG.normal(size=(shape[0], 1))), tf.float32)
    alpha = tf.constant(0.3)

    def evaluate(part):
        part = tf.constant(part)
        with tf.GradientTape() as tape:
            tape.watch([part, scale, alpha])
            rate = (
                power_law_penalty(part, scale)
                if penalty == "power_law"
                else expected_log_distance(part, scale, alpha)
            )
        by_part, *others = tape.gradient(rate, [part, scale, alpha], unconnected_gradients="zero")
        return [rate, *others], by_part

    whole, by_latent = evaluate(latent)
    parts = [evaluate(latent[:, i : i + 1000]) for i in range(0, shape[1], 1000)]
    for ours, pieces in zip(whole, zip(*[sums for sums, _ in parts], strict=True), strict=True):
        np.testing.assert_allclose(ours, tf.add_n(list(pieces)), rtol=2e-4)
    np.testing.assert_allclose(by_latent, tf.concat([g for _, g in parts], axis=1), rtol=1e-4, atol=1e-6)
