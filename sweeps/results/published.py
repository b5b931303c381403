"""Adds published figures to a table: rows next to ours, marked with their source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...framework.errors import LambdapressError
from .frames import OVERRIDE

PUBLISHED = Path(__file__).resolve().parents[2] / "gin_configs" / "published.csv"
METRIC = "accuracy"
"""The metric of the published figures: 1 − top-1 error. Tasks with another metric get no published rows."""
_TEXTS = ("task", "network", "algorithm", "source", "reference", "counts")
_FRACTIONS = ("error", "baseline_error")
_SIZES = ("size_bytes", "ratio")
_OPTIONAL = ("ratio", "baseline_error")  # not all authors give them
GRADES = {"A": "read first-hand", "B": "as a survey has it"}


class PublishedError(LambdapressError, ValueError):
    """A file of published figures cannot be read, or has a wrong column or value."""


def load_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """Reads the published figures, one row for each.

    Args:
      path: a file of comma-separated values.

    Returns:
      A frame with the texts `task` (as registered), `network` (as its authors call it), `algorithm`,
      `source` (short, for tables), `reference` (in full), `grade` (a key of `GRADES`) and `counts` (what the
      size is of: `file`, or less); and as float64 `size_bytes` (a kilobyte is 1,000 bytes), `ratio` (as
      published), `error` and `baseline_error` (top-1, in [0, 1], compressed and not), NaN where they are not
      published. `metric_name`, `metric` and `baseline_metric` are the accuracies that follow.

    Raises:
      PublishedError: for any other file; the message names it, and the row and column of a wrong value.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise PublishedError(f"{path} cannot be read as comma-separated values: {error}.") from error
    columns = {*_TEXTS, *_SIZES, *_FRACTIONS, "grade"}
    if set(frame.columns) != columns:
        raise PublishedError(f"{path} must have the columns {sorted(columns)}, got {sorted(frame.columns)}.")
    for name in _TEXTS:
        _check(path, frame[name], frame[name].str.strip() != "", "some text")
    for name in (*_SIZES, *_FRACTIONS):
        numbers: Any = pd.to_numeric(frame[name], errors="coerce")
        left_out = (frame[name] == "") & (name in _OPTIONAL)
        if name in _SIZES:
            _check(path, frame[name], left_out | (numbers > 0) & np.isfinite(numbers), "a number above 0")
        else:
            _check(path, frame[name], left_out | numbers.between(0, 1), "a fraction in [0, 1]")
        frame[name] = numbers.astype(np.float64)
    _check(path, frame["grade"], frame["grade"].isin(list(GRADES)), f"one of {', '.join(GRADES)}")
    return frame.assign(
        metric_name=METRIC, metric=1 - frame["error"], baseline_metric=1 - frame["baseline_error"]
    )


def _check(path: Path, column: Any, holds: Any, wanted: str) -> None:
    if not holds.all():
        row = int(np.argmin(holds))
        raise PublishedError(
            f"{path}, row {row + 1}: {column.name!r} must be {wanted}, got {column.iloc[row]!r}."
        )


def beside(summary: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Adds the figures of others for `summary`'s tasks below the rows of each task.

    Args:
      summary: as from `results.summarise`.
      others: as from `load_published` or `curve_files.read_curves`.

    Returns:
      The rows of `summary`, unchanged and in their order, and one row for each figure that is of one of its
      tasks and of the metric that counts there. The new columns `source`, `grade` and `counts` are empty in
      the rows of `summary`. Rows of others have n = 0, their own baseline in `baseline_metric`, and NaN in
      columns that they do not give. They are left out of the Pareto front and the hypervolume, because their
      networks, training and counting of bytes differ from ours.
    """
    figures = of_same_metric(summary, others)
    of_task = summary.drop_duplicates("task").set_index("task").reindex(figures["task"])
    sign = np.where(of_task["direction"] == "lower", -1.0, 1.0)
    texts = {
        name: figures[name] for name in ("task", "algorithm", "metric_name", "source", "grade", "counts")
    }
    numbers = {name: figures[name] for name in ("lmbda", "size_bytes", "ratio", "metric") if name in figures}
    rows = pd.DataFrame(
        {
            **texts,
            **numbers,
            "overrides": "{}",
            "direction": of_task["direction"].to_numpy(),
            "unit": of_task["unit"].to_numpy(),
            "chosen_on": "",
            "split": "",
            "n": 0,
            "n_failed": 0,
            "n_stopped": 0,
            "stale": 0,
            "codes": 0,
            "machines": "",
            "baseline_metric": figures["baseline_metric"],
            "metric_drop": sign * (figures["baseline_metric"] - figures["metric"]),
            "pareto": False,
            "stops": "",
            "failures": "",
        }
    )
    first_seen = {task: i for i, task in enumerate(summary["task"].unique())}
    # As objects, integers stay integers although rows of others have no value there.
    ours = summary.astype({name: object for name in summary.columns if name.startswith(OVERRIDE)})
    added = ["source", "grade", "counts"]
    ours = ours.assign(**dict.fromkeys(added, ""))
    both: Any = pd.concat([ours, rows.reindex(columns=[*summary.columns, *added])])
    order = np.argsort(both["task"].map(first_seen), kind="stable")
    both = both.iloc[order].reset_index(drop=True)
    counts = ("n", "n_failed", "n_stopped", "pareto", "stale", "codes")
    return both.astype({name: summary[name].dtype for name in counts})


def of_same_metric(summary: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Selects the figures of others that are of a task in `summary`, and of the metric that counts there."""
    counting = set(zip(summary["task"], summary["metric_name"], strict=True))
    same = [pair in counting for pair in zip(others["task"], others["metric_name"], strict=True)]
    return others[same]
