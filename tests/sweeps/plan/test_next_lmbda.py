"""Tests the choice of the next λ: bisection for a target, and gaps and bends of a curve."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lambdapress.sweeps.plan.next_lmbda import CLOSEST, between, bisected


@pytest.mark.parametrize("border", [0.003, 0.04, 0.7, 1.0, 1.3, 5.0, 90.0, 700.0])
def test_bisection_closes_in_on_the_border(border):
    tried: list[tuple[float, bool]] = []
    while (lmbda := bisected(tried, first=1.0)) is not None:
        assert lmbda not in [one for one, _ in tried]
        tried.append((lmbda, lmbda <= border))
        assert len(tried) < 20
    low = max(lmbda for lmbda, small in tried if small)
    high = min(lmbda for lmbda, small in tried if not small)
    assert low <= border <= high and high / low < CLOSEST**2 * 1.01


def test_six_trials_are_within_a_factor_of_two_for_a_border_within_two_decades():
    for border in np.logspace(-1, 1, 50):
        tried: list[tuple[float, bool]] = []
        for _ in range(5):
            lmbda = bisected(tried, first=1.0)
            assert lmbda is not None
            tried.append((lmbda, lmbda <= border))
        assert border / 2 <= max(lmbda for lmbda, small in tried if small) <= border


def test_chance_does_not_send_bisection_astray():
    """λ = 4 came out small although λ = 2 did not: the border is below 2."""
    assert bisected([(1.0, True), (4.0, True), (2.0, False), (16.0, False)], 1.0) == 1.41


def test_the_largest_gap_gets_a_lmbda():
    assert between([0.1, 0.4, 6.4], [1000, 900, 100], [0.99, 0.98, 0.9]) == 1.6
    assert between([0.1, 0.4, 6.4], [1000, 200, 100], [0.99, 0.92, 0.9]) == 0.2
    assert between([0.0, 0.4], [1000, 200], [0.99, 0.92]) == 0.1  # below λ = 0 there is no mean


def test_a_bend_counts_more_than_a_straight_line_of_equal_length():
    sizes = np.exp([3.0, 2.5, 2.0, 2.0, 2.0])
    metrics = [1.0, 0.75, 0.5, 0.25, 0.0]  # turns at the third point
    chosen = between([1, 2, 4, 8, 16], sizes, metrics)
    assert chosen in (2.83, 5.66)


def test_where_nothing_differs_there_is_no_more_to_see():
    assert between([], [], []) is None
    assert between([1.0], [100], [0.9]) is None
    assert between([1.0, 1.02], [100, 90], [0.9, 0.8]) is None


def test_each_lmbda_is_new():
    lmbdas, rng = [0.1, 10.0], np.random.default_rng(0)
    for _ in range(30):
        ordered = sorted(lmbdas)
        sizes = np.sort(rng.random(len(ordered)))[::-1] + 0.1
        lmbda = between(ordered, sizes, sizes)
        assert lmbda is not None and lmbda not in lmbdas and 0.1 < lmbda < 10
        assert lmbda == float(f"{lmbda:.3g}") and math.isfinite(lmbda)
        lmbdas.append(lmbda)
