"""Saves and restores checkpoints, so that an interrupted training continues as if it had never stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..errors import LambdapressError
from ..messages import first_line
from ..surgery.clone import layers_of
from ..surgery.layer_state import MUTABLE, resources_of

SHARE = 0.05
"""The share of the time that saving may take; if epochs are too short for that, some are not saved."""

# Errors that TensorFlow raises on files that it did not write, or that belong to another model.
_UNREADABLE = (tf.errors.OpError, ValueError, LookupError, AssertionError, OSError)


class CheckpointError(LambdapressError, RuntimeError):
    """A checkpoint is damaged or belongs to another model; the model may have been restored in part."""


class Checkpoint(tf.keras.callbacks.Callback):
    """Saves a model in training at the end of each epoch (see `SHARE`), and restores it.

    A checkpoint holds all weights, the optimizer's variables (including its step counter), the number of
    epochs done, and the state of Keras's random layers, such as dropout. Random layers only have such a
    state if `set_seeds` was called before they were made. The caller takes care of the order of the data.

    A file called `checkpoint` names the checkpoint to restore. It is replaced in one step, after the new
    checkpoint is completely written. So the checkpoint that it names is complete, whenever the process is
    killed. TensorFlow's checksums detect later damage.

    Put it last among the callbacks: an epoch in which another callback raises is then not saved.
    """

    _supports_tf_logs = True  # Keras then leaves the logs on the device

    def __init__(self, model: tf.keras.Model, directory: Path):
        """Looks for a checkpoint.

        Args:
          model: compiled; it keeps its optimizer.
          directory: for the checkpoint and nothing else; made if missing.

        Raises:
          CheckpointError: for a directory that is damaged.
        """
        super().__init__()
        self._next = 0.0
        self._done = tf.Variable(tf.constant(0, tf.int64), trainable=False)
        optimizer: Any = model.optimizer
        with model.distribute_strategy.scope():
            create_slots(optimizer, model.trainable_variables)
        tables = _tables(model)
        saved = tf.train.Checkpoint(
            weights=[weight for weight in model.weights if isinstance(weight, tf.Variable)],
            optimizer=optimizer,
            generators=_generators(model),
            epochs=self._done,
            **({"tables": tables} if tables else {}),
        )
        try:
            self._manager = tf.train.CheckpointManager(saved, os.fspath(directory), max_to_keep=1)
        except _UNREADABLE as error:
            raise CheckpointError(f"The checkpoint in {directory} cannot be read: {error}.") from error
        if self._manager.latest_checkpoint is None and (directory / "checkpoint").exists():
            raise CheckpointError(f"The checkpoint in {directory} cannot be read.")

    def restore(self) -> int:
        """Restores the saved values, if there are any, and returns the number of epochs done.

        Raises:
          CheckpointError: if there is a checkpoint that cannot be used.
        """
        path = self._manager.latest_checkpoint
        if path is None:
            return 0
        try:
            self._manager.checkpoint.restore(path).assert_consumed()
        except _UNREADABLE as error:
            raise CheckpointError(f"The checkpoint {path} cannot be used: {first_line(error)}") from error
        return int(self._done.numpy())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        started = time.monotonic()
        if started < self._next:
            return
        self._done.assign(epoch + 1)
        self._manager.save(checkpoint_number=epoch + 1)
        saved = time.monotonic()
        self._next = saved + (saved - started) / SHARE


def create_slots(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Makes the variables that an optimizer, new or legacy, needs to train `variables`."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    elif hasattr(optimizer, "_create_all_weights"):
        optimizer._create_all_weights(variables)


def _tables(model: tf.keras.Model) -> list[Any]:
    """Lists the tables that a training may change."""
    resources = [resource for layer in layers_of(model) for _, resource in resources_of(layer)]
    return [resource for resource in resources if isinstance(resource, MUTABLE)]


def _generators(model: tf.keras.Model) -> list[tf.random.Generator]:
    """Lists the generators of the model's random layers, which Keras leaves out of its own checkpoints."""
    holders = (vars(layer).get("_random_generator") for layer in layers_of(model))
    generators = (getattr(holder, "_generator", None) for holder in holders)
    return [generator for generator in generators if isinstance(generator, tf.random.Generator)]
