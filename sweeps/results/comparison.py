"""Compares every curve of a sweep with an anchor, seeds and all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...framework.messages import alternatives
from .curves import METHODS, CurveError, bd_delta
from .frames import OVERRIDE, uncompressed
from .intervals import FEWEST, bootstrap_half_width
from .schema import ResultError


def compare(frame: pd.DataFrame, anchor: str, method: str = "pchip") -> pd.DataFrame:
    """Compares each algorithm's trade-off curve with that of an anchor, task by task.

    A curve goes through the means over seeds of each λ; Bjøntegaard's deltas are of its Pareto-optimal
    points (see `curves.py`). Curves under other settings (a grid's overrides) are compared with the anchor's
    under the same settings or, where a grid sets only what other algorithms take, with its only curve.

    Args:
      frame: as from `load_results`, or a selection of its rows.
      anchor: name of an algorithm in it.
      method: interpolation between points, `pchip` or `akima`.

    Returns:
      One row for each other curve, with the columns `task`, `algorithm`, `overrides`, `anchor`, `method`,
      `metric_name`; `bd_rate` (a fraction: −0.25 is a quarter fewer bytes) and `bd_metric`, each with half
      its 95% interval as `…_ci`; `metric_low` and `metric_high`, over which the rate is a mean, and
      `overlap`, their share of what either curve covers; `n`, the seeds that both have. The intervals are
      bootstrapped over these seeds (`intervals.bootstrap_half_width`) and NaN for fewer than three. Where
      two curves cannot be compared, the numbers are NaN and `problem` says why; otherwise it is empty.

    Raises:
      ResultError: where the frame has no trial of the anchor.
      ValueError: for another method.
    """
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, got {method!r}.")
    done = frame[(frame["status"] == "ok") & ~uncompressed(frame)]
    names = sorted(done["algorithm"].unique())
    if anchor not in names:
        raise ResultError(
            f"There is no finished trial of {anchor!r} to compare with ({alternatives(anchor, names)})."
        )
    rows = []
    for (task, algorithm, overrides), curve in done.groupby(["task", "algorithm", "overrides"], sort=True):
        if algorithm == anchor:
            continue
        row = {
            "task": task,
            "algorithm": algorithm,
            "overrides": overrides,
            "anchor": anchor,
            "method": method,
        }
        row |= {name: curve[name].iloc[0] for name in curve.columns if name.startswith(OVERRIDE)}
        row["metric_name"] = curve["metric_name"].iloc[0]
        of_task = done[(done["task"] == task) & (done["algorithm"] == anchor)]
        rows.append({**row, **_compared(_of_settings(of_task, str(overrides)), curve, method)})
    return pd.DataFrame(rows)


def _of_settings(anchors: pd.DataFrame, overrides: str) -> pd.DataFrame:
    same = anchors[anchors["overrides"] == overrides]
    return anchors if same.empty and anchors["overrides"].nunique() == 1 else same


def _compared(anchor: pd.DataFrame, curve: pd.DataFrame, method: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("bd_rate", "bd_metric", "metric_low", "metric_high", "overlap"), math.nan)
    seeds = sorted(set(anchor["seed"]) & set(curve["seed"]))
    row = {**unknown, "bd_rate_ci": math.nan, "bd_metric_ci": math.nan, "n": len(seeds), "problem": ""}
    if anchor.empty:
        return {**row, "problem": "the anchor has no curve under these settings"}
    try:
        delta = bd_delta(_means(anchor), _means(curve), method)
    except CurveError as error:
        return {**row, "problem": str(error)}
    row |= {"bd_rate": delta.rate, "bd_metric": delta.metric}
    row |= {"metric_low": delta.low, "metric_high": delta.high, "overlap": delta.overlap}
    if len(seeds) < FEWEST:
        return row

    def statistic(name: str):
        def of_sample(sample: Sequence[int]) -> float:
            try:
                drawn = [seeds[position] for position in sample]
                return getattr(bd_delta(_means(anchor, drawn), _means(curve, drawn), method), name)
            except CurveError:
                return math.nan

        return of_sample

    row["bd_rate_ci"] = bootstrap_half_width(statistic("rate"), len(seeds))
    row["bd_metric_ci"] = bootstrap_half_width(statistic("metric"), len(seeds))
    return row


def _means(curve: pd.DataFrame, seeds: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean size and metric at each λ, over all trials or over seeds that may repeat."""
    sizes, metrics = [], []
    for _, trials in curve.groupby("lmbda"):
        if seeds is not None:
            by_seed = trials.set_index("seed")
            drawn = [seed for seed in seeds if seed in by_seed.index]
            trials = by_seed.loc[drawn]
        if len(trials):
            sizes.append(trials["size_bytes"].mean())
            metrics.append(trials["metric"].mean())
    return np.array(sizes), np.array(metrics)
