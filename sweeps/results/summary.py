"""Summarises trials over their seeds: means, intervals, drops, Pareto fronts."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from . import pareto
from .frames import OVERRIDE, error_line, uncompressed
from .intervals import half_width, paired
from .schema import ResultError
from .significance import dominated_probability, holm, p_value

AVERAGED = ("size_bytes", "ratio", "metric", "train_seconds")
"""Columns of which a summary holds the mean over seeds, half its 95% interval (`…_ci`) and the range."""
_GROUP = ["task", "algorithm", "overrides", "lmbda"]


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Summarises seeds: returns one row for each task, algorithm, set of overrides and λ.

    Args:
      frame: as from `load_results`, or a selection of its rows.

    Returns:
      A frame ordered by task, algorithm (the baseline first), overrides and λ. Its columns:

      - `task`, `algorithm`, `overrides`, `gin:…`, `lmbda`, `metric_name`: the group.
      - `n`, `n_failed`: numbers of trials that succeeded and that failed. A group with n = 0 stays.
      - `size_bytes`, `ratio`, `metric`, `train_seconds` (seconds): means over the n trials, with `…_ci` half
        the 95% interval of Student's t (NaN for n < 3), and `…_low` and `…_high` the range.
      - `estimated_bytes`, `float_bytes`: means.
      - `baseline_metric`: mean metric of the task's trials of `none` under the same settings: what the row's
        overrides set for them (NaN without any such trial).
      - `metric_drop`: how far the metric is below the baseline's, over the seeds that both have (over all
        seeds where they share none), with `metric_drop_ci` half the 95% interval of the mean difference by
        seed (NaN for fewer than three shared seeds), and `metric_drop_p`, the p-value of no drop by a paired
        t-test, adjusted by Holm's method for the rows of the task.
      - `p_dominated`: how likely another group of the task is at most as large and at least as good; see
        `significance.dominated_probability`.
      - `pareto`: whether no other group of the task is at most as large and at least as good,
        on the means.
      - `hypervolume`: of all groups of the task and algorithm, against the task's largest
        `float_bytes` and a metric of 0; see `pareto.hypervolume`.
      - `failures`: a line `directory: error` for each failed trial.

    Raises:
      ResultError: if one seed occurs twice in a group. Those trials differ in something that is
        no override (such as a default in a gin file), so that a mean over them makes no sense.
    """
    if frame.empty:
        raise ResultError("There are no results to summarise: the frame has no rows.")
    _check_seeds(frame)
    baselines = _baselines(frame)
    rows = [_group_row(group, baselines) for _, group in frame.groupby(_GROUP, sort=True)]
    summary = pd.DataFrame(rows)
    summary["pareto"] = False
    summary["hypervolume"] = 0.0
    for _, of_task in summary.groupby("task"):
        summary.loc[of_task.index, "metric_drop_p"] = holm(of_task["metric_drop_p"])
        summary.loc[of_task.index, "p_dominated"] = dominated_probability(list(of_task["trials"]))
        finished = of_task[of_task["n"] > 0]
        summary.loc[finished.index, "pareto"] = pareto.pareto_mask(finished["size_bytes"], finished["metric"])
        for _, of_algorithm in of_task.groupby("algorithm"):
            done = of_algorithm[of_algorithm["n"] > 0]
            if not done.empty:
                summary.loc[of_algorithm.index, "hypervolume"] = pareto.hypervolume(
                    done["size_bytes"], done["metric"], reference_size=finished["float_bytes"].max()
                )
    first = (~uncompressed(summary)).rename("first")
    order = pd.concat([summary[_GROUP], first], axis=1)
    order = order.sort_values(["task", "first", "algorithm", "overrides", "lmbda"], kind="stable")
    summary = summary.drop(columns="trials")
    last = summary.pop("failures")
    return summary.assign(failures=last).loc[order.index].reset_index(drop=True)


def _check_seeds(frame: pd.DataFrame) -> None:
    twice = frame[frame.duplicated([*_GROUP, "seed"], keep=False)]
    if not twice.empty:
        first = twice.sort_values([*_GROUP, "seed"]).iloc[:2]
        raise ResultError(
            f"{' and '.join(first['directory'])} have the same task, algorithm, lmbda, overrides and seed, "
            "but are different trials: of other gin bindings, or of other code of your own. Summarise their "
            "sweeps one at a time, or remove the folder that is out of date."
        )


def _baselines(frame: pd.DataFrame) -> list[tuple[str, dict[str, Any], dict[int, float]]]:
    """Lists the uncompressed groups: task, overrides, and metrics by seed."""
    plain: Any = frame[uncompressed(frame) & (frame["status"] == "ok")]
    return [
        (task, json.loads(overrides), _by_seed(group))
        for (task, overrides), group in plain.groupby(["task", "overrides"])
    ]


def _baseline_of(task: str, overrides: str, baselines: list) -> dict[int, float]:
    """Returns the metrics by seed of the baseline under the same settings.

    A sweep's grid may set what only an algorithm takes, and a baseline's overrides lack that: its overrides
    are those among the row's that mean something to it.
    """
    row = json.loads(overrides)
    same = [
        (len(settings), seeds)
        for of_task, settings, seeds in baselines
        if of_task == task and all(name in row and row[name] == value for name, value in settings.items())
    ]
    return max(same, key=lambda pair: pair[0])[1] if same else {}


def _by_seed(trials: pd.DataFrame) -> dict[int, float]:
    return {int(seed): float(value) for seed, value in zip(trials["seed"], trials["metric"], strict=True)}


def _group_row(group: pd.DataFrame, baselines: list) -> dict[str, Any]:
    done = group[group["status"] == "ok"]
    failed = group[group["status"] == "failed"]
    row = {name: group[name].iloc[0] for name in _GROUP}
    row.update({name: group[name].iloc[0] for name in group.columns if name.startswith(OVERRIDE)})
    named = group["metric_name"].dropna()
    row["metric_name"] = named.iloc[0] if len(named) else "metric"
    row["n"], row["n_failed"] = len(done), len(failed)
    for name in AVERAGED:
        row[name] = done[name].mean()
        row[f"{name}_ci"] = half_width(done[name])
        row[f"{name}_low"], row[f"{name}_high"] = done[name].min(), done[name].max()
    row["estimated_bytes"] = done["estimated_bytes"].mean()
    row["float_bytes"] = done["float_bytes"].mean()
    row.update(_drop(done, _baseline_of(row["task"], row["overrides"], baselines)))
    sizes = zip(done["seed"], done["size_bytes"], done["metric"], strict=True)
    row["trials"] = {int(seed): (size, metric) for seed, size, metric in sizes}
    row["failures"] = "\n".join(
        f"{trial}: {error_line(error)}"
        for trial, error in zip(failed["directory"], failed["error"], strict=True)
    )
    return row


def _drop(done: pd.DataFrame, baseline: dict[int, float]) -> dict[str, float]:
    """Returns the baseline's metric, and how far a group's is below it, by seed where they share some."""
    ours = _by_seed(done)
    mean = float(np.mean(list(baseline.values()))) if baseline else math.nan
    drops = paired(baseline, ours)
    if len(drops):
        return {
            "baseline_metric": mean,
            "metric_drop": float(drops.mean()),
            "metric_drop_ci": half_width(drops),
            "metric_drop_p": p_value(drops),
        }
    drop = mean - float(np.mean(list(ours.values()))) if ours else math.nan
    unknown = dict.fromkeys(("metric_drop_ci", "metric_drop_p"), math.nan)
    return {"baseline_metric": mean, "metric_drop": drop, **unknown}
