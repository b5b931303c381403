"""Defines a task: data, a model, a way to train it, and numbers that say how good it is."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow as tf

from .registry import Registry

VALIDATION, TEST = "validation", "test"
"""Names of splits: a curve's points are chosen on the first, if a task has it, and reported on the second."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that a task measures.

    Attributes:
      name: such as `accuracy`, `nll` or `mean_ap`.
      direction: `higher` or `lower`: which is better.
      unit: `%` for a fraction in [0, 1], which tables show in percent. Any other is shown after the name,
        such as `nat`; empty for a number without one.

    Raises:
      ValueError: for another direction.
    """

    name: str
    direction: str = "higher"
    unit: str = "%"

    def __post_init__(self) -> None:
        if self.direction not in ("higher", "lower"):
            raise ValueError(
                f"direction of the metric {self.name!r} is higher or lower, got {self.direction!r}."
            )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Holds what a task found out about a model on one split.

    Attributes:
      values: each metric's value by name, the task's main metric among them.
      constant: the values that a model would have that gives the same answer to every example, the best one;
        a metric may be left out.
      records: arrays whose first axis is the split's examples, by name, so that two models can be compared
        example by example: `label`, `predicted` (integers) and `probability` (of the predicted class) of a
        classifier, or a task's own numbers, such as `nll`.
    """

    values: Mapping[str, float]
    constant: Mapping[str, float] = dataclasses.field(default_factory=dict)
    records: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Task(abc.ABC):
    """Builds, trains and evaluates one benchmark's model.

    It holds hyper-parameters (bound by gin) and a cache of its data, nothing else. A trial calls, in this
    order: `build_model`, then (on the compressible clone) `train`, then `evaluate` on the compressible model
    and again on the model that was read back from the file. In a sweep that stops what cannot win, `train` is
    interrupted after each epoch by a call of what `evaluator` returned.

    Class attributes:
      name: set by the registry.
      metrics: of the numbers in `Evaluation.values`; the first is the main one, which tables show unless they
        are asked for another. (A property where they depend on hyper-parameters; `splits` likewise.)
      splits: on which `evaluate` can measure: `validation` and `test`, or one of them.
      deterministic: whether the task runs with TensorFlow's deterministic operations; if so, trials switch
        them on. A task that augments its data by unseeded random operations, say, does not.
    """

    name: ClassVar[str] = ""
    metrics: ClassVar[Sequence[Metric]] = (Metric("accuracy"),)
    splits: ClassVar[Sequence[str]] = (TEST,)
    deterministic: ClassVar[bool] = True

    @abc.abstractmethod
    def build_model(self) -> tf.keras.Model:
        """Returns a new plain model that is built: its weights exist, and depend on the global seed alone."""

    @abc.abstractmethod
    def train(
        self,
        model: tf.keras.Model,
        callbacks: Sequence[tf.keras.callbacks.Callback] = (),
        checkpoint_dir: Path | None = None,
    ) -> None:
        """Trains `model` in place; adds its `losses` (the rate among them) to the task's loss.

        Training that was killed at any time continues when this is called again with the same folder and a
        model made in the same way from the same seed. The outcome is that of uninterrupted training: equal
        weights, where TensorFlow uses deterministic operations. The weights that `model` has in the end
        (averages, those of the best epoch) are what algorithms do their last work on.

        Args:
          model: compressible, or plain.
          callbacks: get Keras's calls; `params["epochs"]` and `params["steps"]` are set. Epochs keep their
            numbers: where training continues with epoch 3, the first call is `on_epoch_begin(3)`.
          checkpoint_dir: folder for this training's checkpoints and nothing else; made if missing. The
            caller removes it. None: no checkpoints.

        Raises:
          CheckpointError: for a checkpoint that is damaged or belongs to another model. `model` may be
            changed by then: build another.
        """

    def metric(self, name: str) -> Metric:
        """Describes a metric by its name; one that `metrics` lacks is better when higher, and has no unit."""
        known = {metric.name: metric for metric in self.metrics}
        return known.get(name) or Metric(name, unit="")

    @abc.abstractmethod
    def evaluate(self, model: tf.keras.Model, split: str = TEST) -> Evaluation:
        """Evaluates `model`, which stays as it is, on all examples of one of `splits`; deterministic.

        Examples that validate are never trained on.
        """

    def evaluator(self, model: tf.keras.Model, split: str = TEST) -> Callable[[], Evaluation]:
        """Returns a function that evaluates `model` as `evaluate` does, again and again while it trains.

        A task that traces a graph for an evaluation overrides this method to trace it once.
        """
        return lambda: self.evaluate(model, split)


def reported_split(task: Task) -> str:
    """Returns the split on which a task's figures are reported: `test` if it has it, else its only one."""
    return TEST if TEST in task.splits else task.splits[0]


def main_value(task: Task, evaluation: Evaluation) -> float:
    """Returns the value of a task's main metric."""
    return evaluation.values[task.metrics[0].name]


tasks: Registry[Task] = Registry("task")
"""Every task by name. (`lambdapress.tasks` is the package that registers ours.)"""
