"""Finds the Pareto-optimal size-metric points, and measures how good a set of points is.

Pure functions on arrays. A smaller size and a larger metric are better.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def _points(sizes: npt.ArrayLike, metrics: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    size = np.asarray(sizes, np.float64)
    metric = np.asarray(metrics, np.float64)
    if size.ndim != 1 or size.shape != metric.shape:
        raise ValueError(
            "`sizes` and `metrics` must be vectors of one length, got shapes "
            f"{size.shape} and {metric.shape}."
        )
    if not (np.isfinite(size).all() and np.isfinite(metric).all()):
        raise ValueError("`sizes` and `metrics` must be finite; leave failed trials out before calling.")
    return size, metric


def pareto_mask(sizes: npt.ArrayLike, metrics: npt.ArrayLike) -> np.ndarray:
    """Marks the Pareto-optimal points.

    A point is optimal if no other point is at most as large and at least as good, and better in one of
    the two. Equal points are all optimal, or none of them is.

    Args:
      sizes: `[n]`, finite; smaller is better.
      metrics: `[n]`, finite; larger is better.

    Returns:
      `[n]` booleans.

    Raises:
      ValueError: for other shapes, NaN or infinities.
    """
    size, metric = _points(sizes, metrics)
    order = np.lexsort((-metric, size))  # by size, the best of equal sizes first
    size, metric = size[order], metric[order]
    first = np.searchsorted(size, size)  # where points of the same size begin
    best = np.concatenate([[-np.inf], np.maximum.accumulate(metric)])
    optimal = np.empty(len(size), bool)
    optimal[order] = (metric == metric[first]) & (metric > best[first])
    return optimal


def hypervolume(
    sizes: npt.ArrayLike,
    metrics: npt.ArrayLike,
    reference_size: float,
    reference_metric: float = 0.0,
) -> float:
    """Returns the area that the points dominate, in metric × decades of size.

    With f(s) the best metric among the points of at most s bytes (`reference_metric` if there is
    none), this is the integral of f(s) − `reference_metric` over log10(s), up to `reference_size`:
    the hypervolume indicator of Zitzler and Thiele (1998) in two dimensions. A model that keeps a
    metric of 0.98 at a hundredth of the reference size has 0.98 × 2 = 1.96. Points that are no smaller
    or no better than the reference add nothing. Compare only values with the same reference point.

    Args:
      sizes: `[n]`, in bytes, positive.
      metrics: `[n]`; larger is better.
      reference_size: in bytes, positive; such as the size of the uncompressed weights.
      reference_metric: a point counts only if its metric is above it.

    Returns:
      The area, at least 0.

    Raises:
      ValueError: for other shapes, NaN, infinities, and sizes that are not positive.
    """
    size, metric = _points(sizes, metrics)
    if not (np.isfinite(reference_size) and reference_size > 0 and np.isfinite(reference_metric)):
        raise ValueError(
            f"The reference must be a positive size and a finite metric, got {reference_size} bytes "
            f"and {reference_metric}."
        )
    if (size <= 0).any():
        raise ValueError(f"`sizes` must be positive, got {size.min()}.")
    inside = (size < reference_size) & (metric > reference_metric)
    order = np.argsort(size[inside], kind="stable")
    size, metric = size[inside][order], metric[inside][order]
    best_so_far = np.maximum.accumulate(metric) - reference_metric
    widths = np.diff(np.log10(np.append(size, reference_size)))
    return float(np.dot(best_so_far, widths))
