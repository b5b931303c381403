"""What training a compressible model needs beyond Keras: seeds, λ's warm-up, algorithms' updates."""

from __future__ import annotations

from typing import Any, Optional

import tensorflow as tf
from tensorflow.python.framework import config as tf_config  # its way back from determinism is not public

from .forms import Compressible, FormError, update


def set_seeds(seed: int, deterministic: bool = False) -> None:
    """Seeds Python, NumPy and TensorFlow.

    Keras's random layers, such as dropout, that are made from here on keep the state of their random numbers
    in a variable, so that a checkpoint can hold it (see `checkpoint.py`).

    Args:
      seed: in [0, 2^32).
      deterministic: whether TensorFlow's operations are held to be deterministic from here on, at some cost
        in speed.

    Raises:
      ValueError: for a seed that is no integer in the range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {seed!r}.")
    tf.keras.utils.set_random_seed(seed)
    tf.keras.backend.experimental.enable_tf_random_generator()
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    else:
        tf_config.disable_op_determinism()


class LmbdaWarmup(tf.keras.callbacks.Callback):
    """Raises λ from 0 to the model's own value, linearly over the first training steps.

    It goes by the optimizer's step counter, so training that resumes from a checkpoint goes on where it was.
    """

    def __init__(self, steps: int, lmbda: Optional[float] = None):
        """Says how fast and how far.

        Args:
          steps: how many training steps λ takes to reach its value; 0 changes nothing.
          lmbda: that value; by default the model's own when training begins. In a checkpoint that was saved
            while λ rose, the model's own is less: give the value where training may resume from one.
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
    """Runs `Algorithm.update` on every weight, at both ends of a training and `TIMES` times in between.

    When it does follows from the optimizer's step counter and from where epochs begin, so that training
    that resumes from a checkpoint at the end of an epoch is updated as it would have been.
    """

    _supports_tf_logs = True  # Keras then leaves the logs on the device

    TIMES = 40

    def __init__(self, lmbda: Optional[float] = None):
        """Says for which λ: by default the model's own when training begins; see `LmbdaWarmup`."""
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
        done = int(optimizer.iterations.numpy())  # of several steps since the last call, it may be
        progress = min(1.0, done / (self.params["epochs"] * self.params["steps"]))
        if int(progress * self.TIMES) != self._last:
            self._last = int(progress * self.TIMES)
            self._update(progress)

    def on_train_end(self, logs: Any = None) -> None:
        self._update(1.0)

    def _update(self, progress: float) -> None:
        assert self._lmbda is not None
        update(self.model, progress, self._lmbda)
