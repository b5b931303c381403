"""Checkpoints of training: what an interrupted training needs to go on as if nothing had happened."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from .clone import layers_of

SHARE = 0.05
"""How much of the time saving may take: of epochs so short that it would take more, some are not saved."""

# What TensorFlow raises on files that it did not write, or that are of another model.
_UNREADABLE = (tf.errors.OpError, ValueError, LookupError, AssertionError, OSError)


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged or of another model. The model to be restored may be changed in part."""


class Checkpoint(tf.keras.callbacks.Callback):
    """Saves a model in training at the end of each epoch (see `SHARE`), and restores what was saved.

    In it are all weights, the optimizer's variables (its step counter among them), how many epochs are done
    and the state of Keras's random layers, such as dropout. Random layers have a state that can be
    saved where `set_seeds` came before they were made. The order of the data is the caller's concern.

    A file called `checkpoint` names the checkpoint that counts. It is replaced, in one step, once all of that
    checkpoint is written: whatever is killed when, what it names is whole. TensorFlow's checksums find
    what was damaged later.

    Put it last among the callbacks: what the others raise then keeps the epoch from being saved.
    """

    _supports_tf_logs = True  # Keras then leaves the logs on the device

    def __init__(self, model: tf.keras.Model, directory: Path):
        """Looks for a checkpoint.

        Args:
          model: compiled; it keeps the optimizer that it has.
          directory: of the checkpoint, and of nothing else; made where missing.

        Raises:
          CheckpointError: for a directory that is damaged.
        """
        super().__init__()
        self._next = 0.0
        self._done = tf.Variable(tf.constant(0, tf.int64), trainable=False)
        optimizer: Any = model.optimizer
        with model.distribute_strategy.scope():
            create_slots(optimizer, model.trainable_variables)
        saved = tf.train.Checkpoint(
            weights=list(model.weights), optimizer=optimizer, generators=_generators(model), epochs=self._done
        )
        try:
            self._manager = tf.train.CheckpointManager(saved, os.fspath(directory), max_to_keep=1)
        except _UNREADABLE as error:
            raise CheckpointError(f"The checkpoint in {directory} cannot be read: {error}.") from error
        if self._manager.latest_checkpoint is None and (directory / "checkpoint").exists():
            raise CheckpointError(f"The checkpoint in {directory} cannot be read.")

    def restore(self) -> int:
        """Puts the saved values into the model, if there are any. Returns how many epochs are done.

        Raises:
          CheckpointError: where there is a checkpoint that cannot be used.
        """
        path = self._manager.latest_checkpoint
        if path is None:
            return 0
        try:
            self._manager.checkpoint.restore(path).assert_consumed()
        except _UNREADABLE as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(f"The checkpoint {path} cannot be used: {reason}") from error
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
    """Makes an optimizer's variables for those that it will train, of Keras's new kind or its legacy one."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    elif hasattr(optimizer, "_create_all_weights"):
        optimizer._create_all_weights(variables)


def _generators(model: tf.keras.Model) -> list[tf.random.Generator]:
    """The random layers' generators, which Keras leaves out of its own checkpoints."""
    holders = (vars(layer).get("_random_generator") for layer in layers_of(model))
    found = (getattr(holder, "_generator", None) for holder in holders)
    return [generator for generator in found if isinstance(generator, tf.random.Generator)]
