"""Rounds, and keeps within bounds, in the forward pass without losing the gradient."""

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


def bounded(value: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Clips a value that is learned, with a gradient that can lead it back from outside of the bounds.

    Outside, the gradient of a descent step that would lead farther away is 0, and any other passes unchanged.

    Args:
      value: floating point, any shape.
      low, high: the bounds.
    """

    @tf.custom_gradient
    def clipped(value: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            away = ((value < low) & (upstream > 0)) | ((value > high) & (upstream < 0))
            return tf.where(away, tf.zeros_like(upstream), upstream)

        return tf.clip_by_value(value, low, high), gradient

    return clipped(value)


def is_stored_as(tensor: tf.Tensor, dtype: tf.DType | str) -> bool:
    """Tells whether a stored tensor has `dtype`, or is float32 in place of a 16-bit float.

    A runtime without 16-bit floats is given the same values as float32; see `Algorithm.decode`.
    """
    dtype = tf.as_dtype(dtype)
    return tensor.dtype == dtype or (dtype in (tf.float16, tf.bfloat16) and tensor.dtype == tf.float32)
