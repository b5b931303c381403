"""Tests the rules that assign algorithms to weights."""

from __future__ import annotations

import pytest
import tensorflow as tf

from lambdapress.framework import RuleError, algorithms, to_compressible
from lambdapress.framework.forms.rules import assign
from lambdapress.framework.surgery.computed_weights import computed_weights_of
from lambdapress.framework.surgery.weights import weights_of

k = tf.keras.layers
NONE, POWER = algorithms.build("none"), algorithms.build("power_law")


@pytest.fixture
def weights():
    stack = [k.Dense(3), k.BatchNormalization(), k.Dense(2)]
    return weights_of(tf.keras.Sequential([tf.keras.Input((4,)), *stack]))


def test_one_algorithm_takes_all_but_normalisations(weights):
    taken = assign(POWER, weights)
    assert sorted(taken) == ["dense/bias", "dense/kernel", "dense_1/bias", "dense_1/kernel"]
    assert set(taken.values()) == {POWER}


def test_the_first_match_wins_and_none_keeps_a_weight(weights):
    taken = assign([("^dense/bias$", None), ("bias", NONE), ("kernel", POWER)], weights)
    assert taken == {"dense/kernel": POWER, "dense_1/kernel": POWER, "dense_1/bias": NONE}


@pytest.mark.parametrize("pattern", ["", ".*", "(?i)", "(dense)?"])
def test_a_rule_for_everything_takes_what_an_algorithm_takes_without_rules(weights, pattern):
    assert assign([(pattern, POWER)], weights) == assign(POWER, weights)
    kept = assign([("dense_1", None), (pattern, POWER)], weights)
    assert sorted(kept) == ["dense/bias", "dense/kernel"], "keeping a weight compresses no other"


def test_rules_may_take_gains_that_they_name_but_never_statistics(weights):
    taken = assign([("gamma|beta", NONE), (".*", POWER)], weights)
    assert {path for path, algorithm in taken.items() if algorithm == NONE} == {
        "batch_normalization/gamma",
        "batch_normalization/beta",
    }
    assert "batch_normalization/beta" in assign([("normalization", POWER)], weights)
    assert not any("moving" in path for path in assign([(".+", POWER)], weights))
    with pytest.raises(RuleError, match="takes no weight"):
        assign([("dense", POWER), (".*", POWER)], weights)


@pytest.mark.parametrize(
    "rules, message",
    [
        ([("dense_2/kernl", POWER)], "matches no weight.*Near misses: 'dense_1/kernel'"),
        ([("dense", POWER), ("kernel", None)], "'kernel' takes no weight: rules before it"),
        ([("(", POWER)], "not a regular expression"),
        ([("kernel", "power_law")], "needs an algorithm or None, got 'power_law'"),
        ([("kernel", type(POWER))], "needs an algorithm or None"),
        (["kernel"], "pair"),
        ([(3, POWER)], "pair"),
        ([("a", POWER, 1)], "pair"),
        ("power_law", "algorithms.build"),
        ([], "choose no weight"),
        ([("kernel", None)], "choose no weight"),
        ([("moving_mean", POWER)], "matches no weight"),
    ],
    ids=str,
)
def test_rules_that_do_not_fit_are_refused(weights, rules, message):
    with pytest.raises(RuleError, match=message):
        assign(rules, weights)


def test_a_model_with_nothing_to_compress():
    with pytest.raises(RuleError, match="nothing to compress"):
        to_compressible(tf.keras.Sequential([tf.keras.Input((4,)), k.ReLU()]), POWER)
    with pytest.raises(RuleError, match="gains and offsets.*layer_normalization/gamma"):
        to_compressible(tf.keras.Sequential([tf.keras.Input((4,)), k.LayerNormalization()]), POWER)


def test_one_model_with_several_algorithms():
    model = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3), k.Dense(2)])
    compressible = to_compressible(model, [("^dense/", POWER), ("kernel", NONE)])
    assert {s.spec.path: s.algorithm for s in computed_weights_of(compressible)} == {
        "dense/kernel": POWER,
        "dense/bias": POWER,
        "dense_1/kernel": NONE,
    }
