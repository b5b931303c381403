"""Reads trials' results into pandas frames: one row for each trial, or for each group of seeds."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.special

from . import pareto
from .schema import MEASURED, RESULT, ResultError, read_result

BASELINE = "none"
"""The algorithm that stores floats: the reference row of every table."""
OVERRIDE = "gin:"
"""Prefix of a column that holds a gin parameter, such as `gin:digits.epochs`."""
VERSION = "version:"
"""Prefix of a column that holds a package's version, such as `version:tensorflow`."""
AVERAGED = ("size_bytes", "ratio", "metric", "train_seconds")
"""Columns for which a summary has the mean over seeds and, as `…_ci`, half its 95% interval."""


def uncompressed(rows: pd.DataFrame) -> pd.Series:
    """Marks the baseline's rows, of trials or of a summary: those of `none` that no rule made smaller."""
    return (rows["algorithm"] == BASELINE) & ~(rows["ratio"] > 1)


def error_line(error: str) -> str:
    """Returns the line of a traceback that names the exception, or the first line of any other text."""
    lines = [line.rstrip() for line in error.strip().splitlines()]
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    after = lines[starts[-1] + 1 :] if starts else lines
    line = next((line for line in after if line and not line[0].isspace()), lines[0].strip())
    return "".join(c if c.isprintable() else " " for c in line)


def load_results(directory: str | os.PathLike) -> pd.DataFrame:
    """Reads every `result.json` at any depth below `directory`, one row for each.

    Args:
      directory: the folder of one sweep, or one that holds several. Linked folders are not followed.

    Returns:
      A frame with the fields of the results, ordered by task, algorithm, overrides, λ and seed.
      Measured numbers are float64, NaN where the trial failed or did not measure them. `overrides` is
      canonical JSON; each gin parameter in it also has a column of its own, `gin:<parameter>` (None
      where a trial does not set it; lists and objects as JSON). Each version has a column
      `version:<package>`. `directory` is the trial's folder.

    Raises:
      ResultError: where there is no result yet, where a file is not a result (see `read_result`),
        and where one trial's identity occurs twice.
    """
    directory = Path(directory)
    hint = f"Run a sweep first, for example: lambdapress sweep sweeps/digits.gin --out {directory}"
    if not directory.is_dir():
        raise ResultError(f"There is no directory {str(directory)!r}. {hint}")
    paths = sorted(
        Path(root) / RESULT
        for root, dirs, files in os.walk(directory, onerror=_refuse)
        if RESULT in files or RESULT in dirs
    )
    if not paths:
        raise ResultError(f"No trial has a result below {str(directory)!r} yet. {hint}")
    seen: dict[str, Path] = {}
    rows = []
    for path in paths:
        record = read_result(path)
        identity = record["identity"]
        if identity in seen:
            raise ResultError(
                f"{path} and {seen[identity]} hold the same trial, {identity}. Remove one of them, or "
                "read their sweeps one at a time."
            )
        seen[identity] = path
        rows.append(_row(record, path.parent))
    frame = pd.DataFrame(rows)
    for name in MEASURED:
        frame[name] = frame[name].astype(np.float64)
    for name in frame.columns:
        if name.startswith((OVERRIDE, VERSION)):
            frame[name] = pd.Series([row.get(name) for row in rows], dtype=object)
    order = ["task", "algorithm", "overrides", "lmbda", "seed", "identity"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _refuse(error: OSError) -> None:
    raise ResultError(f"{error.filename} cannot be listed ({error.strerror}).") from error


def _row(record: dict[str, Any], directory: Path) -> dict[str, Any]:
    row = {name: value for name, value in record.items() if name not in ("schema", "overrides", "versions")}
    row["lmbda"] = float(record["lmbda"])
    row["directory"] = str(directory)
    row["overrides"] = json.dumps(record["overrides"], sort_keys=True)
    for name, value in sorted(record["overrides"].items()):
        row[OVERRIDE + name] = json.dumps(value) if isinstance(value, (list, dict)) else value
    for name, value in sorted(record["versions"].items()):
        row[VERSION + name] = value
    return row


def half_width(values: np.ndarray) -> float:
    """Returns half the 95% confidence interval of the mean of `values` `[n]`.

    By Student's t with n − 1 degrees of freedom; NaN for fewer than two values.
    """
    count = len(values)
    if count < 2:
        return math.nan
    return float(scipy.special.stdtrit(count - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(count))


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Summarises seeds: returns one row for each task, algorithm, set of overrides and λ.

    Args:
      frame: as from `load_results`, or a selection of its rows.

    Returns:
      A frame ordered by task, algorithm (the baseline first), overrides and λ. Its columns:

      - `task`, `algorithm`, `overrides`, `gin:…`, `lmbda`, `metric_name`: the group.
      - `n`, `n_failed`: numbers of trials that succeeded and that failed. A group with n = 0 stays.
      - `size_bytes`, `ratio`, `metric`, `train_seconds` (seconds): means over the n trials, with
        `…_ci` half the 95% interval of Student's t (NaN for n < 2).
      - `estimated_bytes`, `float_bytes`: means.
      - `baseline_metric`: mean metric of the task's trials of `none` (NaN without any), and
        `metric_drop`, which is `baseline_metric` − `metric`.
      - `pareto`: whether no other group of the task is at most as large and at least as good,
        on the means.
      - `hypervolume`: of all groups of the task and algorithm, against the task's largest
        `float_bytes` and a metric of 0; see `pareto.hypervolume`.
      - `failures`: a line `directory: error` for each failed trial.

    Raises:
      ResultError: if one seed occurs twice in a group. Those trials differ in something that is
        no override (such as a default in a gin file), so that a mean over them makes no sense.
    """
    groups = ["task", "algorithm", "overrides", "lmbda"]
    if frame.empty:
        raise ResultError("There are no results to summarise: the frame has no rows.")
    twice = frame[frame.duplicated([*groups, "seed"], keep=False)]
    if not twice.empty:
        first = twice.sort_values([*groups, "seed"]).iloc[:2]
        raise ResultError(
            f"{' and '.join(first['directory'])} have the same task, algorithm, lmbda, overrides and seed, "
            "but are different trials: of other gin bindings, or of other code of your own. Summarise their "
            "sweeps one at a time, or remove the folder that is out of date."
        )
    rows = [_group_row(group) for _, group in frame.groupby(groups, sort=True)]
    summary = pd.DataFrame(rows)
    summary["baseline_metric"] = (
        summary["task"]
        .map(frame[uncompressed(frame) & (frame["status"] == "ok")].groupby("task")["metric"].mean())
        .astype(np.float64)
    )
    summary["metric_drop"] = summary["baseline_metric"] - summary["metric"]
    summary["pareto"] = False
    summary["hypervolume"] = 0.0
    for _, of_task in summary.groupby("task"):
        finished = of_task[of_task["n"] > 0]
        summary.loc[finished.index, "pareto"] = pareto.pareto_mask(finished["size_bytes"], finished["metric"])
        for _, of_algorithm in of_task.groupby("algorithm"):
            done = of_algorithm[of_algorithm["n"] > 0]
            if not done.empty:
                summary.loc[of_algorithm.index, "hypervolume"] = pareto.hypervolume(
                    done["size_bytes"], done["metric"], reference_size=finished["float_bytes"].max()
                )
    first = (~uncompressed(summary)).rename("first")
    order = pd.concat([summary[["task", "algorithm", "overrides", "lmbda"]], first], axis=1)
    order = order.sort_values(["task", "first", "algorithm", "overrides", "lmbda"], kind="stable")
    last = summary.pop("failures")
    return summary.assign(failures=last).loc[order.index].reset_index(drop=True)


def _group_row(group: pd.DataFrame) -> dict[str, Any]:
    done = group[group["status"] == "ok"]
    failed = group[group["status"] == "failed"]
    row = {name: group[name].iloc[0] for name in ("task", "algorithm", "overrides", "lmbda")}
    row.update({name: group[name].iloc[0] for name in group.columns if name.startswith(OVERRIDE)})
    named = group["metric_name"].dropna()
    row["metric_name"] = named.iloc[0] if len(named) else "metric"
    row["n"], row["n_failed"] = len(done), len(failed)
    for name in AVERAGED:
        row[name] = done[name].mean()
        row[f"{name}_ci"] = half_width(done[name].to_numpy())
    row["estimated_bytes"] = done["estimated_bytes"].mean()
    row["float_bytes"] = done["float_bytes"].mean()
    row["failures"] = "\n".join(
        f"{trial}: {error_line(error)}"
        for trial, error in zip(failed["directory"], failed["error"], strict=True)
    )
    return row
