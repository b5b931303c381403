"""Quantises weights uniformly, and entropy codes the integers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from ..framework.entropy import decode_integers, encode_integers, unpack_integers
from . import steps
from .arguments import check_finite, check_flag, check_integer
from .distortion import Sensitive
from .latents import integers, quantize
from .links import Elementwise


@algorithms.register("uniform")
@dataclasses.dataclass(frozen=True)
class Uniform(Elementwise, Sensitive):
    """Post-training uniform quantisation, in k bits or by rate and distortion for a λ, entropy coded.

    λ weighs bits per weight (of the integers' entropy) against `sensitivity` times the relative squared
    error of a weight tensor. Where quantisation is fine, the error is Δ²/12 and bits fall by one as Δ
    doubles, so that Δ² ≈ 6λ/(sensitivity·ln 2) times the mean square. With `bits` the step follows from the
    largest magnitude instead, and λ has no effect.

    Training is plain: the weights are rounded when it ends.

    Attributes:
      bits: bits of an integer before it is entropy coded: values are −(2^(bits−1)−1) to 2^(bits−1)−1. None:
        the step is chosen for λ.
      per_channel: whether each output channel of a kernel (the last axis) has a step of its own.
    """

    bits: int | None = None
    per_channel: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.bits is not None:
            check_integer("bits", self.bits, 2, 16, also=", or None for a λ's step")
        check_flag("per_channel", self.per_channel)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns `weight`, and `step`, int16 [channels]: codes of the steps (see `steps`)."""
        return {"weight": weight, "step": self._choose(weight, spec, lmbda)}

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Turns rounding off during training; chooses steps for the trained weights at its end."""
        if progress < 1:
            return {"step": tf.fill([self._channels(spec)], tf.constant(steps.OFF, tf.int16))}
        return {"step": self._choose(variables["weight"], spec, lmbda)}

    def coarser(self, variables: Tensors, factor: float, spec: WeightSpec) -> Tensors:
        return {"step": steps.scaled(variables["step"], factor)}

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        weight, code = variables["weight"], variables["step"]
        rounded = self._weight(quantize(self._rows(weight, spec), steps.step_of(code)[:, tf.newaxis]), spec)
        return tf.where(code[0] == steps.OFF, weight, rounded) if spec.size else weight

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns the integers' code (see `encode_integers`), and `step`, int16 [channels].

        Raises:
          ValueError: where training stopped before its end, so that no step is chosen.
        """
        code = variables["step"]
        if bool(tf.reduce_any(code == steps.OFF)):
            raise ValueError(
                f"{spec.path} has no step: training has not ended. Pass the callback Updates() to fit."
            )
        values = integers(self._rows(variables["weight"], spec), steps.step_of(code)[:, tf.newaxis])
        return {**encode_integers(values), "step": code}

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        channels = self._channels(spec)
        return unpack_integers(encoded, (channels, spec.size // max(1, channels)))

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        channels, step = self._channels(spec), encoded["step"]
        if step.dtype != tf.int16 or step.shape != (channels,):
            raise ValueError(f"{channels} steps expected, got {step.dtype.name} of shape {step.shape}.")
        if tf.executing_eagerly() and bool(tf.reduce_any(step == steps.OFF)):
            raise ValueError(f"{spec.path}: a stored step is that of weights that are not rounded.")
        values = decode_integers(encoded, (channels, spec.size // max(1, channels)))
        return self._weight(tf.cast(values, tf.float32) * steps.step_of(step)[:, tf.newaxis], spec)

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        return {"weight": self.decode(encoded, spec), "step": encoded["step"]}

    def _choose(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float) -> tf.Tensor:
        rows = self._rows(weight, spec).numpy()
        check_finite(rows, spec.path)
        if self.bits is not None:
            step = np.abs(rows).max(axis=1, initial=0) / (2 ** (self.bits - 1) - 1)
        else:
            scale = np.sqrt(np.sum(rows.astype(np.float64) ** 2, axis=1) / max(1, rows.shape[1]))
            # Rows of zeros may have any step, and do not influence the step of others.
            step = scale * steps.best_step(rows[scale > 0] / scale[scale > 0, None], lmbda, self.sensitivity)
        return tf.constant(steps.code_of(step))

    def _channels(self, spec: WeightSpec) -> int:
        if not self.per_channel or len(spec.shape) < 2:
            return 1
        return math.prod(spec.shape[spec.spatial :]) if spec.role == "depthwise_kernel" else spec.shape[-1]

    def _rows(self, weight: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
        """Returns the weight as float32 [channels, rest]."""
        channels = self._channels(spec)
        return tf.transpose(tf.reshape(tf.cast(weight, tf.float32), [-1, channels]))

    def _weight(self, rows: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
        return tf.cast(tf.reshape(tf.transpose(rows), spec.shape), spec.dtype)
