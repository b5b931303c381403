"""Intervals of means over seeds: by Student's t, of pairs, and by bootstrap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.special

FEWEST = 3
"""The fewest seeds of which an interval is shown: of two, Student's t has a factor of 12.7."""
_EXHAUSTIVE = 5  # seeds up to which resampling takes every sample with replacement once
_RESAMPLES = 2000


def half_width(values: npt.ArrayLike) -> float:
    """Returns half the 95% confidence interval of the mean of `values`, by Student's t.

    Args:
      values: `[n]`, one a seed; their distribution is taken to be normal.

    Returns:
      In the unit of `values`; NaN for fewer than `FEWEST`.
    """
    numbers = np.asarray(values, np.float64)
    if len(numbers) < FEWEST:
        return math.nan
    return _quantile(len(numbers)) * float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers))


def paired(first: dict[int, float], second: dict[int, float]) -> np.ndarray:
    """Returns `first` − `second` of the seeds that both have, in the order of seeds, float64 `[n]`."""
    return np.array([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])


def bootstrap_half_width(statistic: Callable[[Sequence[int]], float], count: int) -> float:
    """Returns half a 95% interval of a statistic over seeds, from its bootstrap standard error.

    The standard error is that of the statistic over samples of the seeds with replacement: all samples for up
    to five seeds, which makes it exact, or else 2,000 at random. With n seeds it is too small by √((n−1)/n),
    and n − 1 degrees of freedom call for Student's t: T. Hesterberg, "What teachers should know about the
    bootstrap", The American Statistician 69 (2015). For a mean this is `half_width`.

    Args:
      statistic: from positions of seeds in [0, count), which may repeat; NaN where it has no value.
      count: of seeds.

    Returns:
      In the unit of the statistic; NaN for fewer than `FEWEST` seeds, and where a twentieth of the samples or
      more have no value.
    """
    if count < FEWEST:
        return math.nan
    samples = samples_of_seeds(count)
    values = np.array([statistic(sample) for sample, _ in samples])
    weights = np.array([weight for _, weight in samples], np.float64)
    known = np.isfinite(values)
    if weights[~known].sum() > 0.05 * weights.sum():
        return math.nan
    mean = np.average(values[known], weights=weights[known])
    variance = np.average((values[known] - mean) ** 2, weights=weights[known])
    return _quantile(count) * math.sqrt(variance * count / (count - 1))


def samples_of_seeds(count: int) -> list[tuple[tuple[int, ...], int]]:
    """Lists samples with replacement of positions in [0, count), each with its weight.

    All samples for up to five seeds, each once, weighted by the orders in which it can be drawn; or else
    2,000 at random, the same in every call.
    """
    if count <= _EXHAUSTIVE:
        every = itertools.combinations_with_replacement(range(count), count)
        return [(sample, _arrangements(sample)) for sample in every]
    random = np.random.default_rng(0)
    return [(tuple(random.integers(count, size=count)), 1) for _ in range(_RESAMPLES)]


def _quantile(count: int) -> float:
    return float(scipy.special.stdtrit(count - 1, 0.975))


def _arrangements(sample: Sequence[int]) -> int:
    """Counts the orders in which a sample can be drawn: n! over the factorials of its multiplicities."""
    orders = math.factorial(len(sample))
    for item in set(sample):
        orders //= math.factorial(list(sample).count(item))
    return orders
