"""Tests the cast to 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import WeightSpec, algorithms

SPEC = WeightSpec("w", (40, 50), "float32", "kernel")


@pytest.mark.parametrize("dtype, precision", [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_two_bytes_a_weight_and_the_dtypes_precision(dtype, precision):
    weight = np.random.default_rng(0).normal(size=SPEC.shape).astype(np.float32)
    algorithm = algorithms.build("half", dtype=dtype)
    encoded = algorithm.encode({"weight": tf.constant(weight)}, SPEC)
    assert encoded["value"].numpy().nbytes == 2 * SPEC.size
    np.testing.assert_allclose(algorithm.decode(encoded, SPEC), weight, rtol=precision, atol=1e-7)


def test_what_float16_cannot_hold_is_refused_with_the_mend():
    variables = {"weight": tf.fill(SPEC.shape, 1e5)}
    with pytest.raises(ValueError, match="take bfloat16"):
        algorithms.build("half").encode(variables, SPEC)
    assert algorithms.build("half", dtype="bfloat16").encode(variables, SPEC)


def test_another_dtype_is_refused_by_name():
    with pytest.raises(ValueError, match="dtype must be one of float16, bfloat16, got 'float8'"):
        algorithms.build("half", dtype="float8")


@pytest.mark.parametrize("name, dtype", [("half", tf.float16), ("none", tf.float32)])
def test_a_value_has_the_shape_of_the_weight(name, dtype):
    spec = WeightSpec("dense/kernel", (2, 3), "float32", "kernel")
    for wrong in ({}, {"value": tf.zeros([7], dtype)}, {"value": tf.zeros([2, 3], tf.int8)}):
        with pytest.raises(ValueError, match=r"dense/kernel: a value, .* of shape \(2, 3\), expected"):
            algorithms.build(name).decode(wrong, spec)
