"""Tests magnitude pruning, its schedule and its patterns."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import WeightSpec, algorithms

SPEC = WeightSpec("dense/kernel", (64, 50), "float32", "kernel")
CONV = WeightSpec("conv/kernel", (3, 3, 8, 16), "float32", "kernel", spatial=2)
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(scale=0.05, size=SPEC.shape).astype(np.float32)


def fitted(weight=WEIGHT, spec=SPEC, lmbda=0.1, **arguments):
    algorithm = algorithms.build("pruning", **arguments)
    return algorithm, algorithm.init(tf.constant(weight), spec, lmbda)


def test_the_smallest_magnitudes_go():
    _, variables = fitted(sparsity=0.8)
    mask = variables["mask"].numpy()
    assert np.mean(~mask) == pytest.approx(0.8, abs=1e-3)
    assert np.abs(WEIGHT[mask]).min() > np.abs(WEIGHT[~mask]).max()


def test_lmbda_sets_the_threshold_of_the_docstring():
    _, variables = fitted(lmbda=0.2)
    threshold = np.sqrt(0.2 * 27 / 10) * np.sqrt(np.mean(WEIGHT**2))
    np.testing.assert_array_equal(variables["mask"], np.abs(WEIGHT) >= threshold)
    assert np.all(fitted(lmbda=0.0)[1]["mask"])


@pytest.mark.parametrize("pattern, rows, columns", [("4x1", 4, 1), ("1x16", 1, 16), ("8x4", 8, 4)])
def test_blocks_of_a_convolutions_matrix_go_as_a_whole(pattern, rows, columns):
    weight = RNG.normal(size=CONV.shape).astype(np.float32)
    _, variables = fitted(weight, CONV, pattern=pattern, sparsity=0.5)
    matrix = np.reshape(variables["mask"], (72 // rows, rows, 16 // columns, columns))
    share = matrix.mean(axis=(1, 3))
    assert set(np.unique(share)) == {0.0, 1.0} and share.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("pattern, keep, group", [("2:4", 2, 4), ("1:8", 1, 8)])
def test_n_of_each_m_inputs_stay(pattern, keep, group):
    algorithm, variables = fitted(pattern=pattern)
    columns = np.transpose(variables["mask"]).reshape(-1, group)
    np.testing.assert_array_equal(columns.sum(axis=1), keep)
    magnitudes = np.abs(WEIGHT).T.reshape(-1, group)
    assert np.all(np.where(columns, magnitudes, np.inf).min(1) >= np.where(columns, 0, magnitudes).max(1))
    assert len(algorithm.encode(variables, SPEC)["code"].numpy()) < SPEC.size / 8


def test_the_schedule_is_cubic_and_ends_before_the_training():
    algorithm, variables = fitted(sparsity=0.8, begin=0.2, end=0.6)
    sparsities = []
    for progress in (0.0, 0.2, 0.3, 0.4, 0.6, 0.9):
        mask = algorithm.update(variables, progress, SPEC)["mask"].numpy()
        sparsities.append(1 - mask.mean())
    wanted = [0, 0, 0.8 * (1 - 0.75**3), 0.8 * (1 - 0.5**3), 0.8, 0.8]
    np.testing.assert_allclose(sparsities, wanted, atol=1e-3)
    assert not algorithm.update(variables, 1.0, SPEC)
    dense = {**variables, "mask": tf.ones(SPEC.shape, tf.bool)}
    assert np.mean(algorithm.update(dense, 1.0, SPEC)["mask"]) == pytest.approx(0.2, abs=1e-3)


def test_masked_weights_get_no_gradient():
    algorithm, variables = fitted(sparsity=0.5)
    weight = tf.Variable(variables["weight"])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(algorithm.project({**variables, "weight": weight}, SPEC))
    np.testing.assert_array_equal(tape.gradient(loss, weight), np.asarray(variables["mask"], np.float32))


@pytest.mark.parametrize("pattern", ["unstructured", "4x1", "2:4"])
def test_survivors_come_back_bit_for_bit_even_if_they_are_0(pattern):
    weight = WEIGHT.copy()
    weight[:8] = -0.0
    algorithm, variables = fitted(weight, pattern=pattern, lmbda=0.0)
    encoded = algorithm.encode(variables, SPEC)
    assert (
        algorithm.decode(encoded, SPEC).numpy().tobytes()
        == algorithm.project(variables, SPEC).numpy().tobytes()
    )
    graph = tf.function(lambda tensors: algorithm.decode(tensors, SPEC))(encoded)
    np.testing.assert_array_equal(graph, algorithm.project(variables, SPEC))


def test_survivors_of_another_number_than_the_mask_says_are_refused():
    algorithm, variables = fitted(sparsity=0.5)
    encoded, fewer = (a.encode(v, SPEC) for a, v in (fitted(sparsity=0.5), fitted(sparsity=0.6)))
    with pytest.raises(ValueError, match="plane"):
        algorithm.decode({**encoded, "planes": fewer["planes"]}, SPEC)


def test_a_pattern_that_does_not_divide_a_kernel_is_refused_with_the_mend():
    with pytest.raises(ValueError, match=r"'4x7' does not divide dense/kernel, .* 64×50: .* rule"):
        fitted(pattern="4x7")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"pattern": "4:2"}, "pattern '4:2': N:M needs 1 ≤ N < M"),
        ({"pattern": "2:32"}, "pattern '2:32'"),
        ({"pattern": "0x4"}, "pattern '0x4'"),
        ({"pattern": "some"}, "pattern must be 'unstructured'"),
        ({"pattern": "2:4", "sparsity": 0.5}, "leave sparsity at None"),
        ({"sparsity": 1.0}, "sparsity must be a number in"),
        ({"begin": 0.8, "end": 0.2}, "begin must be at most end"),
        ({"value_bits": 100.0}, "value_bits must be a number"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        algorithms.build("pruning", **arguments)


@pytest.mark.parametrize("moments", [1, 2, 3, 40])
def test_a_training_of_few_moments_reaches_the_sparsity_too(moments):
    algorithm, variables = fitted(sparsity=0.8)
    for i in range(moments + 1):
        variables = {**variables, **algorithm.update(variables, i / moments, SPEC)}
    assert np.mean(variables["mask"]) == pytest.approx(0.2, abs=0.07)


def test_a_negative_zero_survives_a_restart():
    algorithm, variables = fitted(sparsity=0.5)
    weight = np.where(variables["mask"], np.float32(-0.0), WEIGHT)
    settled = algorithm.settle({**variables, "weight": tf.constant(weight)}, SPEC)
    again = algorithm.project(algorithm.resume(settled, SPEC), SPEC)
    assert again.numpy().tobytes() == settled["weight"].numpy().tobytes()


@pytest.mark.parametrize("survivors", [[1.0], [1.0] * 3000, np.ones(640)])
def test_survivors_are_as_many_as_the_mask_keeps(survivors):
    algorithm, variables = fitted(sparsity=0.8)
    unpacked = algorithm.unpack(algorithm.encode(variables, SPEC), SPEC)
    with pytest.raises(ValueError, match="as many float32 as the mask keeps"):
        algorithm.decode({**unpacked, "survivors": tf.constant(survivors)}, SPEC)
