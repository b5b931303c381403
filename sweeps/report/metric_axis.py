"""Lays out the axis of a metric: better is up, and small losses close to the best are as readable as large
ones.

Of a fraction that is better when higher, the axis is spaced by the logarithm of the error, 1 − metric, and
labelled with the metric. A researcher looks for small losses close to the baseline (98.9 or 98.6%), but a
sweep's largest λ often breaks the model (10%). On a linear axis the broken models would make the small losses
invisible, and a shorter axis would cut the broken models off. With equal steps for equal factors of error
both are readable. A positive number that is better when lower, such as a perplexity, is its own error. Others
are on a linear axis.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from . import units


@dataclasses.dataclass(frozen=True)
class MetricAxis:
    """Places metrics on an axis of losses, which is drawn upside down.

    Attributes:
      loss: from metrics to losses; its own inverse.
      log: whether losses are on a log axis.
      scale: how metrics are shown.
      floor: the place of a loss of 0, which a log axis lacks: half the smallest other loss. `set_ticks`
        labels it with the perfect metric.
      perfect: whether a metric stands there.
    """

    loss: Callable
    log: bool
    scale: units.Scale
    floor: float
    perfect: bool

    @classmethod
    def of(cls, metrics: np.ndarray, direction: str, unit: str) -> MetricAxis:
        """Returns the axis on which these metrics are shown.

        Args:
          metrics: `[n]`, finite, n > 0.
          direction: `higher` or `lower`: which is better.
          unit: `%` for fractions.
        """
        scale = units.metric_scale(unit, metrics)
        loss = _error if direction == "higher" else _itself
        log = (unit == "%" or direction == "lower") and bool((loss(metrics) >= 0).all())
        if not log:
            return cls(_negative if direction == "higher" else _itself, False, scale, -math.inf, False)
        losses = loss(metrics)
        positive = losses[losses > 0]
        floor = float(positive.min() / 2) if len(positive) else 1e-4
        return cls(loss, True, scale, floor, bool((losses == 0).any()))

    def place(self, metrics: npt.ArrayLike) -> np.ndarray:
        """Returns where metrics stand."""
        return np.maximum(self.loss(np.asarray(metrics, np.float64)), self.floor)

    def view(self, metrics: np.ndarray, reach: np.ndarray) -> tuple[float, float]:
        """Returns the ends of the axis, the best first: all metrics, and intervals as in `view`."""
        places = self.place(metrics)
        if self.log:
            best, worst = view(places, self.loss(reach))
            return best, min(worst, max(1.2, 1.05 * places.max())) if self.loss is _error else worst
        margin = 0.05 * (float(np.ptp(places)) or float(np.abs(places).max()) or 1.0)
        return float(places.min()) - margin, float(places.max()) + margin

    def set_ticks(self, axis: Axis, best: float, worst: float) -> None:
        """Labels the axis with metrics."""

        def text(place: float) -> str:
            return f"{self.scale.factor * self.loss(place) + 0.0:.6g}"  # + 0.0: no -0

        if not self.log:
            set_ticks(axis, MaxNLocator(7).tick_values(best, worst), text, best, worst)
            return
        log_ticks(axis, best, min(worst, 1.0) if self.loss is _error and worst <= 1.2 else worst, 8, text)
        if self.perfect:
            self._mark_perfect(axis)

    def label(self, name: str) -> str:
        """Returns the label of the axis."""
        kinds = {_error: "log scale of the error", _itself: "lower is better"}
        return f"{self.scale.header(name)}, {kinds.get(self.loss, 'higher is better')}"

    def _mark_perfect(self, axis: Axis) -> None:
        ticks = np.asarray(axis.get_majorticklocs())
        texts = [text.get_text() for text in axis.get_ticklabels()]
        kept = [(tick, text) for tick, text in zip(ticks, texts, strict=True) if tick > 1.3 * self.floor]
        axis.set_major_locator(FixedLocator([self.floor, *(tick for tick, _ in kept)]))
        perfect = f"{self.scale.factor * self.loss(0.0):.6g}"
        axis.set_major_formatter(FixedFormatter([perfect, *(text for _, text in kept)]))


def _error(values: Any) -> Any:
    return 1 - values


def _itself(values: Any) -> Any:
    return values


def _negative(values: Any) -> Any:
    return -values


def view(values: np.ndarray, reach: np.ndarray) -> tuple[float, float]:
    """Returns limits of a log axis around all `values`, and around `reach` (intervals) up to a factor of 1.3.

    A tenth of the span is left free on either side, up to a factor of 1.15.
    """
    low, high = float(values.min()), float(values.max())
    if len(reach):
        low, high = min(low, max(reach.min(), low / 1.3)), max(high, min(reach.max(), high * 1.3))
    margin = min(1.15, max(1.02, (high / low) ** 0.1))
    return low / margin, high * margin


def log_ticks(axis: Axis, low: float, high: float, most: int, text: Callable[[float], str]) -> None:
    """Sets at most `most` ticks at round numbers, on a log axis of a few percent or of many decades."""
    decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(decades, steps).ravel()
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) <= most:
            break
    ticks = ticks[:: math.ceil(len(ticks) / most) or 1]
    if len(ticks) < 3:
        ticks = np.asarray(MaxNLocator(most - 2).tick_values(low, high))
    set_ticks(axis, ticks, text, low, high)


def set_ticks(axis: Axis, ticks: Any, text: Callable[[float], str], low: float, high: float) -> None:
    """Sets the ticks of those that lie between `low` and `high`, and no minor ones."""
    inside = [float(tick) for tick in np.asarray(ticks) if low <= tick <= high]
    axis.set_major_locator(FixedLocator(inside))
    axis.set_major_formatter(FixedFormatter([text(tick) for tick in inside]))
    axis.set_minor_locator(NullLocator())
