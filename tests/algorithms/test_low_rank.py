"""Tests truncated singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import WeightSpec, algorithms

SPEC = WeightSpec("dense/kernel", (60, 50), "float32", "kernel")
RNG = np.random.default_rng(0)
LEFT, RIGHT = RNG.normal(size=(60, 5)), RNG.normal(size=(5, 50))
RANK_5 = (LEFT @ RIGHT + 1e-3 * RNG.normal(size=SPEC.shape)).astype(np.float32)


def fitted(weight=RANK_5, spec=SPEC, lmbda=0.1, **arguments):
    algorithm = algorithms.build("low_rank", **arguments)
    return algorithm, algorithm.init(tf.constant(weight), spec, lmbda)


@pytest.mark.parametrize("rank", [1, 4, 10])
def test_the_error_of_a_rank_is_that_of_eckart_and_young(rank):
    algorithm, variables = fitted(rank=rank)
    values = np.linalg.svd(RANK_5, compute_uv=False)
    error = np.sum((algorithm.project(variables, SPEC).numpy() - RANK_5) ** 2)
    assert error == pytest.approx(np.sum(values[rank:] ** 2), rel=1e-2, abs=1e-4)
    encoded = algorithm.encode(variables, SPEC)
    assert encoded["left"].shape == (rank, 60) and encoded["right"].shape == (rank, 50)


def test_lmbda_and_energy_find_the_rank_that_is_there():
    assert int(fitted(lmbda=0.01)[1]["rank"]) == 5
    assert int(fitted(energy=0.9999)[1]["rank"]) == 5
    ranks = [
        int(fitted(RNG.normal(size=SPEC.shape).cumsum(0), lmbda=x)[1]["rank"]) for x in (0, 0.01, 0.1, 1)
    ]
    assert ranks == sorted(ranks, reverse=True) and len(set(ranks)) == 4


@pytest.mark.parametrize("shape, role", [((10,), "bias"), ((2, 2), "kernel"), ((0, 4), "kernel")])
def test_what_two_factors_do_not_shorten_stays_in_full(shape, role):
    spec = WeightSpec("w", shape, "float32", role)
    algorithm, variables = fitted(np.ones(shape, np.float32), spec)
    assert set(algorithm.encode(variables, spec)) == {"weight"}
    assert set(fitted(rank=40)[0].encode(fitted(rank=40)[1], SPEC)) == {"weight"}


def test_the_rank_is_chosen_once_in_a_training_and_the_others_are_trained_until_then():
    algorithm, variables = fitted(lmbda=0.01, start=0.5)
    early = {**variables, **algorithm.update(variables, 0.0, SPEC, 0.01)}
    assert int(early["rank"]) == 0
    trained = {**early, "left": early["left"] + 0.1 * RNG.normal(size=early["left"].shape)}
    chosen = {**trained, **algorithm.update(trained, 0.6, SPEC, 0.01)}
    assert int(chosen["rank"]) > 0 and not algorithm.update(chosen, 0.7, SPEC, 0.01)


def test_a_convolutions_matrix_has_its_output_channels_as_columns():
    spec = WeightSpec("conv/kernel", (3, 3, 8, 16), "float32", "kernel", spatial=2)
    encoded = algorithms.build("low_rank", rank=2).encode(fitted(np.ones(spec.shape), spec, rank=2)[1], spec)
    assert encoded["left"].shape == (2, 72) and encoded["right"].shape == (2, 16)


def test_factors_of_other_shapes_are_refused():
    algorithm, variables = fitted()
    encoded = algorithm.encode(variables, SPEC)
    with pytest.raises(ValueError, match="factors of .r, 60. and .r, 50."):
        algorithm.decode({**encoded, "left": encoded["left"][:, :10]}, SPEC)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"rank": 0}, "rank must be an integer of at least 1, .* got 0"),
        ({"energy": 1.5}, "energy must be a number in"),
        ({"rank": 2, "energy": 0.5}, "give one of them"),
        ({"start": -1.0}, "start must be"),
        ({"value_bits": 0.0}, "value_bits must be a number"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        algorithms.build("low_rank", **arguments)
