"""Elementwise work over a weight and sums of it, compiled into few passes."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, Callable, Optional

import tensorflow as tf

# Elements from which XLA pays for its compilation, a tenth of a second a shape and function.
_WORTH_COMPILING = 2**14
# Elements from which sums in slices pay for theirs, which takes a second.
_WORTH_SLICING = 2**18


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of tensors with static shapes by XLA, once for each combination of shapes.

    Where all tensors are small the function is called as it is: a network has many small weights, of
    different shapes. One `tf.function` a combination, rather than one that is traced again and again:
    that is what TensorFlow warns of, and here the shapes are as many as the model has different weights.
    """

    @functools.cache
    def for_signature(*signature: Any) -> Callable[..., Any]:
        del signature
        # A partial, since TensorFlow counts retracings by the code of what it compiles.
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
    of: Optional[Callable[..., tf.Tensor]] = None,
    of_log: Optional[Callable[..., tf.Tensor]] = None,
) -> tf.Tensor:
    """Σ of(x) + log of_log(x) over axis 1 of float32 [rows, n] tensors: float32 [rows, 1].

    For use in a `compiled` function. A plain sum waits for each addition before the next; here a few
    slices of the axis are added up side by side, which vectorises: 2 to 4 times as fast for large weights.

    Args:
      *arrays: of one shape.
      of: an elementwise function of them.
      of_log: as `of`, with values from 1 to 2^31: four are multiplied, which float32 can hold, before the
        logarithm is taken of the product.
    """
    if _size(arrays[0]) < _WORTH_SLICING:
        return _sum([arrays], of, of_log)
    width = (arrays[0].shape[1] or 0) // _SIDE_BY_SIDE
    slices = [[a[:, i * width : (i + 1) * width] for a in arrays] for i in range(_SIDE_BY_SIDE)]
    rest = [a[:, _SIDE_BY_SIDE * width :] for a in arrays]
    return _sum(slices, of, of_log) + _sum([rest], of, of_log)


def fast_log(values: tf.Tensor) -> tf.Tensor:
    """log of float32 values from 1 to 2^31, to 2 units in the last place; for use in a `compiled` function.

    Twice as fast as XLA's, which must answer for 0, denormals, infinity and NaN as well; a NaN or an infinity
    gives a finite number here. The polynomial is that of Cephes' `logf` (S. L. Moshier, 1989). Small tensors
    get TensorFlow's logarithm.
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
    of: Optional[Callable[..., tf.Tensor]],
    of_log: Optional[Callable[..., tf.Tensor]],
) -> tf.Tensor:
    terms = [of(*s) for s in slices] if of else []
    if of_log:
        values = [of_log(*s) for s in slices]
        terms += [tf.math.log(_reduce(operator.mul, values[i : i + 4])) for i in range(0, len(values), 4)]
    return tf.reduce_sum(_reduce(operator.add, terms), axis=1, keepdims=True)


def _reduce(operation: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    return functools.reduce(operation, values)
