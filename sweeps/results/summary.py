"""Summarises trials over their seeds: means, intervals, drops, Pareto fronts."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from ..statistics import pareto
from ..statistics.intervals import half_width, paired
from ..statistics.significance import dominated_probability, holm, p_value
from .frames import ENVIRONMENT, OVERRIDE, TEST, VALIDATION, uncompressed
from .schema import ResultError, error_line

AVERAGED = ("size_bytes", "ratio", "metric", "validation", "train_seconds")
"""Columns of which a summary holds the mean over seeds, half its 95% interval (`…_ci`) and the range."""
MEANS = (
    "estimated_bytes",
    "float_bytes",
    "coded_bytes",
    "bits_per_weight",
    "nonzeros",
    "num_params",
    "multiply_adds",
    "all_train_seconds",
    "all_epochs",
)
"""Columns of which a summary holds the mean alone."""
USEFUL = 0.9
"""A model is useful if it has kept this share of what the baseline gains over the best constant answer."""
_MACHINE = ("host", "processor", "gpu", "threads")
_GROUP = ["task", "algorithm", "overrides", "lmbda"]


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Summarises seeds: returns one row for each task, algorithm, set of overrides and λ.

    Args:
      frame: as from `load_results`, or a selection of its rows.

    Returns:
      A frame ordered by task, algorithm (the baseline first), overrides and λ. Its columns:

      - `task`, `algorithm`, `overrides`, `gin:…`, `lmbda`: the group; `metric_name`, `direction`, `unit`,
        `split`: of the metric that counts.
      - `n`, `n_failed`, `n_stopped`: numbers of trials that succeeded, that failed or were blocked, and that
        `sweep.stop` ended. A group with n = 0 stays.
      - `size_bytes`, `ratio`, `metric`, `validation`, `train_seconds` (seconds): means over the n trials,
        with `…_ci` half the 95% interval of Student's t (NaN for n < 3), and `…_low` and `…_high` the range.
      - `MEANS`: means over the n trials.
      - `baseline_metric`: mean metric of the task's trials of `none` under the same settings: what the row's
        overrides set for them (NaN without any such trial).
      - `metric_drop`: how much worse the metric is than the baseline's (below it, or above it where lower is
        better), over the seeds that both have (over all seeds where they share none), with `metric_drop_ci`
        half the 95% interval of the mean difference by seed (NaN for fewer than three shared seeds), and
        `metric_drop_p`, the p-value of no drop by a paired t-test, adjusted by Holm's method for the rows of
        the task.
      - `chosen_on`: the split on which points are chosen: `validation`, or the reported split where a
        finished trial of the task has no validation metric.
      - `p_dominated`: how likely another group of the task is at most as large and at least as good on
        `chosen_on`; see `significance.dominated_probability`.
      - `pareto`: whether no other group of the task is at most as large and at least as good on `chosen_on`,
        on the means.
      - `hypervolume`: of the task's and algorithm's groups that are Pareto-optimal among themselves on
        `chosen_on`, with the reported metric, against the task's largest `float_bytes` and
        `hypervolume_reference`; see `pareto.hypervolume`. The reference is the metric that keeps `USEFUL` of
        what the baseline gains over the best constant answer, so that small, useless models add nothing. Both
        are NaN where there is no baseline, or it is not known what a constant answer would have.
      - `stale`: number of trials by older code of the package; `codes`, `machines`: numbers of different
        codes and machines (host, processor, GPU, threads) among the trials.
      - `stops`, `failures`: a line `directory: error` for each trial that was stopped, or failed.

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
    _name_metrics(summary)
    for _, of_task in summary.groupby("task"):
        for name, values in _of_task(of_task).items():
            summary.loc[of_task.index, name] = pd.Series(values, of_task.index)
    summary = summary.astype({"pareto": bool})
    first = (~uncompressed(summary)).rename("first")
    order = pd.concat([summary[_GROUP], first], axis=1)
    order = order.sort_values(["task", "first", "algorithm", "overrides", "lmbda"], kind="stable")
    summary = summary.drop(columns=["trials", "chosen"])
    last = {name: summary.pop(name) for name in ("stops", "failures")}
    return summary.assign(**last).loc[order.index].reset_index(drop=True)


def _name_metrics(summary: pd.DataFrame) -> None:
    """Gives groups whose trials all failed, and so name no metric, that of their task."""
    names = ["metric_name", "direction", "unit", "split"]
    for _, of_task in summary.groupby("task"):
        finished = of_task[of_task["n"] > 0]
        if len(finished):
            summary.loc[of_task.index, names] = finished[names].iloc[0].to_numpy()


def _of_task(rows: pd.DataFrame) -> dict[str, Any]:
    """Returns the columns that compare a task's rows with each other."""
    sign = -1 if rows["direction"].iloc[0] == "lower" else 1
    done: Any = rows[rows["n"] > 0]
    on_validation = len(done) > 0 and all(len(t) == n for t, n in zip(done["chosen"], done["n"], strict=True))
    name = "validation" if on_validation else "metric"
    chosen: Any = sign * done[name]
    column = "chosen" if on_validation else "trials"
    trials = [{seed: (size, sign * value) for seed, (size, value) in row.items()} for row in rows[column]]
    optimal = pd.Series(False, rows.index)
    optimal[done.index] = pareto.pareto_mask(done["size_bytes"], chosen)
    columns: dict[str, Any] = {
        "metric_drop_p": holm(rows["metric_drop_p"]),
        "chosen_on": VALIDATION if on_validation else next(filter(None, rows["split"]), TEST),
        "p_dominated": dominated_probability(trials),
        "pareto": optimal,
        "hypervolume": math.nan,
        "hypervolume_reference": (reference := _reference(done)),
    }
    if not math.isnan(reference):
        columns["hypervolume"] = pd.Series(math.nan, rows.index)
        for _, own in done.groupby("algorithm"):
            best = own[pareto.pareto_mask(own["size_bytes"], chosen[own.index])]
            area = pareto.hypervolume(
                best["size_bytes"], sign * best["metric"], done["float_bytes"].max(), sign * reference
            )
            columns["hypervolume"][own.index] = area
    return columns


def _reference(done: pd.DataFrame) -> float:
    """Returns the metric of a model that is just useful, in the mean over the task's baselines."""
    baseline, constant = done["baseline_metric"].mean(), done["constant"].mean()
    return float(constant + USEFUL * (baseline - constant))


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


def _points(trials: pd.DataFrame, name: str) -> dict[int, tuple[float, float]]:
    """Returns sizes and metrics by seed, of the trials that have this metric."""
    rows = zip(trials["seed"], trials["size_bytes"], trials[name], strict=True)
    return {int(seed): (size, value) for seed, size, value in rows if not math.isnan(value)}


def _group_row(group: pd.DataFrame, baselines: list) -> dict[str, Any]:
    done = group[group["status"] == "ok"]
    stopped = group[group["status"] == "stopped"]
    failed = group[~group["status"].isin(["ok", "stopped"])]
    row = {name: group[name].iloc[0] for name in _GROUP}
    row.update({name: group[name].iloc[0] for name in group.columns if name.startswith(OVERRIDE)})
    named = done if len(done) else group
    row.update({name: named[name].iloc[0] for name in ("direction", "unit", "split")})
    row["metric_name"] = named["metric_name"].iloc[0] or "metric"
    row["n"], row["n_failed"], row["n_stopped"] = len(done), len(failed), len(stopped)
    for name in AVERAGED:
        row[name] = done[name].mean()
        row[f"{name}_ci"] = half_width(done[name])
        row[f"{name}_low"], row[f"{name}_high"] = done[name].min(), done[name].max()
    row.update({name: done[name].mean() for name in (*MEANS, "constant")})
    sign = -1 if row["direction"] == "lower" else 1
    row.update(_drop(done, _baseline_of(row["task"], row["overrides"], baselines), sign))
    row["trials"], row["chosen"] = _points(done, "metric"), _points(done, "validation")
    row["stale"], row["codes"] = int(done["stale"].sum()), done["code"].nunique()
    machine = [name for name in (f"{ENVIRONMENT}{part}" for part in _MACHINE) if name in done]
    known = done[machine].drop_duplicates().dropna().itertuples(index=False)
    row["machines"] = "; ".join(sorted(", ".join(map(str, one)) for one in known))
    row["stops"], row["failures"] = _reasons(stopped), _reasons(failed)
    return row


def _reasons(trials: pd.DataFrame) -> str:
    lines = zip(trials["directory"], trials["error"], strict=True)
    return "\n".join(f"{trial}: {error_line(error)}" for trial, error in lines)


def _drop(done: pd.DataFrame, baseline: dict[int, float], sign: int) -> dict[str, float]:
    """Returns the baseline's metric, and how much worse a group's is, by seed where they share some."""
    ours = _by_seed(done)
    mean = float(np.mean(list(baseline.values()))) if baseline else math.nan
    drops = sign * paired(baseline, ours)
    if len(drops):
        return {
            "baseline_metric": mean,
            "metric_drop": float(drops.mean()),
            "metric_drop_ci": half_width(drops),
            "metric_drop_p": p_value(drops),
        }
    drop = sign * (mean - float(np.mean(list(ours.values())))) if ours else math.nan
    unknown = dict.fromkeys(("metric_drop_ci", "metric_drop_p"), math.nan)
    return {"baseline_metric": mean, "metric_drop": drop, **unknown}
