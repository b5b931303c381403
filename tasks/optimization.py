"""Says how Keras's tasks are trained: optimizer, weight decay, learning rate over time, loss."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf

from ..framework.training.weight_decay import undecayed

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle")
_RISE = 0.3  # of one_cycle's steps, unless `warmup` says otherwise
_START = 1 / 25  # one_cycle's first rate, of the highest


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Holds the hyper-parameters of an optimizer, and makes it.

    Attributes:
      learning_rate: the highest learning rate: the first one, unless there is a warm-up.
      final_learning_rate_factor: the learning rate at the last step as a fraction of the highest; 1 keeps
        `cosine` constant. `constant` does not look at it.
      schedule: `cosine` falls along half a cosine, `one_cycle` rises from 1/25 of the rate and falls, both
        linearly (L. Smith, N. Topin, "Super-convergence", 2018; momentum stays), `constant` stays.
      warmup: share of the training steps, in [0, 1), over which the rate rises linearly. None: 0.3 for
        `one_cycle`, and 0 for the others.
      optimizer: `adam`, or `sgd` with Nesterov momentum. Learned steps and priors of algorithms need updates
        that do not depend on a gradient's scale: `adam`.
      momentum: of `sgd`, in [0, 1).
      weight_decay: each step takes this share × the learning rate off each kernel and embedding (decoupled:
        `adam` with weight decay is AdamW). Gains, offsets, biases, and what an algorithm trains in place of a
        weight (latents, steps, priors, factors) are left alone.
      label_smoothing: share of a label that is spread evenly over all classes in training, in [0, 1).
    """

    name: ClassVar[str]

    learning_rate: float = 1e-3
    final_learning_rate_factor: float = 1.0
    schedule: str = "cosine"
    warmup: float | None = None
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.learning_rate, bool) or not 0 < self.learning_rate < math.inf:
            raise ValueError(f"{self.name}.learning_rate must be above 0, got {self.learning_rate!r}.")
        factor = self.final_learning_rate_factor
        if isinstance(factor, bool) or not 0 <= factor <= 1:
            raise ValueError(f"{self.name}.final_learning_rate_factor must be in [0, 1], got {factor!r}.")
        for field, known in (("schedule", SCHEDULES), ("optimizer", OPTIMIZERS)):
            value = getattr(self, field)
            if value not in known:
                raise ValueError(f"{self.name}.{field} must be one of {', '.join(known)}, got {value!r}.")
        for field in ("warmup", "momentum", "label_smoothing"):
            value = getattr(self, field)
            if field == "warmup" and value is None:
                continue
            if isinstance(value, bool) or not 0 <= value < 1:
                raise ValueError(f"{self.name}.{field} must be at least 0 and below 1, got {value!r}.")
        decay = self.weight_decay
        if isinstance(decay, bool) or not 0 <= decay < math.inf:
            raise ValueError(f"{self.name}.weight_decay must be a number of at least 0, got {decay!r}.")

    def make_optimizer(self, model: tf.keras.Model, steps: int) -> tf.keras.optimizers.Optimizer:
        """Returns an optimizer for a training of `model` of `steps` steps; it is not built yet."""
        rate = self.make_learning_rate(steps)
        decay: Any = self.weight_decay or None
        if self.optimizer == "adam":
            made = tf.keras.optimizers.Adam(rate, weight_decay=decay)
        else:
            made = tf.keras.optimizers.SGD(
                rate, self.momentum, nesterov=self.momentum > 0, weight_decay=decay
            )
        if decay is not None:
            made.exclude_from_weight_decay(var_list=undecayed(model))
        return made

    def make_learning_rate(self, steps: int) -> float | tf.keras.optimizers.schedules.LearningRateSchedule:
        """Returns the learning rate of a training of `steps` steps, a number if it is always the same."""
        rise = self.warmup if self.warmup is not None else _RISE if self.schedule == "one_cycle" else 0.0
        final = 1.0 if self.schedule == "constant" else self.final_learning_rate_factor
        if self.schedule == "one_cycle":
            return Rising(self.learning_rate, steps, rise, _START, final, "linear")
        if rise:
            return Rising(self.learning_rate, steps, rise, 0.0, final, "cosine")
        if final == 1:
            return self.learning_rate
        return tf.keras.optimizers.schedules.CosineDecay(self.learning_rate, steps, alpha=final)

    def loss(self) -> tf.keras.losses.Loss:
        """Returns the loss of outputs and labels: the cross-entropy of logits, in float32."""
        return CrossEntropy(self.label_smoothing)


@tf.keras.saving.register_keras_serializable("lambdapress")
class Rising(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Raises the learning rate linearly, then lets it fall."""

    def __init__(
        self, highest: float, steps: int, rise: float, start: float, final: float, fall: str
    ) -> None:
        """Sets the rates.

        Args:
          highest: the highest rate.
          steps: of the whole training.
          rise: share of the steps until the highest rate.
          start: rate before the first step, as a fraction of the highest; the first step is above it.
          final: rate after the last step, as a fraction of the highest.
          fall: `linear` or `cosine`.
        """
        super().__init__()
        self.highest, self.steps, self.rise = highest, steps, rise
        self.start, self.final, self.fall = start, final, fall

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the rate of a step, counted from 0, a float32 scalar."""
        risen = self.rise * self.steps
        step = tf.cast(step, tf.float32)
        up = self.start + (1.0 - self.start) * tf.minimum((step + 1.0) / max(risen, 1.0), 1.0)
        fallen = tf.clip_by_value((step - risen) / (self.steps - risen), 0.0, 1.0)
        if self.fall == "cosine":
            fallen = 0.5 - 0.5 * tf.cos(math.pi * fallen)
        return self.highest * tf.where(step < risen, up, 1.0 - (1.0 - self.final) * fallen)

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("highest", "steps", "rise", "start", "final", "fall")}


@tf.keras.saving.register_keras_serializable("lambdapress")
class CrossEntropy(tf.keras.losses.SparseCategoricalCrossentropy):
    """Computes the cross-entropy of logits in float32, where labels may be smoothed."""

    def __init__(self, label_smoothing: float = 0.0, **keywords: Any) -> None:
        """Sets the share of a label that is spread evenly over all classes, in [0, 1)."""
        super().__init__(**{"from_logits": True, **keywords})
        self.label_smoothing = label_smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example: `y_true` has a class for each row of logits in `y_pred`."""
        logits = tf.cast(y_pred, tf.float32)
        loss = super().call(y_true, logits)
        if not self.label_smoothing:
            return loss
        even = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
        return (1.0 - self.label_smoothing) * loss + self.label_smoothing * even

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
