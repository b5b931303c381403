"""Chooses the λ to try next, from what others have given. Pure: uses no file, no framework and no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

EXPANSION = 4.0
"""λ changes by this factor until there is one that meets a target and one that does not."""
CLOSEST = 1.05
"""Two λ whose ratio is below this are as good as the same."""


def rounded(lmbda: float) -> float:
    """Returns λ with three significant digits, so that folders' names and a rerun's trials are the same."""
    return float(f"{lmbda:.3g}")


def bisected(tried: Sequence[tuple[float, bool]], first: float) -> float | None:
    """Returns the λ to try next for a border: smaller λ are on its one side, larger ones on the other.

    Args:
      tried: λ above 0 so far, and whether the result is on the side of the small ones.
      first: λ to begin with.

    Returns:
      λ by bisection on its logarithm, once there are both sides; None where the two are as close as makes no
      difference. Where a larger λ came out on the side of the small ones (chance has its part), the border is
      looked for below the smallest that did not.
    """
    if not tried:
        return rounded(first)
    large = [lmbda for lmbda, small in tried if not small]
    high = min(large) if large else math.inf
    small = [lmbda for lmbda, side in tried if side and lmbda < high]
    low = max(small) if small else 0.0
    if math.isinf(high):
        return rounded(low * EXPANSION)
    if low == 0:
        return rounded(high / EXPANSION)
    middle = rounded(math.sqrt(low * high))
    return middle if min(middle / low, high / middle) >= CLOSEST else None


def between(lmbdas: Sequence[float], sizes: Sequence[float], metrics: Sequence[float]) -> float | None:
    """Returns the λ to add where a trade-off curve has its largest gap, or bends most.

    In logarithm of size and in metric, each over the curve's own range, a step from one λ to the next counts
    by its length, and up to twice that where the curve turns at its ends.

    Args:
      lmbdas: increasing, at least 0, `[n]`.
      sizes: in bytes, `[n]`.
      metrics: `[n]`.

    Returns:
      The geometric mean of two λ that are next to each other; None where there are not two that differ.
    """
    if len(lmbdas) < 2:
        return None
    points = np.stack([_unit(np.log(np.asarray(sizes, float))), _unit(np.asarray(metrics, float))], axis=1)
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    turns = np.zeros(len(lmbdas))
    for i in range(1, len(lmbdas) - 1):
        product = lengths[i - 1] * lengths[i]
        turns[i] = (1 - steps[i - 1] @ steps[i] / product) / 2 if product > 0 else 0.0
    scores = lengths * (1 + np.maximum(turns[:-1], turns[1:]))
    for i in np.argsort(-scores, kind="stable"):
        low, high = lmbdas[i], lmbdas[i + 1]
        middle = rounded(math.sqrt(low * high) if low > 0 else high / EXPANSION)
        if low < middle < high and (low == 0 or min(middle / low, high / middle) >= CLOSEST):
            return middle
    return None


def _unit(values: np.ndarray) -> np.ndarray:
    extent = np.ptp(values)
    return (values - values.min()) / extent if extent > 0 else np.zeros_like(values)
