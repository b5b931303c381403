"""Measures what finished trials have not measured, by the models in their files, without training."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from ...framework.errors import LambdapressError
from ...framework.messages import alternatives
from ..gin.user_modules import imported
from ..results.records import RECORDS, write_records
from ..results.schema import RESULT, read_result
from ..trial.run import write_result
from ..trial.trial import ARTEFACT, LOCK
from ..worker_process import Death, Worker
from .trial_model import trial_model


class FillInError(LambdapressError, RuntimeError):
    """A result cannot be completed; nothing of it was changed."""


def unfilled(directory: str | os.PathLike, metric: str | None = None) -> list[Path]:
    """Lists the folders of the finished trials below `directory` that may have something to fill in.

    Args:
      directory: of a sweep, of several, or of one trial.
      metric: those that lack this metric; None: all.

    Raises:
      ResultError: for a file that is no result.
      FillInError: where no trial has finished.
    """
    paths = sorted(Path(directory).rglob(RESULT))
    records = {path.parent: read_result(path) for path in paths}
    finished = {folder: record for folder, record in records.items() if record["status"] == "ok"}
    if not finished:
        raise FillInError(f"No trial below {str(directory)!r} has finished.")
    return [
        folder for folder, record in finished.items() if metric is None or metric not in record["metrics"]
    ]


def fill_in(directory: Path, metric: str | None = None, data_dir: str | os.PathLike | None = None) -> bool:
    """Adds to a finished trial's result the metrics and splits that it lacks, and its predictions.

    What it has stays. The task is that of today's code, with the trial's own settings.

    Args:
      directory: the trial's folder.
      metric: only this one; None: all that the task measures.
      data_dir: sets `TFDS_DATA_DIR` meanwhile.

    Returns:
      Whether anything was added.

    Raises:
      FillInError: where another process holds the trial, where the task does not measure `metric`, and where
        it measures its main metric otherwise than the result says: then it has other data, or another
        meaning.
      FileNotFoundError, ConfigError, ContainerError: as `trial_model`.
    """
    from ..measurement.evaluation import as_metrics, evaluations, records_of

    try:
        with filelock.FileLock(directory / LOCK, timeout=0):
            with trial_model(directory, data_dir, decode="once") as (task, model):
                found = evaluations(task, model)
                metrics, records = as_metrics(task, found), records_of(task, found)
            record = read_result(directory / RESULT)
            _check_same(directory, record, metrics)
            if metric is not None and metric not in metrics:
                raise FillInError(
                    f"{directory}: the task {record['task']!r} does not measure {metric!r} "
                    f"({alternatives(metric, sorted(metrics))})."
                )
            added = _merge(record["metrics"], metrics, metric)
            if records and not (directory / RECORDS).exists():
                write_records(directory / RECORDS, records)
                added = True
            if added:
                write_result(directory, record)
            return added
    except filelock.Timeout:
        raise FillInError(f"{directory / ARTEFACT}: another process is at work on this trial.") from None


def fill_in_apart(
    trials: Sequence[Path], metric: str | None = None, data_dir: str | os.PathLike | None = None
) -> Iterator[bool | Death]:
    """Runs `fill_in` on each trial in a process of its own, which native code may end.

    Args:
      trials: their folders.
      metric: as in `fill_in`.
      data_dir: as in `fill_in`.

    Yields:
      For each trial what `fill_in` returns, or how the process died.

    Raises:
      FillInError: as `fill_in`, and for its other errors.
    """
    worker = Worker(_fill_in, FillInError)
    try:
        for trial in trials:
            yield worker.call((imported(), trial, metric, data_dir))
    finally:
        worker.stop()


def _fill_in(arguments: tuple[Sequence[str], Path, str | None, str | os.PathLike | None]) -> bool:
    modules, trial, metric, data_dir = arguments
    try:
        for module in modules:
            importlib.import_module(module)
        return fill_in(trial, metric, data_dir)
    except (LambdapressError, ValueError, OSError) as error:
        raise FillInError(str(error)) from error


def _merge(known: dict[str, Any], found: dict[str, Any], metric: str | None) -> bool:
    """Adds values that `known` lacks; tells whether there were any."""
    added = False
    for name, measured in found.items():
        if metric not in (None, name):
            continue
        entry = known.setdefault(name, {**measured, "value": {}, "constant": {}})
        for kind in ("value", "constant"):
            own = entry.setdefault(kind, {})
            missing = {split: number for split, number in measured[kind].items() if split not in own}
            own.update(missing)
            added |= bool(missing)
    return added


def _check_same(directory: Path, record: dict[str, Any], metrics: dict[str, Any]) -> None:
    """Compares what both know: a task that measures the same metric otherwise has other data by now."""
    for name in record["metrics"].keys() & metrics.keys():
        before, now = (known[name]["value"] for known in (record["metrics"], metrics))
        for split in before.keys() & now.keys():
            if not math.isclose(now[split], before[split], rel_tol=0.01, abs_tol=0.005):
                raise FillInError(
                    f"{directory}: its task measures {name} = {now[split]:.6g} on {split} where the result "
                    f"says {before[split]:.6g}. The task or its data has changed; nothing was filled in."
                )
