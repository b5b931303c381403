"""Tests uniform quantisation and its steps."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms import steps
from lambdapress.framework import WeightSpec, algorithms

SPEC = WeightSpec("dense/kernel", (200, 50), "float32", "kernel")
WEIGHT = np.random.default_rng(0).normal(scale=0.05, size=SPEC.shape).astype(np.float32)


def compressed(weight=WEIGHT, spec=SPEC, lmbda=1.0, **arguments):
    """Returns the decoded weight and the number of bytes of its code."""
    algorithm = algorithms.build("uniform", **arguments)
    encoded = algorithm.encode(algorithm.init(tf.constant(weight), spec, lmbda), spec)
    return algorithm.decode(encoded, spec).numpy(), len(encoded["code"].numpy())


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("per_channel", [False, True])
def test_k_bits_have_so_many_levels_and_half_a_step_of_error(bits, per_channel):
    decoded, _ = compressed(bits=bits, per_channel=per_channel)
    axis = 0 if per_channel else None
    step = np.abs(WEIGHT).max(axis=axis) / (2 ** (bits - 1) - 1)
    assert np.all(np.abs(decoded - WEIGHT) <= 0.52 * step)
    assert len(np.unique(decoded[:, 0] if per_channel else decoded)) <= 2**bits - 1


def test_channels_of_different_scales_gain_from_steps_of_their_own():
    weight = WEIGHT * np.logspace(-2, 0, 50, dtype=np.float32)
    one, several = (compressed(weight, bits=4, per_channel=p)[0] for p in (False, True))

    def error(decoded):
        return np.mean(((decoded - weight) / weight.std(axis=0)) ** 2)

    assert error(several) < error(one) / 10


def test_a_higher_lmbda_means_fewer_bytes_and_more_error():
    found = [compressed(lmbda=lmbda) for lmbda in (0.001, 0.01, 0.1, 1.0)]
    sizes = [size for _, size in found]
    errors = [float(np.mean((decoded - WEIGHT) ** 2)) for decoded, _ in found]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4
    assert errors == sorted(errors) and len(set(errors)) == 4


def test_the_step_is_that_of_the_formula_where_quantisation_is_fine():
    for lmbda in (0.01, 0.03):
        wanted = np.sqrt(6 * lmbda / (10 * np.log(2)) * np.mean(WEIGHT**2))
        assert steps.best_step(WEIGHT, lmbda, 10.0) == pytest.approx(wanted, rel=0.25)


def test_steps_are_exact_in_graphs_and_near_what_was_wished():
    wished = np.logspace(-20, 20, 500)
    codes = steps.code_of(wished)
    eager = steps.step_of(tf.constant(codes)).numpy()
    assert np.all(eager >= wished * 0.999) and np.all(eager <= wished * 1.03)
    in_graph = tf.function(steps.step_of, jit_compile=True)(tf.constant(codes)).numpy()
    assert in_graph.tobytes() == eager.tobytes()


def test_training_is_plain_until_it_ends():
    algorithm = algorithms.build("uniform")
    variables = algorithm.init(tf.constant(WEIGHT), SPEC, 1.0)
    training = {**variables, **algorithm.update(variables, 0.5, SPEC, 1.0)}
    np.testing.assert_array_equal(algorithm.project(training, SPEC), WEIGHT)
    with pytest.raises(ValueError, match="training has not ended"):
        algorithm.encode(training, SPEC)
    ended = {**training, **algorithm.update(training, 1.0, SPEC, 1.0)}
    assert ended["step"].numpy() == variables["step"].numpy()


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 0), ()])
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_of_hardly_any_elements(shape, per_channel):
    spec = WeightSpec("w", shape, "float32", "kernel")
    decoded, _ = compressed(np.zeros(shape, np.float32), spec, per_channel=per_channel)
    np.testing.assert_array_equal(decoded, np.zeros(shape))


def test_a_weight_that_is_not_finite_is_refused_by_path():
    with pytest.raises(ValueError, match="dense/kernel has weights that are not finite"):
        algorithms.build("uniform").init(tf.fill(SPEC.shape, np.nan), SPEC)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"bits": 40}, "bits must be an integer in .2, 16., .* got 40"),
        ({"bits": 1}, "bits must"),
        ({"sensitivity": 0.0}, "sensitivity must be a number in"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        algorithms.build("uniform", **arguments)


def test_what_one_channel_is_does_not_decide_the_step_of_all():
    """Checks that the sample of many values is not taken from a few channels only."""
    spec = WeightSpec("dense/kernel", (2**14, 16), "float32", "kernel")
    weight = np.random.default_rng(0).normal(size=spec.shape).astype(np.float32)
    sizes = []
    for scale in (1.0, 0.01, 0.0):
        weight[:, 0] *= scale
        algorithm = algorithms.build("uniform")
        encoded = algorithm.encode(algorithm.init(tf.constant(weight), spec, 0.1), spec)
        sizes.append(len(encoded["code"].numpy()))
    assert max(sizes) < 1.1 * min(sizes)


def test_a_step_of_what_is_not_rounded_is_not_decoded():
    spec = WeightSpec("dense/kernel", (4, 4), "float32", "kernel")
    algorithm = algorithms.build("uniform")
    encoded = algorithm.encode(algorithm.init(tf.ones(spec.shape), spec, 0.1), spec)
    with pytest.raises(ValueError, match="not rounded"):
        algorithm.decode({**encoded, "step": tf.constant([-(2**15)], tf.int16)}, spec)
