"""Collects what a report shows, as a value that JSON can hold."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from ..report.styles import COLORS, COLORS_ON_DARK, curve_styles, shared
from ..results.frames import ENVIRONMENT, METRIC, VERSION, flat, load_results, uncompressed
from ..results.published import of_same_metric
from ..results.schema import RESULT, ResultError, error_line, read_result
from ..results.summary import MEANS, summarise
from .comparisons import comparisons
from .details import details, latencies

_MOST_SEEDS = 100
_ERROR_CHARACTERS = 500
_FACTS = (
    "identity",
    "task",
    "algorithm",
    "lmbda",
    "seed",
    "status",
    "parent",
    "stale",
    "size_bytes",
    "ratio",
    "train_seconds",
    *MEANS,
)
"""Columns of `load_results` that the page has of each trial."""
Content = dict[str, Any]
Others = Callable[[pd.DataFrame], "pd.DataFrame | None"]


def content(
    directory: str | os.PathLike,
    metric: str | None = None,
    others: Others = lambda summary: None,
    more: Callable[[pd.DataFrame], Mapping[str, Any]] = lambda optimal: {},
) -> Content:
    """Collects what a report shows of all results below a folder.

    Args:
      directory: of a sweep, or of several.
      metric: the metric to begin with; None: each task's main one.
      others: given the summary, returns figures of others, as `published.beside` takes them, or None.
      more: given the finished trials, the most telling ones first, returns further sections of the page.

    Returns:
      Texts, numbers, None, lists and dictionaries: `trials` has a list for each column, `tasks` what each
      measures, `curves` how each looks, `details` what is known of single trials, `comparisons` BD-rates.

    Raises:
      ResultError: as `load_results` and `summarise`.
    """
    frame = load_results(directory, metric)
    summary = summarise(frame)
    telling = _telling(frame, summary)
    styles = curve_styles(frame)
    here = list(zip(frame["task"], frame["algorithm"], shared(frame["overrides"]), strict=True))
    curves = list(dict.fromkeys(here))
    position = {curve: i for i, curve in enumerate(curves)}
    places, machines = _environments(frame)
    trials = {name: _plain(frame[name]) for name in _FACTS if name in frame}
    trials |= {
        "curve": [position[curve] for curve in here],
        "overrides": [_flat(text) for text in frame["overrides"]],
        "directory": [os.path.relpath(path, directory) for path in frame["directory"]],
        "error": [_short(error) for error in frame["error"]],
        "baseline": [bool(one) for one in uncompressed(frame)],
        "environment": places,
        "metrics": {
            name.removeprefix(METRIC): _plain(frame[name])
            for name in frame.columns
            if name.startswith(METRIC)
        },
    }
    return {
        "title": Path(directory).resolve().name,
        "folder": os.fspath(directory),
        "written": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "version": importlib.metadata.version("lambdapress"),
        "tasks": _tasks(frame, summary),
        "trials": trials,
        "curves": [
            {
                "task": task,
                "algorithm": algorithm,
                "label": styles[algorithm, text].label if (algorithm, text) in styles else algorithm,
                **(_look(styles[algorithm, text]) if (algorithm, text) in styles else _look(None)),
            }
            for task, algorithm, text in curves
        ],
        "colors": {"light": COLORS, "dark": COLORS_ON_DARK},
        "environments": machines,
        "students_t": [_students_t(n) for n in range(_MOST_SEEDS)],
        "published": _published(summary, others(summary)),
        "comparisons": comparisons(frame, summary),
        "latencies": latencies(telling),
        **details(telling),
        **more(telling),
    }


def _telling(frame: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Returns the finished trials: baselines, then Pareto-optimal ones, then the others."""
    keys = ["task", "algorithm", "overrides", "lmbda"]
    ranked = frame[frame["status"] == "ok"].merge(summary[[*keys, "pareto"]], on=keys, how="left")
    rank = np.where(uncompressed(ranked), 0, np.where(ranked["pareto"], 1, 2))
    order = pd.DataFrame({"rank": rank, "seed": ranked["seed"], "size": ranked["size_bytes"]})
    return ranked.loc[order.sort_values(["rank", "seed", "size"], kind="stable").index]


def _tasks(frame: pd.DataFrame, summary: pd.DataFrame) -> dict[str, Any]:
    tasks = {}
    for task, rows in summary.groupby("task"):
        first = rows.iloc[0]
        own = frame[(frame["task"] == task) & (frame["status"] == "ok")]
        tasks[task] = {
            "main": first["metric_name"],
            "split": first["split"],
            "chosen_on": first["chosen_on"],
            "metrics": _metrics(own),
            "useful_from": _number(first["hypervolume_reference"]),
            "hypervolume": {
                row["algorithm"]: _number(row["hypervolume"])
                for row in rows.to_dict("records")
                if _number(row["hypervolume"]) is not None
            },
        }
    return tasks


def _metrics(trials: pd.DataFrame) -> dict[str, Any]:
    """Returns the direction, unit and splits of each metric that some of a task's finished trials have."""
    splits: dict[str, list[str]] = {}
    having: dict[str, str] = {}
    for column in trials.columns:
        if column.startswith(METRIC) and trials[column].notna().any():
            name, _, split = column.removeprefix(METRIC).rpartition(":")
            splits.setdefault(name, []).append(split)
            having.setdefault(name, trials["directory"][trials[column].notna()].iloc[0])
    found = {}
    for name, directory in having.items():
        try:
            known = (read_result(Path(directory) / RESULT)["metrics"] or {})[name]
        except (ResultError, KeyError):  # gone since, or written anew
            continue
        found[name] = {"direction": known["direction"], "unit": known["unit"], "splits": splits[name]}
    return found


def _environments(frame: pd.DataFrame) -> tuple[list[int], list[dict[str, str]]]:
    """Returns each trial's position in a list of where trials ran."""
    names = [name for name in frame.columns if name.startswith((ENVIRONMENT, VERSION))]
    rows = [
        {
            name.partition(":")[2]: str(value)
            for name, value in zip(names, row, strict=True)
            if value is not None
        }
        for row in frame[names].itertuples(index=False)
    ]
    texts = [json.dumps(row, sort_keys=True) for row in rows]
    machines = dict.fromkeys(texts)
    position = {text: i for i, text in enumerate(machines)}
    return [position[text] for text in texts], [json.loads(text) for text in machines]


def _flat(overrides: str) -> dict[str, Any]:
    return {
        name: value if isinstance(value, (str, int, float, bool)) or value is None else json.dumps(value)
        for name, value in flat(json.loads(overrides)).items()
    }


def _look(style: Any) -> dict[str, int | None]:
    if style is None:
        return {"color": None, "marker": None, "line": None}
    return {"color": style.color, "marker": style.marker, "line": style.line}


def _published(summary: pd.DataFrame, others: pd.DataFrame | None) -> list[dict[str, Any]]:
    if others is None:
        return []
    names = ("task", "algorithm", "source", "grade", "counts", "metric_name", "metric", "size_bytes")
    found = of_same_metric(summary, others)
    return [{name: _scalar(row[name]) for name in names if name in row} for row in found.to_dict("records")]


def _students_t(n: int) -> float | None:
    """Returns the factor of a standard error over n seeds; None for fewer than three."""
    return float(scipy.stats.t.ppf(0.975, n - 1)) if n >= 3 else None


def _short(error: Any) -> str | None:
    return error_line(error)[:_ERROR_CHARACTERS] if isinstance(error, str) and error.strip() else None


def _plain(column: pd.Series) -> list[Any]:
    return [_scalar(value) for value in column.tolist()]


def _scalar(value: Any) -> Any:
    if isinstance(value, (bool, str)) or value is None:
        return value
    return _number(value)


def _number(value: Any) -> float | int | None:
    """Returns a number as JSON has it, with seven digits: more than a picture or a table shows."""
    if value != value or abs(value) == math.inf:
        return None
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(f"{value:.7g}")
