"""Says how sure a difference between rows of a table is, over their seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy.special

from .intervals import FEWEST, samples_of_seeds
from .pareto import pareto_mask

LEVEL = 0.05
"""Significance level: the probability of marking any difference in a table where there is none."""

Trials = Mapping[int, tuple[float, float]]
"""A row's size in bytes and metric, by seed."""


def p_value(differences: npt.ArrayLike) -> float:
    """Returns the two-sided p-value of a mean difference of 0, by Student's paired t-test.

    Args:
      differences: `[n]`, one a seed.

    Returns:
      In [0, 1]; NaN for fewer than `FEWEST` seeds, and where all differences are equal, which leaves their
      spread unknown.
    """
    numbers = np.asarray(differences, np.float64)
    if len(numbers) < FEWEST or np.ptp(numbers) == 0:
        return math.nan
    t = numbers.mean() / (numbers.std(ddof=1) / math.sqrt(len(numbers)))
    return float(2 * scipy.special.stdtr(len(numbers) - 1, -abs(t)))


def holm(p_values: npt.ArrayLike) -> np.ndarray:
    """Adjusts p-values for being several, by Holm's step-down method; NaN stays NaN and does not count.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979).

    Args:
      p_values: `[n]`.

    Returns:
      `[n]`: those of at most `LEVEL` are significant, with a probability of `LEVEL` that any is wrongly so.
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, math.nan)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    factors = range(len(order), 0, -1)
    steps = itertools.accumulate((min(1.0, f * p[i]) for f, i in zip(factors, order, strict=True)), max)
    for i, step in zip(order, steps, strict=True):
        adjusted[i] = step
    return adjusted


def dominated_probability(rows: Sequence[Trials]) -> list[float]:
    """Returns for each row how likely another of them is at most as large and at least as good.

    The share of bootstrap samples of the seeds in which the row's means are dominated by another row's: all
    samples for up to five seeds, or else 2,000 at random. All rows are drawn with the same seeds.

    Args:
      rows: of one task. Those with fewer than `FEWEST` of the seeds that all others have take no part.

    Returns:
      In [0, 1]; NaN for rows that take no part.
    """
    several = [i for i, trials in enumerate(rows) if len(trials) >= FEWEST]
    shared = sorted(set.intersection(*(set(rows[i]) for i in several))) if several else []
    unknown = [math.nan] * len(rows)
    if len(shared) < FEWEST:
        return unknown
    values = np.array([[rows[i][seed] for seed in shared] for i in several])  # [row, seed, size and metric]
    dominated, total = np.zeros(len(several)), 0
    for sample, weight in samples_of_seeds(len(shared)):
        means = values[:, list(sample)].mean(axis=1)
        dominated += weight * ~pareto_mask(means[:, 0], means[:, 1])
        total += weight
    for i, share in zip(several, dominated / total, strict=True):
        unknown[i] = float(share)
    return unknown
