"""Compares every curve of a sweep with an anchor, seeds and all."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...framework.messages import alternatives
from ..statistics.curves import METHODS, CurveError, Delta, bd_delta
from ..statistics.intervals import FEWEST, bootstrap_half_width
from ..statistics.pareto import pareto_mask
from .frames import OVERRIDE, VALIDATION, curve_of, uncompressed
from .schema import SEARCH, ResultError

_VALUES = ("size_bytes", "metric", "chosen")


def compare(frame: pd.DataFrame, anchor: str, method: str = "pchip") -> pd.DataFrame:
    """Compares each algorithm's trade-off curve with that of an anchor, task by task.

    A curve goes through the means over seeds of each λ, of each factor of `sweep.requantise`, and of each
    setting of `sweep.search`. Its points
    are those that are Pareto-optimal on the validation split, where all trials have one, and else on the
    reported split; their reported metrics are compared by Bjøntegaard's deltas (see `curves.py`, which leaves
    out what is not optimal there). Curves under other settings (a grid's overrides) are compared with the
    anchor's under the same settings or, where a grid sets only what other algorithms take, with its only
    curve. The anchor's own curves under settings, such as `sweep.start`, are compared with its curve without,
    if there is one, and what its search has found with what it has under the same settings.

    Args:
      frame: as from `load_results`, or a selection of its rows.
      anchor: name of an algorithm in it.
      method: interpolation between points, `pchip` or `akima`.

    Returns:
      One row for each other curve, with the columns `task`, `algorithm`, `overrides`, `anchor`, `method`,
      `metric_name`, `direction`, `unit`, `split`, `chosen_on`; `bd_rate` (a fraction: −0.25 is a quarter
      fewer bytes) and `bd_metric` (in the metric's unit; where lower is better, below 0 is better), each with
      half its 95% interval as `…_ci`; `metric_low` and `metric_high`, over which the rate is a mean, and
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
    done = done.assign(setting=done["overrides"], overrides=done["overrides"].map(curve_of))
    rows = []
    for (task, algorithm, overrides), curve in done.groupby(["task", "algorithm", "overrides"], sort=True):
        of_task = done[(done["task"] == task) & (done["algorithm"] == anchor)]
        anchors = _of_settings(of_task, str(overrides))
        if algorithm == anchor:
            own = _without_search(str(overrides))
            anchors = of_task[of_task["overrides"] == own]
            if overrides == own or anchors.empty:
                continue
        row = {
            "task": task,
            "algorithm": algorithm,
            "overrides": overrides,
            "anchor": anchor,
            "method": method,
        }
        shared = [name for name in curve.columns if name.startswith(OVERRIDE)]
        row |= {name: curve[name].iloc[0] for name in shared if curve[name].map(repr).nunique() == 1}
        row |= {name: curve[name].iloc[0] for name in ("metric_name", "direction", "unit", "split")}
        held_out = done.loc[done["task"] == task, "validation"].notna().all()
        row["chosen_on"] = VALIDATION if held_out else row["split"]
        bd = functools.partial(bd_delta, method=method, lower_is_better=row["direction"] == "lower")
        rows.append({**row, **_compared(_points(anchors, held_out), _points(curve, held_out), bd)})
    return pd.DataFrame(rows)


def _without_search(overrides: str) -> str:
    """Returns the settings with which the anchor's own are compared."""
    settings = json.loads(overrides)
    return json.dumps(settings, sort_keys=True) if settings.pop(SEARCH, None) else "{}"


def _of_settings(anchors: pd.DataFrame, overrides: str) -> pd.DataFrame:
    same = anchors[anchors["overrides"] == overrides]
    return anchors if same.empty and anchors["overrides"].nunique() == 1 else same


def _points(trials: pd.DataFrame, held_out: bool) -> pd.DataFrame:
    """Returns points, seeds and `_VALUES`; of the metric on which points are chosen, larger is better."""
    sign = np.where(trials["direction"] == "lower", -1.0, 1.0)
    chosen = sign * trials["validation" if held_out else "metric"]
    point = [f"{lmbda!r} {own}" for lmbda, own in zip(trials["lmbda"], trials["setting"], strict=True)]
    return trials[["seed", "size_bytes", "metric"]].assign(point=point, chosen=chosen)


def _compared(anchor: pd.DataFrame, curve: pd.DataFrame, bd: Callable[..., Delta]) -> dict[str, Any]:
    unknown = dict.fromkeys(("bd_rate", "bd_metric", "metric_low", "metric_high", "overlap"), math.nan)
    seeds = sorted(set(anchor["seed"]) & set(curve["seed"]))
    row = {**unknown, "bd_rate_ci": math.nan, "bd_metric_ci": math.nan, "n": len(seeds), "problem": ""}
    if anchor.empty:
        return {**row, "problem": "the anchor has no curve under these settings"}
    try:
        delta = bd(_means(anchor), _means(curve))
    except CurveError as error:
        return {**row, "problem": str(error)}
    row |= {"bd_rate": delta.rate, "bd_metric": delta.metric}
    row |= {"metric_low": delta.low, "metric_high": delta.high, "overlap": delta.overlap}
    if len(seeds) < FEWEST:
        return row
    by_seed = [_by_seed(trials, seeds) for trials in (anchor, curve)]

    @functools.cache
    def of_sample(sample: tuple[int, ...]) -> Delta | None:
        try:
            return bd(_sampled(by_seed[0], sample), _sampled(by_seed[1], sample))
        except CurveError:
            return None

    def statistic(name: str) -> Callable[[Sequence[int]], float]:
        return lambda sample: getattr(of_sample(tuple(sample)), name, math.nan)

    row["bd_rate_ci"] = bootstrap_half_width(statistic("rate"), len(seeds))
    row["bd_metric_ci"] = bootstrap_half_width(statistic("metric"), len(seeds))
    return row


def _means(curve: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean size and metric of each point that is chosen."""
    means = curve.groupby("point")[list(_VALUES)].mean()
    return _chosen(*means.to_numpy(np.float64).T)


def _by_seed(curve: pd.DataFrame, seeds: Sequence[int]) -> np.ndarray:
    """Returns `_VALUES` by point and seed, float64 `[3, point, seed]`; NaN where a trial is missing."""
    tables = (curve.pivot(index="point", columns="seed", values=name) for name in _VALUES)
    return np.stack([table.reindex(columns=list(seeds)).to_numpy(np.float64) for table in tables])


def _sampled(values: np.ndarray, sample: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean size and metric of the chosen points over a sample of seeds.

    A point without any trial is left out.
    """
    drawn = values[:, :, list(sample)]
    known = np.isfinite(drawn[0])
    some = known.any(axis=1)
    totals = np.where(known, drawn, 0.0).sum(axis=2)[:, some]
    return _chosen(*(totals / known.sum(axis=1)[some]))


def _chosen(sizes: np.ndarray, metrics: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    optimal = pareto_mask(sizes, chosen)
    return sizes[optimal], metrics[optimal]
