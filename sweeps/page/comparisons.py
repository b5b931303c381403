"""Compares each curve with each other one, for the matrix of a report."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from ..report.comparison_table import curve_names
from ..report.styles import shared
from ..results.comparison import compare
from ..results.frames import uncompressed
from ..results.schema import ResultError

MOST_ANCHORS = 8
MOST_CURVES = 40
"""A matrix has at most so many columns and rows; the bootstrap of each cell takes time."""


def comparisons(frame: pd.DataFrame, summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the BD-rates of curves against each algorithm's, as `compare` gives them.

    Of more than `MOST_CURVES`, those without settings and those with Pareto-optimal points are compared.

    Args:
      frame: as from `load_results`.
      summary: of its seeds, as from `summarise`.

    Returns:
      For each anchor `anchor` and `rows`: `task`, `name`, `rate` and `metric` (fractions of bytes, and in the
      metric's unit), `rate_ci`, `metric_ci`, `n`, `problem`.
    """
    done = frame[(frame["status"] == "ok") & ~uncompressed(frame)]
    curves = [*zip(done["task"], done["algorithm"], shared(done["overrides"]), strict=True)]
    if len(set(curves)) > MOST_CURVES:
        best = summary[summary["pareto"]].sort_values("size_bytes")
        telling = [curve for curve in dict.fromkeys(curves) if curve[2] == "{}"]
        telling += zip(best["task"], best["algorithm"], shared(best["overrides"]), strict=True)
        kept = set(list(dict.fromkeys(telling))[:MOST_CURVES])
        frame = done = done[[curve in kept for curve in curves]]
    found = []
    for anchor in sorted(done["algorithm"].unique())[:MOST_ANCHORS]:
        try:
            compared = compare(frame, anchor)
        except ResultError:  # of several tasks, none has this anchor
            continue
        if compared.empty:
            continue
        rows = [
            {
                "task": row["task"],
                "name": name,
                "rate": _known(row["bd_rate"]),
                "rate_ci": _known(row["bd_rate_ci"]),
                "metric": _known(row["bd_metric"]),
                "metric_ci": _known(row["bd_metric_ci"]),
                "unit": row["unit"],
                "n": int(row["n"]),
                "problem": row["problem"],
            }
            for name, row in zip(curve_names(compared), compared.to_dict("records"), strict=True)
        ]
        found.append({"anchor": anchor, "rows": rows})
    return found


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.5g}")
