"""Tests embeddings that are built from sub-unit embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import WeightSpec, algorithms

SPEC = WeightSpec("embedding/embeddings", (500, 16), "float32", "embedding")
RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(20, 16))
WEIGHT = (CENTRES[RNG.integers(20, size=500)] + 0.1 * RNG.normal(size=SPEC.shape)).astype(np.float32)


def fitted(**arguments):
    algorithm = algorithms.build("west", **arguments)
    return algorithm, algorithm.init(tf.constant(WEIGHT), SPEC)


def error(algorithm, variables) -> float:
    difference = algorithm.project(variables, SPEC).numpy() - WEIGHT
    return float(np.mean(difference**2) / np.mean(WEIGHT**2))


@pytest.mark.parametrize("combine, width", [("sum", 16), ("concatenate", 4)])
def test_random_codes_store_tables_alone(combine, width):
    algorithm, variables = fitted(combine=combine)
    encoded = algorithm.encode(variables, SPEC)
    assert list(encoded) == ["tables"] and encoded["tables"].shape == (4, 32, width)
    assert error(algorithm, variables) < 1


def test_tables_are_a_least_squares_fit():
    algorithm, variables = fitted(positions=2, alphabet=8)
    best = error(algorithm, variables)
    for _ in range(5):
        other = variables["tables"] + 0.01 * RNG.normal(size=(2, 8, 16)).astype(np.float32)
        assert error(algorithm, {"tables": other}) > best


@pytest.mark.parametrize("combine", ["sum", "concatenate"])
def test_codes_from_k_means_fit_better_than_random_ones(combine):
    random = error(*fitted(combine=combine))
    assert error(*fitted(combine=combine, codes="kmeans")) < random / 3


def test_codes_depend_on_the_seed_are_distinct_and_evenly_spread():
    algorithm = algorithms.build("west", alphabet=16)
    codes = algorithm._random(SPEC).numpy()
    assert codes.shape == (4, 500) and np.all((codes >= 0) & (codes < 16))
    assert len(np.unique(codes, axis=1)[0]) >= 490
    for row in codes:
        counts = np.bincount(row, minlength=16)
        assert counts.min() > 10 and counts.max() < 60
    assert np.any(algorithms.build("west", alphabet=16, seed=1)._random(SPEC).numpy() != codes)
    in_graph = tf.function(lambda: algorithm._random(SPEC))()
    np.testing.assert_array_equal(in_graph, codes)


def test_k_means_waits_for_a_trained_embedding():
    algorithm, variables = fitted(codes="kmeans", start=0.5)
    plain = {**variables, **algorithm.update(variables, 0.0, SPEC)}
    np.testing.assert_array_equal(algorithm.project(plain, SPEC), WEIGHT)
    with pytest.raises(ValueError, match="has no codes"):
        algorithm.encode(plain, SPEC)
    coded = {**plain, **algorithm.update(plain, 0.5, SPEC)}
    assert error(algorithm, coded) < 0.5 and not algorithm.update(coded, 0.9, SPEC)


def test_other_weights_stay_in_full():
    spec = WeightSpec("dense/kernel", (30, 20), "float32", "kernel")
    algorithm = algorithms.build("west")
    encoded = algorithm.encode(algorithm.init(tf.ones(spec.shape), spec), spec)
    assert list(encoded) == ["weight"]


def test_tables_of_another_shape_are_refused():
    algorithm, variables = fitted()
    with pytest.raises(ValueError, match="tables of shape"):
        algorithm.decode({"tables": variables["tables"][:2]}, SPEC)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"positions": 0}, "positions must be an integer in"),
        ({"alphabet": 1}, "alphabet must be"),
        ({"combine": "product"}, "combine must be one of sum, concatenate"),
        ({"codes": "words"}, "codes must be one of random, kmeans"),
        ({"start": 2.0}, "start must be"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        algorithms.build("west", **arguments)


def test_positions_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="positions = 3 does not divide the width 16"):
        fitted(positions=3, combine="concatenate")


@pytest.mark.parametrize("code", [-1, 4, 2**16 + 1])
def test_a_code_of_no_unit_is_not_decoded(code):
    spec = WeightSpec("e/embeddings", (8, 6), "float32", "embedding")
    algorithm = algorithms.build("west", positions=2, alphabet=4, codes="kmeans")
    encoded = algorithm.encode(algorithm.init(tf.random.normal(spec.shape), spec), spec)
    unpacked = dict(algorithm.unpack(encoded, spec))
    codes = tf.cast(unpacked["integers"], tf.int32)
    unpacked["integers"] = tf.tensor_scatter_nd_update(codes, [[0, 0]], [code])
    with pytest.raises(ValueError, match="indices below 4"):
        algorithm.decode(unpacked, spec)
