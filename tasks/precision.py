"""Builds a task's models in mixed precision: float32 variables and logits, products in fewer bits."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from ..framework.surgery.private import Functional

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras's dtype policies that a task can have; variables are float32 in each."""


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Sets Keras's dtype policy in a with-block: layers remember it, others are unaffected."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def in_own_precision(build: Callable[[Any], tf.keras.Model]) -> Callable[[Any], tf.keras.Model]:
    """Returns a `build_model` that builds in the task's own `precision`, with float32 outputs."""

    @functools.wraps(build)
    def built(self: Any) -> tf.keras.Model:
        with policy(self.precision):
            return with_float32_outputs(build(self))

    return built


def with_float32_outputs(model: tf.keras.Model) -> tf.keras.Model:
    """Returns a model with a layer behind each output that makes it float32, where it is none.

    Only Sequential and Functional models have outputs that are known before they are called. Another kind of
    model stays as it is; it can give its last layer `dtype="float32"`.
    """

    def cast(number: int | None = None) -> tf.keras.layers.Layer:
        name = "as_float32" if number is None else f"as_float32_{number}"
        return tf.keras.layers.Activation("linear", dtype="float32", name=name)

    functional = type(model) is Functional or type(model) is tf.keras.Sequential
    outputs = tf.nest.flatten(model.output) if functional and model.outputs else []
    if all(output.dtype == tf.float32 or not output.dtype.is_floating for output in outputs):
        return model
    if isinstance(model, tf.keras.Sequential):
        model.add(cast())
        return model
    single = len(outputs) == 1
    made = [cast(None if single else i)(o) if o.dtype.is_floating else o for i, o in enumerate(outputs)]
    return tf.keras.Model(model.input, tf.nest.pack_sequence_as(model.output, made), name=model.name)


def loss_scaled(optimizer: tf.keras.optimizers.Optimizer, precision: str) -> tf.keras.optimizers.Optimizer:
    """Returns the optimizer, for float16 with dynamic loss scaling: its gradients would underflow."""
    if precision != "mixed_float16":
        return optimizer
    return tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
