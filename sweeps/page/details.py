"""Reads what single trials left, as much of it as a page can hold."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ...framework.container import file as container
from ...framework.container.header import ContainerError
from ..results.schema import RESULT, ResultError, read_result
from ..trial.trial import ARTEFACT, BENCHMARK, CONFIG, EPOCHS

MOST_CHARACTERS = 6_000_000
"""Of the details of all trials together, as JSON; those of the most telling trials come first."""
_MOST_EPOCHS = 120
_MOST_ROWS = 100_000
_MOST_CONFIG = 200_000


def details(telling: pd.DataFrame) -> dict[str, Any]:
    """Returns the details of trials until a page is full.

    Args:
      telling: trials, in the order in which they are taken.

    Returns:
      `details` by identity: `weights` (bytes of each weight, in the order of its task's `paths`), `config`
      (positions in `lines`) and `epochs` (a list for each column of `epochs.csv`); `paths` by task, and
      `elements` beside them; `lines`; `left_out`, the number of trials whose details are not there.
    """
    lines: dict[str, int] = {}
    paths: dict[str, list[str]] = {}
    elements: dict[str, list[int | None]] = {}
    found: dict[str, Any] = {}
    room = MOST_CHARACTERS
    for task, identity, directory in telling[["task", "identity", "directory"]].itertuples(index=False):
        folder = Path(directory)
        one = {"epochs": _epochs(folder), "config": _config(folder, lines), "weights": {}}
        try:
            weights = read_result(folder / RESULT).get("weight_bytes") or {}
        except ResultError:  # gone since, or written anew
            weights = {}
        if task not in paths and weights:
            paths[task] = list(weights)
            known = dict(_elements(folder))
            elements[task] = [known.get(path) for path in weights]
        one["weights"] = (
            list(weights.values()) if list(weights) == paths.get(task) else weights  # another architecture
        )
        room -= len(json.dumps(one))
        if room < 0:
            break
        found[identity] = one
    return {
        "details": found,
        "paths": paths,
        "elements": elements,
        "lines": list(lines),
        "left_out": len(telling) - len(found),
    }


def latencies(trials: pd.DataFrame) -> dict[str, float]:
    """Returns the median seconds at batch 1 of each benchmarked trial's fastest file, by identity."""
    found = {}
    for identity, directory in zip(trials["identity"], trials["directory"], strict=True):
        times = [_number(row.get("b1_median")) for row in _rows(Path(directory) / BENCHMARK)]
        known = [time for time in times if time is not None and time > 0]
        if known:
            found[identity] = min(known)
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(itertools.islice(csv.DictReader(file), _MOST_ROWS))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _epochs(folder: Path) -> dict[str, list[float | None]]:
    """Returns the columns of a trial's training; of many epochs, some at equal distances and the last."""
    rows = _rows(folder / EPOCHS)
    step = math.ceil(len(rows) / _MOST_EPOCHS) or 1
    kept = rows[::step] + ([rows[-1]] if rows and (len(rows) - 1) % step else [])
    names = [name for name in (rows[0] if rows else {}) if name]
    return {name: [_number(row.get(name)) for row in kept] for name in names[:20]}


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _config(folder: Path, lines: dict[str, int]) -> list[int]:
    try:
        with open(folder / CONFIG, encoding="utf-8") as file:
            text = file.read(_MOST_CONFIG)
    except (OSError, UnicodeDecodeError):
        return []
    return [lines.setdefault(line, len(lines)) for line in text.splitlines() if line.strip()]


def _elements(folder: Path) -> Iterator[tuple[str, int]]:
    """Yields the number of elements of each weight in a trial's file."""
    try:
        contents = container.read(folder / ARTEFACT)
    except (OSError, ContainerError):
        return
    for entry in contents.entries:
        yield entry.path, math.prod(entry.shape)
