"""Defines a task: data, a model, a way to train it, and one number that says how good it is."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import tensorflow as tf

from .registry import Registry


class Task(abc.ABC):
    """Builds, trains and evaluates one benchmark's model.

    It holds hyper-parameters (bound by gin) and a cache of its data, nothing else. A trial calls, in this
    order: `build_model`, then (on the compressible clone) `train`, then `evaluate` on the compressible model
    and again on the model that was read back from the file.

    Class attributes:
      name: set by the registry.
      metric: name of the number that `evaluate` returns, such as `accuracy`; always in [0, 1], higher is
        better.
      deterministic: whether the task runs with TensorFlow's deterministic operations; if so, trials switch
        them on. A task that augments its data by unseeded random operations, say, does not.
    """

    name: ClassVar[str] = ""
    metric: ClassVar[str] = "accuracy"
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
        weights, where TensorFlow uses deterministic operations.

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

    @abc.abstractmethod
    def evaluate(self, model: tf.keras.Model) -> float:
        """Returns the metric of `model` on the whole evaluation split; deterministic."""


tasks: Registry[Task] = Registry("task")
"""Every task by name. (`lambdapress.tasks` is the package that registers ours.)"""
