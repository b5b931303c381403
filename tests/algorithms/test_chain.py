"""Tests two algorithms on the same weight."""

from __future__ import annotations

import gin
import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import WeightSpec, algorithms
from lambdapress.framework.algorithm import config_of

SPEC = WeightSpec("dense/kernel", (60, 50), "float32", "kernel")
CONV = WeightSpec("conv/kernel", (3, 3, 8, 16), "float32", "kernel", spatial=2)
BIAS = WeightSpec("dense/bias", (7,), "float32", "bias")
RNG = np.random.default_rng(0)
CHAINS = [("pruning", "epr"), ("pruning", "uniform"), ("pruning", "lossless"), ("low_rank", "uniform")]
CHAINS += [("low_rank", "epr"), ("low_rank", "half"), ("west", "power_law"), ("pruning", "none")]


def fitted(links, spec=SPEC, lmbda=0.1):
    algorithm = algorithms.build("chain", algorithms=links)
    weight = RNG.normal(scale=0.3, size=spec.shape).astype(np.float32)
    return algorithm, algorithm.init(tf.constant(weight), spec, lmbda)


def size(encoded) -> int:
    values = [np.asarray(t) for t in encoded.values()]
    return sum(v.nbytes if v.dtype != object else sum(map(len, v.ravel())) for v in values)


@pytest.mark.parametrize("links", CHAINS, ids="-".join)
@pytest.mark.parametrize(
    "spec", [SPEC, CONV, WeightSpec("bias", (7,), "float32", "bias")], ids=lambda s: s.path
)
def test_every_pair_is_exact_through_a_whole_training(links, spec):
    algorithm, variables = fitted(links, spec)
    for progress in (0.0, 0.3, 0.6, 1.0):
        updated = algorithm.update(variables, progress, spec, 0.1)
        assert all(value.shape == variables[name].shape for name, value in updated.items())
        variables = {**variables, **updated}
    encoded = algorithm.encode(variables, spec)
    decoded = algorithm.decode(encoded, spec)
    assert decoded.numpy().tobytes() == algorithm.project(variables, spec).numpy().tobytes()
    again = algorithm.restore(encoded, spec)
    assert {k: (v.shape, v.dtype) for k, v in again.items()} == {
        k: (v.shape, v.dtype) for k, v in variables.items()
    }
    for name, value in algorithm.encode(again, spec).items():
        np.testing.assert_array_equal(value, encoded[name])
    in_graph = tf.function(lambda tensors: algorithm.decode(tensors, spec))(encoded)
    np.testing.assert_allclose(in_graph, decoded, atol=1e-6)


@pytest.mark.parametrize("second", ["epr", "uniform"])
def test_what_is_pruned_is_0_in_what_is_stored_and_the_mask_costs_nothing(second):
    links = [["pruning", {"sparsity": 0.9}], second]
    algorithm, variables = fitted(links, CONV)
    encoded = algorithm.encode(variables, CONV)
    assert np.mean(algorithm.decode(encoded, CONV) == 0) >= 0.9
    assert all(name.startswith("weight__") for name in encoded)
    alone = algorithms.build(second)
    weight = tf.where(variables["mask"], 0.5, 0.0)
    assert size(encoded) < 3 * size(alone.encode(alone.init(weight, CONV, 0.1), CONV)) + CONV.size


def test_factors_are_cut_to_their_rank():
    algorithm, variables = fitted([["low_rank", {"energy": 0.2}], "uniform"])
    encoded = algorithm.encode(variables, SPEC)
    rank = int(variables["rank"])
    assert encoded["left__shape"].shape == (rank, 60, 0) and variables["left__weight"].shape[0] > rank


def test_a_mask_is_chosen_before_rounding():
    """Guards against masks by rounded values, which would drop for good all weights that now round to 0."""
    algorithm, variables = fitted([["pruning", {"sparsity": 0.5}], ["epr", {"log_step": 3.0}]])
    assert np.all(algorithm.project(variables, SPEC) == 0)
    latent = np.reshape(variables["weight__latent"], SPEC.shape)
    mask = algorithm.update(variables, 0.9, SPEC, 0.1)["mask"].numpy()
    assert np.abs(latent[mask]).min() > np.abs(latent[~mask]).max()


def test_a_shape_from_a_stranger_is_bounded():
    algorithm, variables = fitted(("low_rank", "uniform"))
    encoded = {**algorithm.encode(variables, SPEC), "left__shape": tf.zeros([10**6, 60, 0], tf.uint8)}
    with pytest.raises(ValueError, match="left has the shape .* the most there can be"):
        algorithm.decode(encoded, SPEC)


@pytest.mark.parametrize("name", ["weight", "mask", "left", "other__code"])
def test_nothing_else_is_decoded(name):
    algorithm, variables = fitted(("pruning", "uniform"))
    encoded = algorithm.encode(variables, SPEC)
    if name == "weight":
        encoded = {f"left__{key.partition('__')[2]}": value for key, value in encoded.items()}
    with pytest.raises(ValueError, match="is made of weight, not of"):
        algorithm.decode({**encoded, name: tf.ones([1, 1])} if name != "weight" else encoded, SPEC)


@pytest.mark.parametrize("words", [1, 20, 63, 100])
def test_tables_of_a_small_embedding_are_larger_than_it_is(words):
    spec = WeightSpec("e/embeddings", (words, 16), "float32", "embedding")
    algorithm = algorithms.build("chain", algorithms=("west", "uniform"))
    variables = algorithm.init(tf.random.normal(spec.shape), spec, 0.1)
    decoded = algorithm.decode(algorithm.encode(variables, spec), spec)
    np.testing.assert_array_equal(decoded, algorithm.project(variables, spec))


@pytest.mark.parametrize("first", ["pruning", "low_rank"])
def test_a_training_that_has_ended_ends_again_with_the_same(first):
    algorithm, variables = fitted((first, "uniform"))
    for progress in (0.0, 0.6, 1.0):
        variables = {**variables, **algorithm.update(variables, progress, SPEC, 0.1)}
    again = {**variables, **algorithm.update(variables, 1.0, SPEC, 0.1)}
    for name, value in variables.items():
        np.testing.assert_array_equal(again[name], value)


@pytest.mark.parametrize("first", ["pruning", "low_rank"])
def test_a_depthwise_kernel_goes_through_a_chain(first):
    spec = WeightSpec("d/depthwise_kernel", (3, 3, 64, 1), "float32", "depthwise_kernel", 2)
    algorithm = algorithms.build("chain", algorithms=(first, ["uniform", {"per_channel": True}]))
    variables = algorithm.init(tf.random.normal(spec.shape, seed=1), spec, 0.1)
    encoded = algorithm.encode(variables, spec)
    np.testing.assert_array_equal(algorithm.decode(encoded, spec), algorithm.project(variables, spec))
    assert sum(len(v) for k, v in encoded.items() if k.endswith("step")) < 200


def test_the_penalty_is_the_seconds():
    assert not algorithms.build("chain").penalty_in_bits, "it counts what is masked, too"
    without = algorithms.build("chain", algorithms=("low_rank", "uniform"))
    assert not without.has_penalty and without.penalty(fitted(("low_rank", "uniform"))[1], SPEC) is None
    algorithm, variables = fitted(("pruning", "epr"), lmbda=0.0)
    epr = algorithms.build("epr")
    inner = {k.partition("__")[2]: v for k, v in variables.items() if "__" in k}
    assert float(algorithm.penalty(variables, SPEC)) == pytest.approx(float(epr.penalty(inner, SPEC)))


def test_gin_reaches_the_links_and_a_file_holds_what_they_were_built_with():
    gin.parse_config("pruning.begin = 0.1\nchain/pruning.value_bits = 6.0")
    pruning, epr = algorithms.build("chain").algorithms
    assert (pruning.begin, pruning.value_bits) == (0.1, 6.0)
    assert algorithms.build("pruning").value_bits == 27.0
    config = config_of(algorithms.build("chain"))
    assert config == {"algorithms": [["pruning", {"begin": 0.1, "value_bits": 6.0}], ["epr", {}]]}
    gin.clear_config()
    assert algorithms.get("chain")(**config).algorithms == (pruning, epr)


@pytest.mark.parametrize(
    "links, message",
    [
        (("pruning",), "a list of two"),
        ("pruning", "a list of two"),
        (("epr", "pruning"), "'epr' cannot come first: low_rank, pruning, west can"),
        (("pruning", "clustering"), "'clustering' cannot come second: epr, half"),
        (("prunning", "epr"), "Unknown algorithm 'prunning'"),
        ((["pruning", {"sparsity": 2.0}], "epr"), "sparsity must be a number in"),
        ((7, "epr"), "a name, or"),
        (5, "a list of two, got 5"),
        (("pruning", ["epr", None]), "a name, or"),
        ((["west", {"codes": "kmeans"}], "epr"), "West.*kmeans.*cannot come first as it is configured"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused(links, message):
    with pytest.raises(ValueError, match=message):
        algorithms.build("chain", algorithms=links)
