"""Rounds in the forward pass without losing the gradient."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


@tf.custom_gradient
def straight_through(value: tf.Tensor, rounded: tf.Tensor) -> Any:
    """Returns `rounded`, with the gradient passed straight through to `value`.

    The estimator of Y. Bengio, N. Léonard, A. Courville, "Estimating or propagating gradients through
    stochastic neurons for conditional computation", arXiv 1308.3432 (2013).

    Args:
      value: floating point, any shape.
      rounded: computed from `value`, of the same shape and dtype.
    """
    return tf.identity(rounded), lambda upstream: (upstream, None)
