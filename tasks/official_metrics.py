"""Says what the metrics of Official Models mean, which only have names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..framework.task import Metric

_LOWER = re.compile(r"loss|error|perplexity|nll|distance|mae|mse", re.IGNORECASE)
_FRACTION = re.compile(r"accuracy|iou|f1|precision|recall|top_?\d|(^|[_/])m?AP|pq$|sq$|rq$", re.IGNORECASE)


def described(name: str, best: str | None = None) -> Metric:
    """Returns a metric by its name in Official Models.

    >>> described("mean_iou")
    Metric(name='mean_iou', direction='higher', unit='%')
    >>> described("validation_loss")
    Metric(name='validation_loss', direction='lower', unit='')

    Args:
      name: as an experiment evaluates it.
      best: `higher` or `lower` where the experiment says it, else None: losses, errors and perplexities are
        better when lower.
    """
    direction = "lower" if _LOWER.search(name) else best or "higher"
    return Metric(name, direction, "%" if _FRACTION.search(name) and not _LOWER.search(name) else "")


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Returns the single numbers of an evaluation's logs; per-class vectors and the like are left out."""
    values = {}
    for name, value in logs.items():
        try:
            values[name] = float(value)
        except (TypeError, ValueError):
            continue
    return values
