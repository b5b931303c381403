"""Finds the trial that another starts from, and adds up what both took."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...framework.errors import LambdapressError
from ..results.schema import error_line, result_in
from .trial import Trial


class BlockedError(LambdapressError, RuntimeError):
    """A trial cannot start: the one that it starts from has no model; the message says why."""


def parent_folder(trial: Trial, directory: Path) -> Path:
    """Returns the folder of the trial that `trial` starts from: beside its own, `directory`."""
    assert trial.parent is not None
    return directory.parent / trial.parent.directory_name


def parent_result(trial: Trial, directory: Path) -> Mapping[str, Any] | None:
    """Returns the result of the trial that `trial` starts from; None where it starts from no other.

    Raises:
      BlockedError: if that trial has no model.
    """
    if trial.parent is None:
        return None
    result = result_in(parent_folder(trial, directory))
    if result is not None and result["status"] == "ok":
        return result
    reason = "has no result" if result is None else f"{result['status']}: {error_line(result['error'])}"
    raise BlockedError(f"It starts from {trial.parent}, which {reason}")


def epochs_in(path: Path) -> int:
    """Counts the epochs in a trial's `epochs.csv`; 0 where there is none."""
    if not path.exists():
        return 0
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))


def in_all(parent: Mapping[str, Any] | None, seconds: float, epochs: int) -> dict[str, Any]:
    """Returns the fields of a result that count the trainings before its own, too; None if one is unknown."""
    own = {"all_train_seconds": seconds, "all_epochs": epochs}
    if parent is None:
        return own
    return {k: None if parent[k] is None else parent[k] + value for k, value in own.items()}
