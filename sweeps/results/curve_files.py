"""Writes and reads curves in the JSON of CompressAI's evaluations: others can plot ours, and we theirs.

    {"name": "epr", "description": "…", "results": {"size_bytes": [4894, …], "accuracy": [0.98, …]}}

Ours say more, which CompressAI's tools ignore: `task`, and what the metric is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...framework.messages import alternatives
from .frames import VALIDATION, curve_of
from .schema import ResultError, is_name, parse_json

SIZES = ("size_bytes", "bytes", "size")
"""Names under which a file's `results` may have the sizes, in bytes."""
_MOST_POINTS = 100_000


def curves(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns a summary's trade-off curves, one for each task, algorithm and setting of the grid.

    Args:
      summary: as from `results.summarise`.

    Returns:
      Objects with `name`, `description`, `task`, `metric` (its name, direction, unit and split) and
      `results`: lists in the order of size: `size_bytes`, the metric under its name, `validation`, `lmbda`,
      `bits_per_weight`, `coded_bytes` and `n`; null where a number is not known.
    """
    found = []
    done = summary[summary["n"] > 0]
    own = done["overrides"].map(curve_of).rename("curve")
    for (task, algorithm, overrides), group in done.groupby([done["task"], done["algorithm"], own]):
        rows: Any = group.sort_values("size_bytes")
        first = rows.iloc[0]
        numbers = {"size_bytes": rows["size_bytes"], first["metric_name"]: rows["metric"]}
        more = (VALIDATION, "lmbda", "bits_per_weight", "coded_bytes", "n")
        numbers |= {name: rows[name] for name in more if name not in numbers}
        settings = "" if overrides == "{}" else f" {overrides}"
        found.append(
            {
                "name": f"{algorithm}{settings}",
                "description": f"{algorithm} on {task}{settings}; means over seeds, of lambdapress",
                "task": task,
                "metric": {
                    "name": first["metric_name"],
                    "direction": first["direction"],
                    "unit": first["unit"],
                    "split": first["split"],
                },
                "results": {name: [_or_null(v) for v in values] for name, values in numbers.items()},
            }
        )
    return found


def curves_text(summary: pd.DataFrame) -> str:
    """Returns `curves` as JSON: one object, as CompressAI's tools read it, or a list of several."""
    found = curves(summary)
    return json.dumps(found[0] if len(found) == 1 else found, indent=1, ensure_ascii=False, allow_nan=False)


def read_curves(path: Path, summary: pd.DataFrame) -> pd.DataFrame:
    """Reads curves to set beside a summary.

    Args:
      path: a JSON file with an object as `curves` describes, or a list of them. An object without `task` is
        of the summary's only task.
      summary: says of which tasks, and which metric counts in each.

    Returns:
      A row for each point, as `published.beside` takes them.

    Raises:
      ResultError: for any other file; the message names it, and what is missing.
    """
    content = parse_json(path, "Give a file in the form of CompressAI's evaluations.")
    objects = content if isinstance(content, list) else [content]
    if not objects:
        raise ResultError(f"{path} has no curve.")
    return pd.concat([_points(path, curve, summary) for curve in objects], ignore_index=True)


def _points(path: Path, curve: Any, summary: pd.DataFrame) -> pd.DataFrame:
    if not (isinstance(curve, Mapping) and is_name(curve.get("name")) and curve["name"].strip()):
        raise ResultError(
            f"{path}: a curve must be an object with a printable 'name', got {ascii(curve)[:80]}."
        )
    name, results = curve["name"], curve.get("results")
    if not (isinstance(results, Mapping) and results):
        raise ResultError(
            f"{path}, {name!r}: 'results' must be an object of lists, got {ascii(results)[:80]}."
        )
    tasks = list(summary["task"].unique())
    task = curve.get("task", tasks[0] if len(tasks) == 1 else None)
    if task not in tasks:
        raise ResultError(
            f"{path}, {name!r}: its 'task' is {task!r}, which is none of the results' ({', '.join(tasks)})."
        )
    metric = dict(zip(summary["task"], summary["metric_name"], strict=True))[task]
    sizes = next((key for key in SIZES if key in results), None)
    if sizes is None or metric not in results:
        raise ResultError(
            f"{path}, {name!r}: 'results' must have {SIZES[0]!r} and {metric!r} "
            f"({alternatives(metric if sizes else SIZES[0], sorted(map(str, results)))})."
        )
    numbers = {key: _numbers(path, name, key, results[key]) for key in (sizes, metric)}
    if len({len(values) for values in numbers.values()}) > 1:
        raise ResultError(f"{path}, {name!r}: {sizes!r} and {metric!r} are lists of different lengths.")
    if not (numbers[sizes] > 0).all():
        raise ResultError(f"{path}, {name!r}: {sizes!r} must be numbers of bytes above 0.")
    return pd.DataFrame(
        {
            "task": task,
            "algorithm": name,
            "source": path.name,
            "grade": "",
            "counts": "",
            "metric_name": metric,
            "size_bytes": numbers[sizes],
            "metric": numbers[metric],
            "baseline_metric": math.nan,
        }
    )


def _numbers(path: Path, name: str, key: str, values: Any) -> np.ndarray:
    known = isinstance(values, list) and 0 < len(values) <= _MOST_POINTS
    if not (known and all(type(v) in (int, float) and abs(v) < 2**63 for v in values)):
        raise ResultError(f"{path}, {name!r}: {key!r} must be a list of numbers, got {ascii(values)[:80]}.")
    return np.array(values, np.float64)


def _or_null(value: Any) -> int | float | None:
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
