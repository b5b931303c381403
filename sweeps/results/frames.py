"""Reads trials' results into pandas frames: one row for each trial, or for each group of seeds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...framework.messages import alternatives
from .provenance import changed
from .schema import BASELINE, MEASURED, REQUANTISE, RESULT, SEARCH, ResultError, read_result

TEST, VALIDATION = "test", "validation"
_NESTED = ("schema", "overrides", "versions", "environment", "metrics", "weight_bytes")
_VALUES = ("metric", "validation", "constant")

OVERRIDE = "gin:"
"""Prefix of a column that holds a gin parameter, such as `gin:digits.epochs`."""
VERSION = "version:"
"""Prefix of a column that holds a package's version, such as `version:tensorflow`."""
ENVIRONMENT = "environment:"
"""Prefix of a column that says where a trial ran, such as `environment:host`."""
METRIC = "metric:"
"""Prefix of a column with a metric on a split, such as `metric:nll:validation`."""


def uncompressed(rows: pd.DataFrame) -> pd.Series:
    """Marks the baseline's rows, of trials or of a summary: those of `none` that no rule made smaller."""
    return (rows["algorithm"] == BASELINE) & ~(rows["ratio"] > 1)


def curve_of(overrides: str) -> str:
    """Returns what all points of a trial's trade-off curve have in common, as canonical JSON.

    Points of one training with other steps are on its curve, and all that a search tries are on one.

    Args:
      overrides: as in the column `overrides`.
    """
    shared = {name: value for name, value in json.loads(overrides).items() if name != REQUANTISE}
    return json.dumps({**shared, SEARCH: True} if SEARCH in shared else shared, sort_keys=True)


def load_results(directory: str | os.PathLike, metric: str | None = None) -> pd.DataFrame:
    """Reads every `result.json` at any depth below `directory`, one row for each.

    Args:
      directory: the folder of one sweep, or one that holds several. Linked folders are not followed.
      metric: name of the metric that counts; None: each task's main one.

    Returns:
      A frame with the fields of the results, ordered by task, algorithm, overrides, λ and seed.
      Measured numbers are float64, NaN where the trial failed or did not measure them.

      - `metric_name`, `direction` (`higher` or `lower` is better), `unit`: of the metric that counts.
      - `metric`: its value on `split`: the test split, or the task's only one. `validation`: its value on the
        validation split, NaN where nothing is held out. `constant`: the value on `split` of the best constant
        answer, NaN where the task does not say it.
      - `metric:NAME:SPLIT`: every metric on every split.
      - `overrides` is canonical JSON; each gin parameter in it, and each that a search has set, also has a
        column of its own, `gin:<parameter>` (None where a trial does not set it; lists and objects as JSON).
      - `version:<package>`, `environment:<name>`; `code`, the hashes of the algorithm's code, as JSON, and
        `stale`, whether that code is another now (False where it is not known).
      - `directory` is the trial's folder.

    Raises:
      ResultError: where there is no result yet, where a file is not a result (see `read_result`),
        where one trial's identity occurs twice, and where a finished trial lacks `metric`.
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
        rows.append(_row(record, path.parent, metric))
    frame = pd.DataFrame(rows)
    for name in (*MEASURED, *_VALUES):
        frame[name] = frame[name].astype(np.float64)
    for name in frame.columns:
        if name.startswith((OVERRIDE, VERSION, ENVIRONMENT)):
            frame[name] = pd.Series([row.get(name) for row in rows], dtype=object)
    order = ["task", "algorithm", "overrides", "lmbda", "seed", "identity"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds the columns that a summary needs and a frame from elsewhere lacks, each with what means nothing.

    The metric is then a fraction of the test split, higher better; what was not measured is NaN.
    """
    neutral: dict[str, Any] = {
        **dict.fromkeys((*MEASURED, *_VALUES), np.nan),
        "overrides": "{}",
        "status": "ok",
        "error": None,
        "metric_name": "accuracy",
        "direction": "higher",
        "unit": "%",
        "split": TEST,
        "code": "{}",
        "stale": False,
        "directory": "",
    }
    return frame.assign(**{name: value for name, value in neutral.items() if name not in frame})


def _refuse(error: OSError) -> None:
    raise ResultError(f"{error.filename} cannot be listed ({error.strerror}).") from error


def _row(record: dict[str, Any], directory: Path, metric: str | None) -> dict[str, Any]:
    row = {name: value for name, value in record.items() if name not in _NESTED}
    row["lmbda"] = float(record["lmbda"])
    row["directory"] = str(directory)
    row["overrides"] = json.dumps(record["overrides"], sort_keys=True)
    row["code"] = json.dumps(record["code"], sort_keys=True)
    row["stale"] = bool(changed(record["code"]))
    row.update(_counting(record, directory, metric))
    for name, value in sorted(flat(record["overrides"]).items()):
        row[OVERRIDE + name] = json.dumps(value) if isinstance(value, (list, dict)) else value
    for prefix, field in ((VERSION, "versions"), (ENVIRONMENT, "environment")):
        row.update({prefix + name: value for name, value in sorted(record[field].items())})
    for name, known in (record["metrics"] or {}).items():
        row.update({f"{METRIC}{name}:{split}": value for split, value in known["value"].items()})
    return row


def flat(overrides: dict[str, Any]) -> dict[str, Any]:
    """Returns overrides with what a search has set among the others."""
    found = overrides.get(SEARCH)
    if not isinstance(found, dict):
        return overrides
    return {**{name: value for name, value in overrides.items() if name != SEARCH}, **found}


def _counting(record: dict[str, Any], directory: Path, metric: str | None) -> dict[str, Any]:
    """Returns the columns of the metric that counts."""
    name = metric or record["metric_name"]
    row = {
        "metric_name": name,
        "direction": "higher",
        "unit": "",
        "split": "",
        **dict.fromkeys(_VALUES, np.nan),
    }
    metrics = record["metrics"] or {}
    if name in metrics:
        known = metrics[name]
        split = TEST if TEST in known["value"] else next(iter(known["value"]))
        row.update(direction=known["direction"], unit=known["unit"], split=split)
        row["metric"] = known["value"][split]
        row["validation"] = known["value"].get(VALIDATION, np.nan)
        row["constant"] = known.get("constant", {}).get(split, np.nan)
    elif record["status"] == "ok":
        raise ResultError(
            f"{directory} has no metric {name!r} ({alternatives(name, sorted(metrics))}). If its task "
            f"measures it by now, this adds it without training: lambdapress evaluate DIR --metric {name}"
        )
    return row
