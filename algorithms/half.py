"""Casts weights to 16 bits, a baseline that is often forgotten."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from .links import Elementwise, whole_value
from .rounding import straight_through

_DTYPES = ("float16", "bfloat16")


@algorithms.register("half")
@dataclasses.dataclass(frozen=True)
class Half(Elementwise):
    """Post-training cast to float16 or bfloat16: 2 bytes a weight.

    λ has no effect. Training sees the rounded weights; the gradient passes straight through.

    Attributes:
      dtype: `float16` (11 bits of precision, up to 65,504) or `bfloat16` (8 bits, the range of float32).
    """

    uses_lmbda = False

    dtype: str = "float16"

    def __post_init__(self):
        if self.dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {self.dtype!r}.")

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        weight = variables["weight"]
        return straight_through(weight, tf.cast(tf.cast(weight, self.dtype), spec.dtype))

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `value`, 16-bit floats of the weight's shape.

        Raises:
          ValueError: where a finite weight is beyond the dtype's range.
        """
        value = tf.cast(variables["weight"], self.dtype)
        if bool(tf.reduce_any(tf.math.is_finite(variables["weight"]) & ~tf.math.is_finite(value))):
            advice = "take bfloat16" if self.dtype == "float16" else "keep it out by a rule"
            raise ValueError(f"{spec.path} has weights beyond the range of {self.dtype}; {advice}.")
        return {"value": value}

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        return tf.cast(whole_value(encoded, spec, self.dtype), spec.dtype)
