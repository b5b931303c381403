"""Checks that hyper-parameters of a wrong type or size are refused, by name, where an algorithm is built."""

from __future__ import annotations

import numpy as np
import pytest

from lambdapress.algorithms.arguments import check_flag, check_integer, check_number
from lambdapress.framework import algorithms


@pytest.mark.parametrize("value", [2, 5, np.int64(3)])
def test_an_integer_in_its_range_passes(value):
    check_integer("n", value, 2, 5)


@pytest.mark.parametrize("value", [1, 6, True, 2.0, "3", None, [3], float("nan")])
def test_another_does_not(value):
    with pytest.raises(ValueError, match=r"n must be an integer in \[2, 5\], got"):
        check_integer("n", value, 2, 5)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.1)])
def test_a_number_in_its_range_passes(value):
    check_number("x", value, 0, 1, above=True)


@pytest.mark.parametrize("value", [0, 1.1, -1, float("nan"), float("inf"), True, "0.5", None, [0.5]])
def test_no_other_number_does(value):
    with pytest.raises(ValueError, match=r"x must be a number in \(0, 1\], or None, got"):
        check_number("x", value, 0, 1, above=True, also=", or None")


def test_the_upper_bound_may_be_left_out():
    check_integer("n", 10**9, 1)
    with pytest.raises(ValueError, match=r"in \[0, 1\), got 1"):
        check_number("x", 1, 0, 1, below=True)


@pytest.mark.parametrize("value", ["false", 1, None])
def test_a_flag_is_a_flag(value):
    check_flag("f", False)
    with pytest.raises(ValueError, match="f must be True or False, got"):
        check_flag("f", value)


@pytest.mark.parametrize(
    "name, argument, value",
    [
        ("low_rank", "rank", True),
        ("low_rank", "rank", 0),
        ("low_rank", "energy", [0.9]),
        ("west", "positions", True),
        ("west", "positions", 64),
        ("uniform", "bits", 40),
        ("uniform", "per_channel", "no"),
        ("uniform", "sensitivity", "10"),
        ("clustering", "start", True),
        ("clustering", "refit", "false"),
        ("pruning", "sparsity", "0.5"),
        ("pruning", "pattern", 4),
        ("power_law", "alpha", None),
        ("epr", "log_step", None),
        ("epr", "log_step", -20),
    ],
)
def test_every_algorithm_names_the_argument(name, argument, value):
    arguments = {argument: value, **({"alphabet": 2048} if value == 64 else {})}
    with pytest.raises(ValueError, match=argument):
        algorithms.build(name, **arguments)
