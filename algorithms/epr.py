"""Entropy Penalized Reparameterization, with a learned probability model for each weight.

D. Oktay, J. Ballé, S. Singh, A. Shrivastava, "Scalable Model Compression by Entropy Penalized
Reparameterization", ICLR 2020 (arXiv 1906.06624).

From the paper: latents with learned steps, a Fourier transform for convolutions, straight-through
rounding in the forward pass, and a rate that is the code length of latents with additive uniform noise
under a probability model learned along with them (§3, eq. 4 and 5).

Our reading: the model is a two-sided Lomax density with learned scale and tail, a heavy-tailed
prior with a peak at 0 that costs a training step little, where the paper takes the nonparametric model
of Ballé et al. 2018. A group is a weight tensor. The receiver gets a table of the integers' own
frequencies rather than the density: it is as short, and codes them better.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from ..framework.entropy import (
    best_table,
    gamma_decode,
    gamma_encode,
    range_decode,
    range_encode,
)
from .compiled import compiled
from .latents import Quantized


@algorithms.register("epr")
@dataclasses.dataclass(frozen=True)
class EPR(Quantized):
    """Learned steps and a learned prior per weight, rate in bits, range code (Oktay et al. 2020).

    λ weighs the estimated bits per parameter.

    Attributes:
      prior_multiplier: how many times faster than the weights the prior's parameters learn; as
        `log_step_multiplier`.
    """

    penalty_in_bits = True

    prior_multiplier: float = 10.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.prior_multiplier <= 1e4:
            raise ValueError(f"prior_multiplier must lie in (0, 1e4], got {self.prior_multiplier!r}.")

    def init(self, weight: tf.Tensor, spec: WeightSpec) -> Tensors:
        """Also `prior`, float32 [2]: logarithms of the density's scale (in steps) and tail exponent."""
        variables = super().init(weight, spec)
        spread = tf.reduce_mean(tf.abs(variables["latent"] / self.step(variables)))
        scale = tf.math.log(tf.clip_by_value(spread, 0.1, 100.0))
        return {**variables, "prior": tf.stack([scale, 0.0]) / self.prior_multiplier}

    def penalty(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        """Σ −log2 p(φ/Δ + u), u uniform on [−1/2, 1/2): bits."""
        latent = variables["latent"]
        noise = tf.random.uniform(latent.shape, -0.5, 0.5)
        inverse = 1.0 / self.step(variables)
        prior = variables["prior"] * self.prior_multiplier
        return noisy_rate(latent, inverse, noise, prior)

    def encode_integers(self, values: tf.Tensor) -> Tensors:
        """Range coded with its table, or gamma coded without one where that is shorter (small weights)."""
        plain = gamma_encode(values)
        table = best_table(values.numpy()) if int(tf.size(values)) else None
        if table is None or table.num_bytes >= len(plain.numpy()):
            return {"code": plain}
        lowest = np.int16(table.lowest)
        return {"code": range_encode(values, table), "lowest": lowest, "levels": table.levels}

    def decode_integers(self, encoded: Tensors, shape: tuple[int, int]) -> tf.Tensor:
        if "levels" not in encoded:
            return gamma_decode(encoded["code"], shape)
        return range_decode(encoded["code"], encoded["lowest"], encoded["levels"], shape)


@tf.custom_gradient
def noisy_rate(latent: tf.Tensor, inverse: tf.Tensor, noise: tf.Tensor, prior: tf.Tensor) -> Any:
    """Bits of latent·inverse + noise under the prior convolved with a unit box, summed.

    The prior is the two-sided Lomax density; with s its scale and β its tail exponent the probability
    of the unit interval around x is F(x+1/2) − F(x−1/2), F(x) = 1 − (1+x/s)^−β / 2 for x ≥ 0.

    Args:
      latent: float32 [frequencies, rest].
      inverse: 1/Δ, float32 [frequencies, 1].
      noise: float32, like `latent`.
      prior: float32 [2], log s and log β.

    Returns:
      float32 scalar.
    """

    def gradient(upstream: tf.Tensor) -> tuple[Any, ...]:
        by_latent, by_inverse, by_prior = _rate_gradients(latent, inverse, noise, prior, upstream)
        return by_latent, by_inverse, None, by_prior

    return _rate(latent, inverse, noise, prior), gradient


def _bits(latent: tf.Tensor, inverse: tf.Tensor, noise: tf.Tensor, prior: tf.Tensor) -> tf.Tensor:
    per_scale, tail = tf.exp(-prior[0]), tf.exp(prior[1])
    distance = tf.abs(latent * inverse + noise)
    near = tf.math.log(1.0 + tf.abs(distance - 0.5) * per_scale)
    far = tf.math.log(1.0 + (distance + 0.5) * per_scale)
    # Away from 0 the box lies in one tail; around 0 it takes a part of each. Both without cancellation.
    beyond = -tail * near + tf.math.log(-tf.math.expm1(tf.minimum(tail * (near - far), -1e-20)))
    around = tf.math.log(-tf.math.expm1(-tail * near) - tf.math.expm1(-tail * far) + 1e-30)
    nats = math.log(2.0) - tf.where(distance > 0.5, beyond, around)
    return tf.reduce_sum(nats) / math.log(2.0)


_rate = compiled(_bits)


@compiled
def _rate_gradients(
    latent: tf.Tensor, inverse: tf.Tensor, noise: tf.Tensor, prior: tf.Tensor, upstream: tf.Tensor
) -> Any:
    with tf.GradientTape() as tape:
        tape.watch([latent, inverse, prior])
        bits = _bits(latent, inverse, noise, prior)
    return tape.gradient(bits, [latent, inverse, prior], upstream)
