"""Compares two compressed models: trials, or `.lpz` files of one task."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..framework.atomic import PathLike
from .deployment.trial_model import trial_model
from .environment import data_folder
from .model_files import configured_task
from .results.model_difference import Difference, difference, weight_difference
from .results.records import RECORDS, read_records
from .results.schema import RESULT, ResultError, result_in
from .trial.trial import ARTEFACT


@dataclasses.dataclass(frozen=True)
class Side:
    """One of two models.

    Attributes:
      name: its folder or file.
      task: name of its task.
      split: on which it was evaluated.
      size_bytes: length of its file.
      metrics: values on `split` by name.
      records: what it said about each example.
      values: its weights by path.
      bits: bits of each weight's encoded tensors over its elements, by path.
    """

    name: str
    task: str
    split: str
    size_bytes: int
    metrics: dict[str, float]
    records: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    bits: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two models and how they differ; `weights` has `bits_a` and `bits_b` (a weight) as well."""

    a: Side
    b: Side
    difference: Difference
    weights: pd.DataFrame


def compare_models(
    a: PathLike,
    b: PathLike,
    task: str | None = None,
    bindings: Sequence[str] = (),
    data_dir: PathLike | None = None,
) -> Pair:
    """Compares two models on their task's reported split.

    A trial's predictions are read from its folder, where it has them; then the task's data is not needed.

    Args:
      a, b: folders of finished trials, or `.lpz` files.
      task: name of the task, for files.
      bindings: gin bindings of that task.
      data_dir: sets `TFDS_DATA_DIR` meanwhile.

    Raises:
      ResultError: where the two are of different tasks, or said nothing about the same examples.
      ValueError: for a file without `task`.
      FileNotFoundError, ConfigError, ContainerError: as `trial_model`.
    """
    sides = [_side(Path(path), task, bindings, data_dir) for path in (a, b)]
    if sides[0].task != sides[1].task:
        raise ResultError(
            f"{a} is of the task {sides[0].task!r}, {b} of {sides[1].task!r}; two models of one task can be "
            "compared."
        )
    weights = weight_difference(sides[0].values, sides[1].values)
    for name, side in zip("ab", sides, strict=True):
        weights[f"bits_{name}"] = [side.bits[path] for path in weights["weight"]]
    return Pair(sides[0], sides[1], difference(sides[0].records, sides[1].records), weights)


def _side(path: Path, task: str | None, bindings: Sequence[str], data_dir: PathLike | None) -> Side:
    from ..framework import load

    if path.is_dir():
        with trial_model(path, data_dir, decode="once") as (built, model):
            return _measured(path, path / ARTEFACT, built, model)
    if not path.is_file():
        raise FileNotFoundError(f"There is no trial or file {str(path)!r}.")
    if task is None:
        raise ValueError(f"{path} is a file: --task must name its task. (A trial's folder knows it.)")
    with data_folder(data_dir), configured_task(task, bindings) as built:
        return _measured(path, path, built, load(path, built.build_model(), decode="once"))


def _measured(path: Path, artefact: Path, task: Any, model: Any) -> Side:
    """Takes what the trial recorded; evaluates the model where it recorded nothing."""
    from ..framework import size_report, to_plain
    from ..framework.surgery.weights import weights_of
    from ..framework.task import reported_split

    split, records, metrics = reported_split(task), {}, {}
    result = result_in(path) if (path / RESULT).is_file() else None
    if result is not None and (path / RECORDS).is_file():
        records = read_records(path / RECORDS)
        known = result["metrics"].items()
        metrics = {name: m["value"][split] for name, m in known if split in m["value"]}
    else:
        evaluation = task.evaluate(model, split)
        records, metrics = dict(evaluation.records), dict(evaluation.values)
    report = size_report(artefact)
    return Side(
        name=str(path),
        task=task.name,
        split=split,
        size_bytes=report.size_bytes,
        metrics=metrics,
        records=records,
        values={w.spec.path: _numbers(w.variable.numpy()) for w in weights_of(to_plain(model))},
        bits={row.path: row.bits_per_weight for row in report.rows},
    )


def _numbers(values: np.ndarray) -> np.ndarray:
    """Returns bfloat16, which NumPy does not know as numbers, as float32."""
    return values.astype(np.float32) if values.dtype.kind == "V" else values
