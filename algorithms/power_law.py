"""Rounds with learned steps under a power-law penalty, and stores integers in a run-length gamma code.

This is the method of the notebook "Scalable model compression" of TensorFlow Compression: Entropy Penalized
Reparameterization (Oktay, Ballé, Singh, Shrivastava, ICLR 2020) with the fixed probability model of
"Optimizing the Communication-Accuracy Trade-off in Federated Learning with Rate-Distortion Theory"
(Mitchell, Ballé, Charles, Konečný 2022), whose code, Elias gamma, needs no tables.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from ..framework.entropy import gamma_encode
from .arguments import check_number
from .compiled import compiled, row_sums
from .latents import Quantized


@algorithms.register("power_law")
@dataclasses.dataclass(frozen=True)
class PowerLaw(Quantized):
    """Learned steps, penalty log((|x|+α)/α), run-length Elias-gamma code (TFC's notebook).

    λ weighs the penalty, which is in nats under an improper prior: it grows with the code's length, but
    does not estimate the bits.

    Attributes:
      alpha: the penalty's α, in steps: how near to 0 the logarithm stops falling.
    """

    alpha: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        check_number("alpha", self.alpha, 0, 1e3, above=True)

    def penalty(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        """Computes Σ log((|x|+α)/α) over the latents in steps, x = φ/Δ."""
        return power_law_penalty(variables["latent"], self.step(variables) * self.alpha)

    def encode_integers(self, values: tf.Tensor) -> Tensors:
        return {"code": gamma_encode(values)}


@tf.custom_gradient
def power_law_penalty(latent: tf.Tensor, scale: tf.Tensor) -> Any:
    """Computes Σ log(1 + |latent|/scale), a float32 scalar.

    Args:
      latent: float32 [frequencies, rest].
      scale: positive float32 [frequencies, 1].
    """

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _gradients(latent, scale, upstream)

    return _penalty(latent, 1.0 / scale), gradient


@compiled
def _penalty(latent: tf.Tensor, inverse: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(row_sums(latent, of_log=lambda x: tf.minimum(1.0 + tf.abs(x) * inverse, 2.0**31)))


@compiled
def _gradients(latent: tf.Tensor, scale: tf.Tensor, upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    by_latent = upstream * tf.sign(latent) / (tf.abs(latent) + scale)
    by_scale = -upstream * row_sums(latent, of=lambda x: tf.abs(x) / (tf.abs(x) + scale)) / scale
    return by_latent, by_scale
