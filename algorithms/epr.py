"""Implements Entropy Penalized Reparameterization, with a learned probability model for each weight.

D. Oktay, J. Ballé, S. Singh, A. Shrivastava, "Scalable Model Compression by Entropy Penalized
Reparameterization", ICLR 2020 (arXiv 1906.06624).

From the paper: latents with learned steps, a Fourier transform for convolutions, straight-through
rounding in the forward pass, and a rate that is the code length of latents with additive uniform noise
under a probability model learned along with them (§3, eq. 4 and 5).

Three things are our own reading:

- The probability model is a density of the noisy latent that is flat where a value rounds to 0 and falls
  off as a power of the distance beyond. It has two learned parameters, α and β; the paper uses the
  nonparametric model of Ballé et al. 2018 instead. Ours costs little per training step.
- The noise is not drawn but integrated out, which this density allows in closed form: the same
  expected rate, with no variance in its gradient.
- A group is a weight tensor. The receiver gets a table of the integers' own frequencies instead of the
  density's: it is as short, and codes them better.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from ..framework.entropy import encode_integers
from .arguments import check_number
from .compiled import compiled, fast_log, row_sums
from .latents import Quantized
from .rounding import bounded

_LOG_ALPHA, _LOG_EXCESS = (-10.0, math.log(100.0)), (-10.0, 10.0)
"""Bounds of log α and log(β−1).

For large α and β the density is exponential, with the rate β/α: their common scale means nothing then, and
drifts. In float32, E log(1+…/α) has an absolute error of about 10⁻⁷·α, which β multiplies: at α = 10¹¹ the
rate came out as −10¹⁶ bits. At α = 100 the density is exponential to a few percent where weights are.
"""


@algorithms.register("epr")
@dataclasses.dataclass(frozen=True)
class EPR(Quantized):
    """Learned steps and a learned prior per weight, rate in bits, range code (Oktay et al. 2020).

    λ weighs the estimated bits per parameter.

    Attributes:
      log_step_multiplier: as in `Quantized`. On LeNet300-100 steps that learn 10 times faster than the
        weights gave a fifth fewer bytes, at the same accuracy, than steps that learn as fast.
      prior_multiplier: how many times faster than the weights the prior's parameters learn; works
        like `log_step_multiplier`.
    """

    penalty_in_bits = True

    log_step_multiplier: float = 10.0
    prior_multiplier: float = 10.0

    def __post_init__(self):
        super().__post_init__()
        check_number("prior_multiplier", self.prior_multiplier, 0, 1e4, above=True)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns also `prior`, float32 [2]: log α (α in steps) and log(β−1), over `prior_multiplier`."""
        variables = super().init(weight, spec, lmbda)
        spread = tf.reduce_sum(tf.abs(variables["latent"] / self.step(variables))) / max(1, spec.size)
        alpha = tf.math.log(tf.clip_by_value(spread, 0.1, 100.0))
        return {**variables, "prior": tf.stack([alpha, 0.0]) / self.prior_multiplier}

    def penalty(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        """Computes Σ E[−log2 p(φ/Δ + u)], in bits, with u uniform on [−1/2, 1/2)."""
        inverse = 1.0 / self.step(variables)
        prior = variables["prior"] * self.prior_multiplier
        alpha = tf.exp(bounded(prior[0], *_LOG_ALPHA))
        excess = tf.exp(bounded(prior[1], *_LOG_EXCESS))
        tail = expected_log_distance(variables["latent"], inverse, alpha)
        nats = (1.0 + excess) * tail + spec.size * tf.math.log1p(2.0 * alpha / excess)
        return nats / math.log(2.0)

    def encode_integers(self, values: tf.Tensor) -> Tensors:
        """Returns a range code with its table, or a gamma code where that is shorter (small weights)."""
        return encode_integers(values)


@tf.custom_gradient
def expected_log_distance(latent: tf.Tensor, inverse: tf.Tensor, alpha: tf.Tensor) -> Any:
    """Computes Σ E log(1 + max(|x+u| − 1/2, 0)/α) over x = latent·inverse, with u uniform on [−1/2, 1/2).

    The density p(y) ∝ (1 + max(|y| − 1/2, 0)/α)^−β has the integral 1 + 2α/(β−1), so −log p is β times
    this logarithm plus the integral's logarithm. With G(t) = ∫₀ᵗ log(1+s/α) ds = (t+α)·log(1+t/α) − t the
    expectation is G(|x|) − G(max(|x|−1, 0)).

    Args:
      latent: float32 [frequencies, rest].
      inverse: 1/Δ, float32 [frequencies, 1].
      alpha: positive float32 scalar.

    Returns:
      float32 scalar.
    """
    by_scaled, by_alpha, log_inner = _sums(latent, inverse, alpha)
    value = tf.reduce_sum(by_scaled) + alpha * by_alpha + log_inner

    def gradient(upstream: tf.Tensor) -> Any:
        by_latent = _latent_gradient(latent, inverse, alpha, upstream)
        return by_latent, upstream * by_scaled / inverse, upstream * by_alpha

    return value, gradient


@compiled
def _sums(latent: tf.Tensor, inverse: tf.Tensor, alpha: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Computes Σ d·dE/dd over each row, Σ dE/dα and Σ log(1+i/α), with d = |x| and i = max(d−1, 0).

    E(d) = G(d) − G(i), so dE/dd = log r with r = (d+α)/(i+α), and, from dG(t)/dα = log(1+t/α) − t/α,
    dE/dα = log r − (d−i)/α. E(d) = d·dE/dd + α·dE/dα + (d−i)·log(1+i/α); where that logarithm is not 0,
    d−i is 1.
    """

    per_alpha = 1.0 / alpha

    def distance(x: tf.Tensor) -> tf.Tensor:
        return tf.abs(x * inverse)

    def inner(x: tf.Tensor) -> tf.Tensor:
        return tf.maximum(distance(x) - 1.0, 0.0)

    by_scaled = row_sums(
        latent, of=lambda x: distance(x) * fast_log((distance(x) + alpha) / (inner(x) + alpha))
    )
    log_inner = row_sums(latent, of_log=lambda x: 1.0 + inner(x) * per_alpha)
    by_alpha = row_sums(
        latent,
        of=lambda x: -per_alpha * tf.minimum(distance(x), 1.0),
        of_log=lambda x: 1.0 + distance(x) * per_alpha,
    )
    return by_scaled, tf.reduce_sum(by_alpha - log_inner), tf.reduce_sum(log_inner)


@compiled
def _latent_gradient(
    latent: tf.Tensor, inverse: tf.Tensor, alpha: tf.Tensor, upstream: tf.Tensor
) -> tf.Tensor:
    distance = tf.abs(latent * inverse)
    ratio = (distance + alpha) / (tf.maximum(distance - 1.0, 0.0) + alpha)
    magnitude = upstream * inverse * fast_log(ratio)
    return tf.where(latent < 0.0, -magnitude, magnitude)
