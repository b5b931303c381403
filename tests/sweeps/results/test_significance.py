"""Tests how sure differences are said to be: p-values, Holm's correction, who is dominated."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from lambdapress.sweeps.statistics.significance import dominated_probability, holm, p_value


def test_a_p_value_is_that_of_a_paired_t_test():
    differences = np.random.default_rng(0).normal(0.01, 0.02, 5)
    assert p_value(differences) == pytest.approx(scipy.stats.ttest_1samp(differences, 0).pvalue)


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, 0.2], [0.1, 0.1, 0.1]])
def test_what_has_no_known_spread_has_no_p_value(differences):
    assert math.isnan(p_value(differences))


def test_holms_correction_steps_down_and_leaves_out_what_is_not_known():
    # 4 · 0.01, max(that, 3 · 0.02), max(that, 2 · 0.03), max(that, 1 · 0.04)
    assert holm([0.04, 0.01, math.nan, 0.02, 0.03]) == pytest.approx(
        [0.06, 0.04, math.nan, 0.06, 0.06], nan_ok=True
    )
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_holm_marks_a_difference_where_there_is_none_in_at_most_a_twentieth_of_tables():
    random = np.random.default_rng(1)
    wrong = [np.nanmin(holm([p_value(random.normal(size=4)) for _ in range(6)])) <= 0.05 for _ in range(1000)]
    assert np.mean(wrong) < 0.07


def rows(*means: tuple[float, float], seeds: int = 3, noise: float = 0.0):
    random = np.random.default_rng(2)
    return [
        {seed: (size, metric + random.normal(scale=noise)) for seed in range(seeds)} for size, metric in means
    ]


def test_a_row_that_is_worse_by_far_is_surely_dominated_and_a_close_one_perhaps():
    probability = dominated_probability(rows((100, 0.9), (200, 0.5), (200, 0.9001), noise=1e-3))
    assert probability[:2] == [0.0, 1.0]
    assert 0 < probability[2] < 1


def test_rows_of_few_or_other_seeds_take_no_part():
    three = rows((100, 0.9), (200, 0.5))
    two = rows((50, 0.95), seeds=2)
    assert np.isnan(dominated_probability(two)).all()
    probability = dominated_probability([*three, *two])
    assert probability[:2] == [0.0, 1.0] and math.isnan(probability[2])
    other = [{seed + 10: value for seed, value in row.items()} for row in rows((1, 1.0))]
    assert np.isnan(dominated_probability([*three, *other])).all()
