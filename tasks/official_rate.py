"""Makes the rate reach the gradient of every Official Models task.

Some tasks add `model.losses` to their loss, others ignore it, and a task does not say which. So the task's
own loss is differentiated with respect to λ, once, while the training step is traced. Where there is no
derivative, the rate is added; where there is still none, training stops.
"""

from __future__ import annotations

import types
from typing import Any

import tensorflow as tf

from ..framework.errors import LambdapressError
from ..framework.forms.rate import rate_terms, rated_weights


class RateError(LambdapressError, RuntimeError):
    """Reports a task whose training would ignore the rate."""


def with_rate(task: Any, model: tf.keras.Model) -> Any:
    """Returns `task`, changed so that its training step minimises its loss and the rate of `model`.

    The task also gets `rate_loss`, a metric: the mean over the steps of λ·rate/num_params as it enters
    the loss. It no longer initialises the model, which already has its values.

    Args:
      task: a new task of Official Models; its class is replaced by a subclass of it.
      model: the compressible model to train. Without a rate (the algorithm `none`) nothing is added.
    """
    bases = (_RateInLoss, type(task))
    task.__class__ = types.new_class(f"RateInLoss{type(task).__name__}", bases)
    task._compressible, task._tape = model, None
    task.rate_loss = tf.keras.metrics.Mean("rate_loss", dtype=tf.float32)
    task.has_rate = bool(rated_weights(model))
    return task


class _RateInLoss:
    """Adds the rate to the loss of the Official Models task that it is mixed into."""

    _compressible: Any
    _tape: Any
    has_rate: bool
    rate_loss: tf.keras.metrics.Mean
    loss: str

    def initialize(self, model: tf.keras.Model) -> None:
        """Does nothing: the trainer calls this where there is no checkpoint, but the model has its values."""

    def build_losses(self, *args: Any, **kwargs: Any) -> Any:
        total = super().build_losses(*args, **kwargs)  # type: ignore[misc]
        if self._tape is None or not self.has_rate or not tf.is_tensor(total):
            return total
        with self._tape.stop_recording():
            known = self._tape.gradient(total, self._compressible.lmbda) is not None
        if known:
            return total
        return total + tf.cast(tf.add_n(rate_terms(self._compressible)), total.dtype)

    def train_step(self, inputs: Any, model: Any, optimizer: Any, metrics: Any = None) -> Any:
        lmbda = self._compressible.lmbda
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        with tape:
            tape.watch(lmbda)
            self._tape = tape
            logs = super().train_step(inputs, model=model, optimizer=optimizer, metrics=metrics)  # type: ignore[misc]
            self._tape = None
        if self.has_rate:
            share = tape.gradient(logs[self.loss], lmbda)
            if share is None:
                raise RateError(
                    f"The loss of {type(self).__mro__[2].__name__} does not depend on λ: its train_step "
                    "neither adds model.losses nor calls build_losses, so training would not compress."
                )
            self.rate_loss.update_state(tf.cast(share, tf.float32) * tf.convert_to_tensor(lmbda))
        return logs
