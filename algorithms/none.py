"""Stores weights without compression: the reference row of every table."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from .links import Elementwise, whole_value


@algorithms.register("none")
@dataclasses.dataclass(frozen=True)
class NoCompression(Elementwise):
    """The float baseline: trains plainly and stores every weight in full."""

    uses_lmbda = False

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        return {"value": variables["weight"]}

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        return tf.cast(whole_value(encoded, spec, spec.dtype), spec.dtype)
