"""Elementwise work over a weight, compiled into one pass."""

from __future__ import annotations

import functools
from typing import Any, Callable

import tensorflow as tf


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of tensors with static shapes by XLA, once for each combination of shapes.

    One `tf.function` a combination, rather than one that is traced again and again: that is what
    TensorFlow warns of, and here the shapes are as many as the model has different weights.
    """

    @functools.cache
    def for_signature(*signature: Any) -> Callable[..., Any]:
        del signature
        # A partial, since TensorFlow counts retracings by the code of what it compiles.
        return tf.function(functools.partial(function), jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors: tf.Tensor) -> Any:
        return for_signature(*((tuple(t.shape), t.dtype) for t in tensors))(*tensors)

    return call
