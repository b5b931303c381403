"""Compares trade-off curves by Bjøntegaard's deltas, on the Pareto envelope of each.

The BD-rate is the mean difference of the logarithm of size over the metrics that two curves share: −0.25
means a quarter fewer bytes at equal metric. The BD-metric is the mean difference of the metric over the sizes
that they share, spaced by their logarithm. G. Bjøntegaard, "Calculation of average PSNR differences between
RD-curves", VCEG-M33 (2001); with monotone cubic (`pchip`) or Akima interpolation instead of his polynomial,
as C. Herglotz et al., "The Bjøntegaard bible", IEEE Transactions on Image Processing 33 (2024), recommend.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from ...framework.errors import LambdapressError
from .pareto import pareto_mask

METHODS: dict[str, Callable] = {"pchip": PchipInterpolator, "akima": Akima1DInterpolator}


class CurveError(LambdapressError, ValueError):
    """Two curves cannot be compared; the message says why."""


@dataclasses.dataclass(frozen=True)
class Delta:
    """The average difference of a curve from an anchor.

    Attributes:
      rate: BD-rate as a fraction: −0.25 is a quarter fewer bytes than the anchor at equal metric.
      metric: BD-metric in the metric's unit, at equal size; NaN where the two share no sizes. Where a smaller
        metric is better, below 0 is better.
      low, high: the interval of metrics over which `rate` is the mean.
      overlap: share of `low` to `high` in the interval of metrics that either curve covers, in (0, 1].
    """

    rate: float
    metric: float
    low: float
    high: float
    overlap: float


def envelope(sizes: npt.ArrayLike, metrics: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Returns the Pareto-optimal points of a curve, by increasing size; equal points count once.

    Args:
      sizes: `[n]`, in bytes, positive and finite; smaller is better.
      metrics: `[n]`, finite; larger is better.

    Returns:
      Sizes and metrics, both strictly increasing, float64.

    Raises:
      ValueError: for other shapes, NaN or infinities, and sizes that are not positive.
    """
    size, metric = np.asarray(sizes, np.float64), np.asarray(metrics, np.float64)
    if size.size and not (size > 0).all():
        raise ValueError(f"`sizes` must be positive, got {size.min()}.")
    optimal = pareto_mask(size, metric)
    points = np.unique(np.stack([size[optimal], metric[optimal]]), axis=1)
    return points[0], points[1]


def bd_delta(
    anchor: tuple[npt.ArrayLike, npt.ArrayLike],
    curve: tuple[npt.ArrayLike, npt.ArrayLike],
    method: str = "pchip",
    lower_is_better: bool = False,
) -> Delta:
    """Compares a curve with an anchor.

    Args:
      anchor: its sizes and metrics, in any order.
      curve: the same of the curve.
      method: interpolation between points, `pchip` or `akima`.
      lower_is_better: whether a smaller metric is better.

    Raises:
      CurveError: where an envelope has fewer than two points, or the two share no metrics.
      ValueError: for another method, and as `envelope`.
    """
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, got {method!r}.")
    sign = -1.0 if lower_is_better else 1.0
    curves = [envelope(sizes, sign * np.asarray(metrics)) for sizes, metrics in (anchor, curve)]
    for name, (sizes, _) in zip(("the anchor", "the curve"), curves, strict=True):
        if len(sizes) < 2:
            raise CurveError(f"{name} has {len(sizes)} Pareto-optimal points; two are the least")
    logs = [(np.log10(sizes), metrics) for sizes, metrics in curves]
    by_metric = [(metrics, log_sizes) for log_sizes, metrics in logs]
    low, high, overlap = _shared(by_metric)
    if overlap == 0:
        ends = [sorted(sign * metrics[[0, -1]]) for metrics, _ in by_metric]
        ranges = [f"{least:.6g} to {most:.6g}" for least, most in ends]
        raise CurveError(f"no overlap: the anchor's metrics are {ranges[0]}, the curve's {ranges[1]}")
    rate = _mean_difference(by_metric, method)
    gain = _mean_difference(logs, method) if _shared(logs)[2] else math.nan
    low, high = sorted((sign * low, sign * high))
    return Delta(10**rate - 1, sign * gain, low, high, overlap)


def _shared(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
    """Returns the ends of the x that two curves share, and their share of all x, 0 where they share none."""
    starts, ends = [x[0] for x, _ in curves], [x[-1] for x, _ in curves]
    low, high = float(max(starts)), float(min(ends))
    return low, high, max(0.0, high - low) / float(max(ends) - min(starts))


def _mean_difference(curves: list[tuple[np.ndarray, np.ndarray]], method: str) -> float:
    """Returns the mean of second minus first over the x that both have."""
    low, high, _ = _shared(curves)
    areas = [float(METHODS[method](x, y).integrate(low, high)) for x, y in curves]
    return (areas[1] - areas[0]) / (high - low)
