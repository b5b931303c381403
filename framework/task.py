"""What a task is: data, a model, how it is trained, and one number that says how good it is."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Optional

import tensorflow as tf

from .registry import Registry


class Task(abc.ABC):
    """One benchmark. Holds hyper-parameters (bound by gin) and a cache of its data, nothing else.

    A trial calls, in this order: `build_model`, then (on the compressible clone) `train`, then
    `evaluate` on the compressible model and again on the model that was read back from the file.

    Class attributes:
      name: set by the registry.
      metric: what `evaluate` returns, such as `accuracy`; always in [0, 1], higher is better.
      deterministic: whether it runs while TensorFlow is held to deterministic operations, which then is what
        a trial asks for. Data that is augmented by unseeded random operations, say, does not.
    """

    name: ClassVar[str] = ""
    metric: ClassVar[str] = "accuracy"
    deterministic: ClassVar[bool] = True

    @abc.abstractmethod
    def build_model(self) -> tf.keras.Model:
        """A new plain model, built (its weights exist). Weights depend on the global seed alone."""

    @abc.abstractmethod
    def train(
        self,
        model: tf.keras.Model,
        callbacks: Sequence[tf.keras.callbacks.Callback] = (),
        checkpoint_dir: Optional[Path] = None,
    ) -> None:
        """Trains `model` in place; its `losses` (the rate among them) are added to the task's loss.

        Training that is killed at any time goes on when it is called again with the same folder and a model
        made in the same way from the same seed. Its outcome is that of training without a break: equal
        weights, where TensorFlow is held to deterministic operations.

        Args:
          model: compressible, or plain.
          callbacks: get Keras's calls; `params["epochs"]` and `params["steps"]` are set. Epochs keep their
            numbers: after going on with epoch 3, the first call is `on_epoch_begin(3)`.
          checkpoint_dir: folder for this training's checkpoints and nothing else, made where missing. The
            caller removes it. None: no checkpoints.

        Raises:
          CheckpointError: for a checkpoint that is damaged or of another model. `model` may have been changed
            by then: build another.
        """

    @abc.abstractmethod
    def evaluate(self, model: tf.keras.Model) -> float:
        """The metric of `model` on the whole evaluation split, deterministic."""


tasks: Registry[Task] = Registry("task")
