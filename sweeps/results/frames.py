"""Reads trials' results into pandas frames: one row for each trial, or for each group of seeds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
