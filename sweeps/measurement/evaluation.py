"""Evaluates a model on every split of its task, in the form in which a result has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ...framework.task import Evaluation, Task, main_value, reported_split


def evaluations(task: Task, model: tf.keras.Model) -> dict[str, Evaluation]:
    """Evaluates a model on each split of its task; returns the outcomes by split.

    Raises:
      FloatingPointError: where the main metric is not finite.
    """
    found = {split: task.evaluate(model, split) for split in task.splits}
    for split, evaluation in found.items():
        finite_main(task, evaluation, f"the model read back, on {split},")
    return found


def finite_main(task: Task, evaluation: Evaluation, of: str) -> float:
    """Returns the main metric.

    Raises:
      FloatingPointError: where it is not finite.
    """
    value = float(main_value(task, evaluation))
    if not math.isfinite(value):
        raise FloatingPointError(f"The {task.metrics[0].name} of {of} is {value}.")
    return value


def as_metrics(task: Task, found: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Returns `metrics` of a result: direction, unit, values and constant guesses by split, of each metric.

    Values that are not finite are left out, and with them a metric that has no other.
    """
    metrics: dict[str, Any] = {}
    for split, evaluation in found.items():
        for kind, values in (("value", evaluation.values), ("constant", evaluation.constant)):
            for name, value in values.items():
                if not math.isfinite(value):
                    continue
                known = task.metric(name)
                described = {"direction": known.direction, "unit": known.unit, "value": {}, "constant": {}}
                metrics.setdefault(name, described)[kind][split] = float(value)
    return {name: metric for name, metric in metrics.items() if metric["value"]}


def records_of(task: Task, found: Mapping[str, Evaluation]) -> Mapping[str, np.ndarray]:
    """Returns the predictions on the split that is reported; empty for a task that keeps none."""
    return found[reported_split(task)].records
