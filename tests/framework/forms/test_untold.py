"""Tests that a compression that does little says so, and no other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import CompressionWarning, algorithms, to_compressed, to_compressible
from lambdapress.framework.algorithm import WeightSpec

k = tf.keras.layers


def dense() -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.Input((16,)), k.Dense(8, name="a"), k.Dense(4, name="b")])


def embedded() -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.Input((3,)), k.Embedding(50, 8), k.Flatten(), k.Dense(2)])


def said(function, *arguments, **keywords) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*arguments, **keywords)
    return [str(one.message) for one in caught if one.category is CompressionWarning]


@pytest.mark.parametrize("name", ["epr", "power_law"])
def test_what_learns_its_steps_says_that_nobody_trained_it(name):
    (text,) = said(to_compressed, dense(), algorithms.build(name))
    assert text.startswith(f"{name} takes its steps from training")
    assert "a/kernel, a/bias, b/kernel and 1 more" in text
    assert all(other in text for other in ("clustering", "low_rank", "pruning", "uniform"))
    assert said(to_compressible, dense(), algorithms.build(name)) == [], "it will be trained"
    trained = to_compressible(dense(), algorithms.build(name))
    assert said(to_compressed, trained) == []


def test_only_the_weights_that_it_has_are_named():
    rules = [("a/kernel", algorithms.build("epr")), (".*", algorithms.build("uniform"))]
    (text,) = said(to_compressed, dense(), rules)
    assert "a/kernel are rounded" in text and "b/kernel" not in text


@pytest.mark.parametrize("name", sorted(set(algorithms.names()) - {"epr", "power_law", "west"}))
def test_the_others_have_nothing_to_say(name):
    assert said(to_compressed, dense(), algorithms.build(name)) == []


@pytest.mark.parametrize(
    "name, parameters, model, wanted",
    [
        ("west", {}, dense, "west stores in full .* it is for embeddings"),
        ("west", {}, embedded, None),
        ("low_rank", {"rank": 12}, dense, "low_rank stores in full .* not be smaller"),
        ("low_rank", {"rank": 2}, dense, None),
    ],
)
def test_what_is_given_nothing_that_it_takes_says_so_before_training(name, parameters, model, wanted):
    algorithm = algorithms.build(name, **parameters)
    if wanted is None:
        assert said(to_compressible, model(), algorithm) == []
    else:
        with pytest.warns(CompressionWarning, match=wanted):
            to_compressible(model(), algorithm)


@pytest.mark.parametrize("name, parameters", [("west", {}), ("low_rank", {}), ("low_rank", {"rank": 4})])
@pytest.mark.parametrize("shape", [(16, 8), (16, 1), (8,), (3, 3, 2, 4)])
@pytest.mark.parametrize("role", ["kernel", "embedding", "bias"])
def test_in_full_is_true(name, parameters, shape, role):
    """An algorithm gives the reason exactly where it stores the weight itself."""
    algorithm = algorithms.build(name, **parameters)
    spec = WeightSpec("layer/weight", shape, "float32", role, spatial=2 if len(shape) == 4 else 0)
    weight = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    encoded = algorithm.encode(algorithm.init(weight, spec, 0.1), spec)
    stored_in_full = [value.shape for value in encoded.values()] == [weight.shape]
    assert (algorithm.in_full(spec) is not None) == stored_in_full
