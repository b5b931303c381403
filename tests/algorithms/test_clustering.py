"""Tests codebooks that the weights of a tensor share."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms.clustering import cluster
from lambdapress.framework import WeightSpec, algorithms

SPEC = WeightSpec("dense/kernel", (60, 50), "float32", "kernel")
WEIGHT = np.random.default_rng(0).normal(scale=0.05, size=SPEC.shape).astype(np.float32)


def fitted(lmbda=0.0, **arguments):
    algorithm = algorithms.build("clustering", **arguments)
    return algorithm, algorithm.init(tf.constant(WEIGHT), SPEC, lmbda)


@pytest.mark.parametrize("clusters", [2, 16, 64])
def test_so_many_values_at_most_and_k_means_error(clusters):
    from sklearn.cluster import KMeans

    algorithm, variables = fitted(clusters=clusters)
    values = algorithm.project(variables, SPEC).numpy()
    assert len(np.unique(values)) <= clusters
    best = KMeans(clusters, n_init=1, random_state=0).fit(WEIGHT.reshape(-1, 1)).inertia_
    assert np.sum((values - WEIGHT) ** 2) < 2 * best  # from evenly spaced centroids, as published


def test_values_that_are_few_come_back_as_they_are():
    few = np.random.default_rng(0).choice([-1.0, 0.0, 0.5], size=(30, 20)).astype(np.float32)
    codebook, index = cluster(few, 8, 0.0)
    np.testing.assert_array_equal(codebook[index], few)


def test_a_higher_lmbda_means_fewer_entries_and_bytes():
    found = []
    for lmbda in (0.0, 0.03, 0.3, 1.0):
        algorithm, variables = fitted(lmbda)
        encoded = algorithm.encode(variables, SPEC)
        found.append((len(encoded["codebook"]), len(encoded["code"].numpy())))
    assert found == sorted(found, reverse=True) and len(set(found)) == 4


def test_the_codebook_is_trained_through_the_assignment():
    algorithm, variables = fitted(clusters=4)
    codebook = tf.Variable(variables["codebook"])
    with tf.GradientTape() as tape:
        weight = algorithm.project({**variables, "codebook": codebook}, SPEC)
        loss = tf.reduce_sum(weight * WEIGHT)
    index = variables["index"].numpy()
    wanted = [WEIGHT[index == i].sum() for i in range(4)]
    np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(loss, codebook)), wanted, rtol=1e-3)


@pytest.mark.parametrize("refit", [False, True])
def test_clustering_from_the_middle_of_a_training(refit):
    algorithm, variables = fitted(start=0.5, refit=refit)
    plain = {**variables, **algorithm.update(variables, 0.2, SPEC)}
    np.testing.assert_array_equal(algorithm.project(plain, SPEC), WEIGHT)
    with pytest.raises(ValueError, match="not clustered"):
        algorithm.encode(plain, SPEC)
    clustered = {**plain, **algorithm.update(plain, 0.5, SPEC)}
    moved = {**clustered, "weight": clustered["weight"] + 1.0}
    assert bool(algorithm.update(moved, 0.7, SPEC)) == refit
    assert not algorithm.update(moved, 1.0, SPEC)  # no training would follow


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 0), ()])
def test_weights_of_hardly_any_elements(shape):
    algorithm, spec = algorithms.build("clustering"), WeightSpec("w", shape, "float32", "kernel")
    variables = algorithm.init(tf.ones(shape), spec)
    np.testing.assert_array_equal(algorithm.decode(algorithm.encode(variables, spec), spec), np.ones(shape))


def test_an_index_beyond_the_codebook_is_refused():
    algorithm, variables = fitted()
    encoded = algorithm.encode(variables, SPEC)
    with pytest.raises((ValueError, tf.errors.OpError)):
        algorithm.decode({**encoded, "codebook": encoded["codebook"][:1]}, SPEC)


@pytest.mark.parametrize(
    "arguments, message",
    [({"clusters": 1}, "clusters must be an integer in .2, 1024., got 1"), ({"start": 2.0}, "start must be")],
)
def test_a_wrong_hyperparameter_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        algorithms.build("clustering", **arguments)


@pytest.mark.parametrize("scale", [1e-36, 1e38])
def test_the_ends_of_float32_come_back_exactly(scale):
    spec = WeightSpec("dense/kernel", (30, 10), "float32", "kernel")
    weight = np.clip(np.random.default_rng(0).normal(size=spec.shape), -3, 3) * scale
    algorithm = algorithms.build("clustering")
    variables = algorithm.init(tf.constant(weight, tf.float32), spec, 0.1)
    decoded = algorithm.decode(algorithm.encode(variables, spec), spec)
    assert decoded.numpy().tobytes() == algorithm.project(variables, spec).numpy().tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"codebook": tf.zeros([2], tf.float64)},
        {"codebook": tf.zeros([2, 2], tf.bfloat16)},
        {"integers": tf.constant([[0, 2]], tf.int8)},
        {"integers": tf.constant([[0, -1]], tf.int8)},
    ],
)
def test_an_index_of_nothing_is_not_decoded(change):
    spec = WeightSpec("dense/kernel", (1, 2), "float32", "kernel")
    sound = {"integers": tf.constant([[0, 1]], tf.int8), "codebook": tf.zeros([2], tf.bfloat16)}
    algorithm = algorithms.build("clustering")
    assert algorithm.decode(sound, spec).shape == (1, 2)
    with pytest.raises(ValueError, match="codebook|indices below 2"):
        algorithm.decode({**sound, **change}, spec)
    with pytest.raises(ValueError, match="codebook"):
        algorithm.decode({"integers": sound["integers"]}, spec)
