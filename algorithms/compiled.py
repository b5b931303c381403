"""Compiles elementwise work over a weight, and sums of it, into few passes."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# From this many elements on, XLA is worth its compilation: a tenth of a second per shape and function.
_WORTH_COMPILING = 2**14
# From this many elements on, sums in slices are worth their compilation, which takes a second.
_WORTH_SLICING = 2**18


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of tensors with static shapes by XLA, once for each combination of shapes.

    Where all tensors are small, the function is called uncompiled: a network has many small weights, of
    different shapes. Each combination gets its own `tf.function`. TensorFlow warns of a single one that is
    traced again and again, but here that is normal: there is a shape for each different weight of a model.
    """

    @functools.cache
    def for_signature(*signature: Any) -> Callable[..., Any]:
        del signature
        # A partial, since TensorFlow counts retracings by the code of the function that it compiles.
        return tf.function(functools.partial(function), jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors: tf.Tensor) -> Any:
        if max(_size(tensor) for tensor in tensors) < _WORTH_COMPILING:
            return function(*tensors)
        return for_signature(*((tuple(t.shape), t.dtype) for t in tensors))(*tensors)

    return call


def _size(tensor: tf.Tensor) -> int:
    return tensor.shape.num_elements()


_SIDE_BY_SIDE = 8


def row_sums(
    *arrays: tf.Tensor,
    of: Callable[..., tf.Tensor] | None = None,
    of_log: Callable[..., tf.Tensor] | None = None,
) -> tf.Tensor:
    """Computes Σ of(x) + log of_log(x) over axis 1 of float32 [rows, n] tensors: float32 [rows, 1].

    For use in a `compiled` function. A plain sum waits for each addition before the next; here a few
    slices of the axis are added up side by side, which vectorises: 2 to 4 times as fast for large weights.

    Args:
      *arrays: tensors of one shape.
      of: an elementwise function of them.
      of_log: like `of`, with values from 1 to 2^31: the logarithm is taken of products of four values, which
        float32 can hold.
    """
    if _size(arrays[0]) < _WORTH_SLICING:
        return _sum([arrays], of, of_log)
    width = (arrays[0].shape[1] or 0) // _SIDE_BY_SIDE
    slices = [[a[:, i * width : (i + 1) * width] for a in arrays] for i in range(_SIDE_BY_SIDE)]
    rest = [a[:, _SIDE_BY_SIDE * width :] for a in arrays]
    return _sum(slices, of, of_log) + _sum([rest], of, of_log)


def fast_log(values: tf.Tensor) -> tf.Tensor:
    """Computes log of float32 values from 1 to 2^31, to 2 units in the last place.

    For use in a `compiled` function. It is twice as fast as XLA's logarithm, which must also handle 0,
    denormals, infinity and NaN; here a NaN or an infinity gives a finite number. The polynomial is that of
    Cephes' `logf` (S. L. Moshier, 1989). Small tensors get TensorFlow's logarithm.
    """
    if _size(values) * _SIDE_BY_SIDE < _WORTH_SLICING:
        return tf.math.log(values)
    bits = tf.bitcast(values, tf.int32)
    exponent = tf.bitwise.right_shift(bits - 0x3F3504F3, 23)  # so that the mantissa lies in [√½, √2)
    m = tf.bitcast(bits - tf.bitwise.left_shift(exponent, 23), tf.float32) - 1.0
    polynomial = _reduce(lambda sum_, coefficient: sum_ * m + coefficient, _LOGF)
    return m - 0.5 * m * m + m * m * m * polynomial + tf.cast(exponent, tf.float32) * math.log(2.0)


_LOGF = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)


def _sum(
    slices: Sequence[Sequence[tf.Tensor]],
    of: Callable[..., tf.Tensor] | None,
    of_log: Callable[..., tf.Tensor] | None,
) -> tf.Tensor:
    terms = [of(*s) for s in slices] if of else []
    if of_log:
        values = [of_log(*s) for s in slices]
        terms += [tf.math.log(_reduce(operator.mul, values[i : i + 4])) for i in range(0, len(values), 4)]
    return tf.reduce_sum(_reduce(operator.add, terms), axis=1, keepdims=True)


def _reduce(operation: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    return functools.reduce(operation, values)
