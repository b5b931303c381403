"""Implements the reparameterisation that `power_law` and `epr` share: transform, learned steps, rounding.

A weight θ is stored as integers q and steps Δ: θ = T(q·Δ), where T is the identity for dense weights
(one step) and the inverse of an orthonormal real Fourier transform over the spatial axes of a
convolution's kernel (a step per frequency). Training keeps real-valued latents φ, with q = round(φ/Δ)
in the forward pass and the straight-through gradient in the backward pass (Oktay et al. 2020, §3).

Latents have shape [frequencies, rest], where `rest` is all axes but the spatial ones. A weight that is
not transformed has one "frequency". Steps are [frequencies, 1].

XLA compiles the elementwise work into a single pass over the weights each way: as separate TensorFlow
operations it would cost more than a small network's own step. A product and a rounding decide the stored
integers; both are exact in IEEE arithmetic, and so the same compiled or not.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec
from ..framework.entropy import decode_integers, unpack_integers
from .arguments import check_finite, check_number
from .compiled import compiled, row_sums
from .links import Elementwise
from .rounding import is_stored_as, straight_through


def frequencies(spec: WeightSpec) -> int:
    """Returns the number of steps: one for each frequency of a convolution's kernel, otherwise one."""
    return int(np.prod(spec.shape[: spec.spatial], dtype=np.int64))


@functools.cache
def real_dft(size: int) -> np.ndarray:
    """Returns the orthonormal real DFT, float64 [size, size]; rows are cosines and sines by frequency."""
    position = np.arange(size)
    rows = [np.full(size, 1 / np.sqrt(size))]
    for k in range(1, size):
        angle = 2 * np.pi * ((k + 1) // 2) * position / size
        wave = np.cos(angle) if k % 2 else np.sin(angle)
        rows.append(wave / np.linalg.norm(wave))
    return np.stack(rows)


@functools.cache
def _basis(sizes: tuple[int, ...]) -> np.ndarray:
    """Returns the separable transform over several spatial axes, float32 [frequencies, positions]."""
    return functools.reduce(np.kron, [real_dft(size) for size in sizes]).astype(np.float32)


def to_latent(weight: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
    """Returns the latents, float32 [frequencies, rest], of a weight of shape `spec.shape`."""
    rows = tf.reshape(tf.cast(weight, tf.float32), [frequencies(spec), -1])
    return tf.matmul(_basis(spec.shape[: spec.spatial]), rows) if _transformed(spec) else rows


def from_latent(latent: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
    """Returns the weight, of shape `spec.shape` and dtype `spec.dtype`, of latents [frequencies, rest]."""
    if _transformed(spec):
        latent = tf.matmul(_basis(spec.shape[: spec.spatial]), latent, transpose_a=True)
    return tf.cast(tf.reshape(latent, spec.shape), spec.dtype)


def _transformed(spec: WeightSpec) -> bool:
    return frequencies(spec) > 1


def half_precision(value: tf.Tensor) -> tf.Tensor:
    """Rounds `value` to float16's precision, in float32; the gradient passes straight through."""
    stored = tf.cast(tf.cast(value, tf.float16), tf.float32)
    return straight_through(value, stored) if value.dtype == tf.float32 else stored


@tf.custom_gradient
def quantize(latent: tf.Tensor, step: tf.Tensor) -> Any:
    """Computes round(latent/step)·step; the rounding's gradient passes straight through.

    Args:
      latent: float32 [frequencies, rest].
      step: positive float32 [frequencies, 1].

    Returns:
      float32 [frequencies, rest].
    """
    inverse = 1.0 / step
    weight = _quantize(latent, inverse, step)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # d/dΔ of round(φ/Δ)·Δ, straight through, is q − φ/Δ.
        return upstream, _step_gradient(upstream, latent, inverse)

    return weight, gradient


@compiled
def _quantize(latent: tf.Tensor, inverse: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    rounded = tf.round(latent * inverse)
    # Integers have no -0.0: without this the stored weight would differ from this one in the sign of a zero.
    return tf.where(rounded == 0.0, 0.0, rounded) * step


@compiled
def _step_gradient(upstream: tf.Tensor, latent: tf.Tensor, inverse: tf.Tensor) -> tf.Tensor:
    return row_sums(upstream, latent, of=lambda u, x: u * (tf.round(x * inverse) - x * inverse))


def integers(latent: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Returns the stored integers round(latent/step), int32 [frequencies, rest].

    Raises:
      ValueError: when a latent is not finite or a quotient is beyond 31 bits.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # the check below finds these
        scaled = np.rint(latent.numpy() * (1.0 / step).numpy())
    if scaled.size and not -(2.0**31) < scaled.min() <= scaled.max() < 2.0**31:  # false for NaN, too
        raise ValueError(
            "latents are not finite, or 2^31 steps from 0 and more. Where training has diverged, lower the "
            "learning rate or log_step_multiplier; weights that are so large want a larger log_step."
        )
    return tf.constant(scaled.astype(np.int32))


@dataclasses.dataclass(frozen=True)
class Quantized(Elementwise):
    """Base of the algorithms that store integers and learned steps.

    Attributes:
      log_step: initial natural logarithm of the step Δ, in units of the weight (of its orthonormal
        transform, for convolutions).
      log_step_multiplier: how many times faster than the weights the logarithms of the steps learn. The
        variable holds log Δ divided by it, so that any optimizer whose updates do not depend on a
        gradient's scale (Adam) moves log Δ by that many times the learning rate.
    """

    trains = True

    log_step: float = -4.0
    log_step_multiplier: float = 1.0

    def __post_init__(self):
        check_number("log_step", self.log_step, -12, 10)  # float32 could not hold the integers of finer ones
        check_number("log_step_multiplier", self.log_step_multiplier, 0, 1e4, above=True)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns `latent`, float32 [frequencies, rest], and `log_step`, float32 [frequencies, 1]."""
        check_finite(weight.numpy(), spec.path)
        log_step = tf.fill([frequencies(spec), 1], self.log_step / self.log_step_multiplier)
        return {"latent": to_latent(weight, spec), "log_step": log_step}

    def value(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        return from_latent(variables["latent"], spec)

    def assign(self, variables: Tensors, weight: tf.Tensor, spec: WeightSpec) -> Tensors:
        return {**variables, "latent": to_latent(weight, spec)}

    def coarser(self, variables: Tensors, factor: float, spec: WeightSpec) -> Tensors:
        return {"log_step": variables["log_step"] + math.log(factor) / self.log_step_multiplier}

    def step(self, variables: Tensors) -> tf.Tensor:
        """Returns Δ, float32 [frequencies, 1], of log Δ in the half precision that is stored."""
        return tf.exp(half_precision(variables["log_step"] * self.log_step_multiplier))

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        return from_latent(quantize(variables["latent"], self.step(variables)), spec)

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns the integers' code (see `encode_integers`), and `log_step`, float16 [frequencies]."""
        log_step = tf.cast(variables["log_step"] * self.log_step_multiplier, tf.float16)
        values = integers(variables["latent"], self.step(variables))
        return {**self.encode_integers(values), "log_step": tf.reshape(log_step, [-1])}

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        return from_latent(self._stored_latent(encoded, spec), spec)

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `integers` [frequencies, rest], int8, int16 or int32, and `log_step`."""
        return unpack_integers(encoded, self._shape(encoded, spec))

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        fresh = self.init(tf.zeros(spec.shape, spec.dtype), spec)
        log_step = tf.reshape(tf.cast(encoded["log_step"], tf.float32), [-1, 1])
        return {
            **fresh,
            "latent": self._stored_latent(encoded, spec),
            "log_step": log_step / self.log_step_multiplier,
        }

    def _stored_latent(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        values = decode_integers(encoded, self._shape(encoded, spec))
        log_step = encoded["log_step"]
        if not is_stored_as(log_step, tf.float16) or (
            tf.executing_eagerly() and not bool(tf.reduce_all(tf.math.is_finite(log_step)))
        ):
            raise ValueError(f"{spec.path}: finite steps, float16, expected, got {log_step}.")
        step = tf.exp(tf.cast(tf.reshape(log_step, [-1, 1]), tf.float32))
        return tf.cast(values, tf.float32) * step

    def _shape(self, encoded: Tensors, spec: WeightSpec) -> tuple[int, int]:
        """Returns the integers' shape; raises ValueError for a wrong number of steps."""
        rows = frequencies(spec)
        if encoded["log_step"].shape != (rows,):
            raise ValueError(f"{spec.path}: {rows} steps expected, got shape {encoded['log_step'].shape}.")
        return rows, spec.size // rows if rows else 0

    def encode_integers(self, values: tf.Tensor) -> Tensors:
        """Encodes integers, int32 [frequencies, rest], for `entropy.decode_integers`."""
        raise NotImplementedError
