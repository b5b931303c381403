"""Provides what training a compressible model needs beyond Keras: seeds, λ's warm-up, algorithms' updates."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ..forms.compress import update
from ..forms.plain import FormError
from ..forms.types import Compressible
from ..surgery.private import disable_op_determinism


def set_seeds(seed: int, deterministic: bool = False) -> None:
    """Seeds Python, NumPy and TensorFlow.

    Keras's random layers, such as dropout, that are made after this call keep the state of their random
    numbers in a variable, so that a checkpoint can hold it (see `checkpoint.py`).

    >>> set_seeds(7)
    >>> first = tf.random.normal([])
    >>> set_seeds(7)
    >>> bool(first == tf.random.normal([]))
    True

    Args:
      seed: in [0, 2^32).
      deterministic: whether TensorFlow uses only deterministic operations from now on, at some cost in speed.

    Raises:
      ValueError: for a seed that is not an integer in this range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {seed!r}.")
    tf.keras.utils.set_random_seed(seed)
    tf.keras.backend.experimental.enable_tf_random_generator()
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    else:
        disable_op_determinism()


class LmbdaWarmup(tf.keras.callbacks.Callback):
    """Raises λ from 0 to the model's own value, linearly over the first training steps.

    It follows the optimizer's step counter, so λ continues where it was if training resumes from a
    checkpoint.
    """

    def __init__(self, steps: int, lmbda: float | None = None):
        """Sets the length of the warm-up and the final λ.

        Args:
          steps: how many training steps λ takes to reach its value; 0 changes nothing.
          lmbda: that value; by default the model's own when training begins. A checkpoint that was saved
            during the warm-up holds a smaller λ, so give the value if training may resume from one.
        """
        super().__init__()
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps!r}.")
        self.steps = steps
        self._lmbda = lmbda
        self._warm = False

    def on_train_begin(self, logs: Any = None) -> None:
        if not isinstance(self.model, Compressible):
            raise FormError("LmbdaWarmup trains a compressible model; make one with to_compressible.")
        if self._lmbda is None:
            self._lmbda = float(self.model.lmbda.numpy())
        self._warm = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._lmbda is None or self._warm:
            return
        optimizer: Any = self.model.optimizer
        # Several steps may have passed since the last call (`steps_per_execution`).
        done = int(optimizer.iterations.numpy())
        self._warm = done >= self.steps
        self.model.lmbda.assign(self._lmbda if self._warm else self._lmbda * done / self.steps)

    def on_train_end(self, logs: Any = None) -> None:
        if self._lmbda is not None:
            self.model.lmbda.assign(self._lmbda)


class Updates(tf.keras.callbacks.Callback):
    """Runs `Algorithm.update` on every weight, at both ends of a training and about `TIMES` times in between.

    The moments follow from the optimizer's step counter and the starts of epochs. So a training that resumes
    from a checkpoint at the end of an epoch is updated as it would have been without the break.
    """

    _supports_tf_logs = True  # Keras then leaves the logs on the device

    TIMES = 40

    def __init__(self, lmbda: float | None = None):
        """Sets λ for the updates; by default the model's own when training begins (see `LmbdaWarmup`)."""
        super().__init__()
        self._lmbda = lmbda
        self._last = -1

    def on_train_begin(self, logs: Any = None) -> None:
        if not isinstance(self.model, Compressible):
            raise FormError("Updates trains a compressible model; make one with to_compressible.")
        if self._lmbda is None:
            self._lmbda = float(self.model.lmbda.numpy())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._last = -1

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        optimizer: Any = self.model.optimizer
        done = int(optimizer.iterations.numpy())  # several steps may have passed since the last call
        progress = min(1.0, done / (self.params["epochs"] * self.params["steps"]))
        if int(progress * self.TIMES) != self._last:
            self._last = int(progress * self.TIMES)
            self._update(progress)

    def on_train_end(self, logs: Any = None) -> None:
        self._update(1.0)

    def _update(self, progress: float) -> None:
        assert self._lmbda is not None
        update(self.model, progress, self._lmbda)
