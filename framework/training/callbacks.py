"""Provides what training a compressible model needs beyond Keras: seeds, λ's warm-up, algorithms' updates."""

from __future__ import annotations

import warnings
from typing import Any

import tensorflow as tf

from ..forms.compress import update
from ..forms.plain import FormError
from ..forms.types import Compressible
from ..forms.whole_training import at_the_end
from ..surgery.private import average_of, disable_op_determinism


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
    """Raises λ from 0, or another value, to the model's own, linearly over the first training steps.

    It follows the optimizer's step counter, so λ continues where it was if training resumes from a
    checkpoint.
    """

    def __init__(self, steps: int, lmbda: float | None = None, start: float = 0.0):
        """Sets the length of the warm-up, the final λ and the first.

        Args:
          steps: how many training steps λ takes to reach its value; 0 changes nothing.
          lmbda: that value; by default the model's own when training begins. A checkpoint that was saved
            during the warm-up holds a smaller λ, so give the value if training may resume from one.
          start: λ at the first step, where the model was trained with that λ before.
        """
        super().__init__()
        if isinstance(steps, bool) or steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps!r}.")
        if not start >= 0:
            raise ValueError(f"start must be at least 0, got {start!r}.")
        self._start = start
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
        self.model.lmbda.assign(self._lmbda if self._warm else self._at(done))

    def _at(self, done: int) -> float:
        assert self._lmbda is not None
        return self._start + (self._lmbda - self._start) * done / self.steps

    def on_train_end(self, logs: Any = None) -> None:
        if self._lmbda is not None:
            self.model.lmbda.assign(self._lmbda)


class Updates(tf.keras.callbacks.Callback):
    """Runs `Algorithm.update` on every weight, at both ends of a training and about `TIMES` times in between.

    The moments follow from the optimizer's step counter and the starts of epochs. So a training that resumes
    from a checkpoint at the end of an epoch is updated as it would have been without the break.

    The last update makes of the weights what will be stored. It is the last thing that `fit` does: it sees
    the averages that a Keras optimizer with `use_ema` puts in their place, the best epoch's weights that
    `EarlyStopping` restores, and what other callbacks do in `on_train_end`. Where weights are set after
    `fit`, `whole_training` includes that.

    Where an update gives a variable a new value, an average that the optimizer keeps of it starts anew there.
    """

    _supports_tf_logs = True  # Keras then leaves the logs on the device

    TIMES = 40

    def __init__(self, lmbda: float | None = None, steps: int | None = None):
        """Says for which λ, and how long the training is.

        Args:
          lmbda: λ for the updates; by default the model's own when training begins (see `LmbdaWarmup`).
          steps: of the whole training, if it takes several calls of `fit`: algorithms do their last work at
            its end. None: each call of `fit` is a whole training.

        Raises:
          ValueError: for `steps` below 1.
        """
        super().__init__()
        if steps is not None and (isinstance(steps, bool) or steps < 1):
            raise ValueError(f"steps must be at least 1, got {steps!r}.")
        self._lmbda = lmbda
        self._steps = steps
        self._last = -1
        self._start: int | None = None  # the step from which this training counts
        self._epoch = self._boundary = 0  # the epoch under way, and the step at which it began

    def on_train_begin(self, logs: Any = None) -> None:
        if not isinstance(self.model, Compressible):
            raise FormError("Updates trains a compressible model; make one with to_compressible.")
        if self._lmbda is None:
            self._lmbda = float(self.model.lmbda.numpy())
        self._start = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._last, self._epoch, self._boundary = -1, epoch, self._done()
        if self._start is None:
            self._start = self._done() if epoch == 0 else 0  # of a training that goes on, all steps count
            if self._start and self._steps is None:
                warnings.warn(
                    f"Updates: the model was trained for {self._start:,} steps before, and each call of fit "
                    "counts as a whole training. If the calls are one training, give Updates(steps=…), the "
                    "steps of all of them together.",
                    stacklevel=2,
                )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        progress = self._progress()
        if int(progress * self.TIMES) != self._last:
            self._last = int(progress * self.TIMES)
            self._update(progress)

    def on_train_end(self, logs: Any = None) -> None:
        at_the_end(
            self.model,
            Updates,
            lambda: self._update(1.0 if self._steps is None else self._progress()),
        )

    def _done(self) -> int:
        optimizer: Any = self.model.optimizer
        return int(optimizer.iterations.numpy())  # several steps may have passed since the last call

    def _progress(self) -> float:
        """Returns how much of the training is done, in [0, 1]."""
        if self._steps is not None:
            return min(1.0, self._done() / self._steps)
        assert self._start is not None
        epochs, steps = self.params["epochs"], self.params["steps"]
        if not steps:  # data of unknown length, such as a generator's: known once an epoch is over
            if not self._epoch:
                return 0.0
            steps = (self._boundary - self._start) / self._epoch
        return min(1.0, (self._done() - self._start) / (epochs * steps))

    def _update(self, progress: float) -> None:
        assert self._lmbda is not None
        for variable in update(self.model, progress, self._lmbda):
            average = average_of(self.model.optimizer, variable)
            if average is not None:
                average.assign(variable.read_value())
