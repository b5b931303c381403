"""Adds published figures to a table: rows next to ours, marked with their source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...framework.errors import LambdapressError
from ..gin.files import GIN_CONFIGS
from .frames import OVERRIDE

PUBLISHED = GIN_CONFIGS / "published.csv"
METRIC = "accuracy"
"""The metric of the published figures: 1 − top-1 error. Tasks with another metric get no published rows."""
_TEXTS = ("task", "network", "algorithm", "source", "reference")
_FRACTIONS = ("error", "baseline_error")
_SIZES = ("size_bytes", "ratio")


class PublishedError(LambdapressError, ValueError):
    """A file of published figures cannot be read, or has a wrong column or value."""


def load_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """Reads the published figures, one row for each.

    Args:
      path: a file of comma-separated values.

    Returns:
      A frame with the texts `task` (as registered), `network` (as its authors call it), `algorithm`,
      `source` (short, for tables) and `reference` (in full); and as float64 `size_bytes` (a kilobyte is
      1,000 bytes), `ratio` (as published), `error` and `baseline_error` (top-1, in [0, 1], compressed and
      not).

    Raises:
      PublishedError: for any other file; the message names it, and the row and column of a wrong value.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise PublishedError(f"{path} cannot be read as comma-separated values: {error}.") from error
    columns = {*_TEXTS, *_SIZES, *_FRACTIONS}
    if set(frame.columns) != columns:
        raise PublishedError(f"{path} must have the columns {sorted(columns)}, got {sorted(frame.columns)}.")
    for name in _TEXTS:
        _check(path, frame[name], frame[name].str.strip() != "", "some text")
    for name in (*_SIZES, *_FRACTIONS):
        numbers: Any = pd.to_numeric(frame[name], errors="coerce")
        if name in _SIZES:
            _check(path, frame[name], (numbers > 0) & np.isfinite(numbers), "a number above 0")
        else:
            _check(path, frame[name], numbers.between(0, 1), "a fraction in [0, 1]")
        frame[name] = numbers.astype(np.float64)
    return frame


def _check(path: Path, column: Any, holds: Any, wanted: str) -> None:
    if not holds.all():
        row = int(np.argmin(holds))
        raise PublishedError(
            f"{path}, row {row + 1}: {column.name!r} must be {wanted}, got {column.iloc[row]!r}."
        )


def beside(summary: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Adds the published figures of `summary`'s tasks below the rows of each task.

    Args:
      summary: as from `results.summarise`.
      published: as from `load_published`.

    Returns:
      The rows of `summary`, unchanged and in their order, and one row for each published figure of its
      tasks. The new column `source` is empty in the rows of `summary`. Published rows have n = 0, their own
      baseline in `baseline_metric`, and NaN in columns that are not published (such as `lmbda`). They are
      left out of the Pareto front and the hypervolume, because their networks, training and counting of
      bytes differ from ours.
    """
    tasks = summary.loc[summary["metric_name"] == METRIC, "task"]
    figures = published[published["task"].isin(tasks)]
    metric = 1 - figures["error"]
    baseline = 1 - figures["baseline_error"]
    rows = pd.DataFrame(
        {
            "task": figures["task"],
            "algorithm": figures["algorithm"],
            "overrides": "{}",
            "metric_name": METRIC,
            "n": 0,
            "n_failed": 0,
            "size_bytes": figures["size_bytes"],
            "ratio": figures["ratio"],
            "metric": metric,
            "baseline_metric": baseline,
            "metric_drop": baseline - metric,
            "pareto": False,
            "failures": "",
            "source": figures["source"],
        }
    )
    first_seen = {task: i for i, task in enumerate(summary["task"].unique())}
    # As objects, integers stay integers although published rows have no value there.
    ours = summary.astype({name: object for name in summary.columns if name.startswith(OVERRIDE)})
    both: Any = pd.concat([ours.assign(source=""), rows.reindex(columns=[*summary.columns, "source"])])
    order = np.argsort(both["task"].map(first_seen), kind="stable")
    both = both.iloc[order].reset_index(drop=True)
    return both.astype({name: summary[name].dtype for name in ("n", "n_failed", "pareto")})
