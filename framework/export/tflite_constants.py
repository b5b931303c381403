"""Holds encoded tensors in a TensorFlow Lite graph, in few bytes, and decodes none before it is needed.

The converter folds everything that follows from constants into a constant. Left alone, it would decode each
weight and store the floats. So the graph looks up each encoded tensor in a table with one row, at an index
that is computed from the layer's input and is always 0. No compiler knows that it is 0, so nothing is
decoded before its layer runs.

Integers take one byte each: those few beyond the 256 values of a byte are stored apart, with their places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ..surgery.computed_weights import ComputedWeight
from .prediction import WeightFunction

SMALL = 256
"""The number of elements below which a weight is stored as floats: decoding operations take more bytes."""
_DECODER_BYTES = (
    3000  # of the operations that decode one weight's entropy code: tests/benchmarks/lite_operations.py
)


def waiting_constants(unpack: bool) -> WeightFunction:
    """Returns a function that decodes weights from constants that wait for the layer's input.

    Args:
      unpack: whether all weights are stored without their entropy code, so that builtin operations decode
        them; else only those whose decoder would take more bytes than their code saves.
    """
    held = _Held()

    def weight(computed: ComputedWeight, layer_input: tf.Tensor) -> tf.Tensor:
        with tf.init_scope():
            small = computed.spec.size < SMALL
            floats = computed.compute().numpy() if small else None
            values = {} if small else _fewest_bytes(computed, unpack)
        if floats is not None:
            return tf.constant(floats)
        waits = _waiting(values, computed.spec.size)
        constants = {
            name: held.hold(value, layer_input) if waits[name] else _widened(value)
            for name, value in values.items()
        }
        return tf.ensure_shape(computed.algorithm.decode(constants, computed.spec), computed.spec.shape)

    return weight


def _fewest_bytes(computed: ComputedWeight, unpack: bool) -> dict[str, Any]:
    """Returns what is stored of a weight, as `tf.Tensor.numpy` gives it."""
    encoded = computed.tensors()
    unpacked = computed.algorithm.unpack(encoded, computed.spec)
    forms = [{name: tensor.numpy() for name, tensor in form.items()} for form in (unpacked, encoded)]
    return forms[0] if unpack or _bytes(forms[0]) < _bytes(forms[1]) + _DECODER_BYTES else forms[1]


def _bytes(values: Mapping[str, Any]) -> int:
    """Estimates what tensors take in a file: a byte for an integer, most of the time."""
    return sum(
        len(value)
        if isinstance(value, bytes)
        else sum(map(len, value.flat))
        if value.dtype == object
        else value.size * (1 if value.dtype.kind in "iu" else value.itemsize)
        for value in values.values()
    )


def _waiting(values: Mapping[str, Any], elements: int) -> dict[str, bool]:
    """Tells which tensors wait for the layer's input: the largest, byte strings, and others of some size.

    Steps or a codebook alone do not give a weight, so they need not wait: the converter folds only what
    follows from them.
    """
    sizes = {name: np.size(value) for name, value in values.items()}
    texts = {name: np.asarray(value).dtype.kind in "OS" for name, value in values.items()}
    few = max(SMALL, elements / 64)
    return {name: texts[name] or size == max(sizes.values()) or size >= few for name, size in sizes.items()}


class _Held:
    """Makes constants wait for an input, in one graph."""

    def __init__(self) -> None:
        self._zeros: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}

    def hold(self, value: Any, layer_input: tf.Tensor) -> tf.Tensor:
        """Returns a constant that is known once `layer_input` is; 16-bit floats become float32.

        Args:
          value: as `tf.Tensor.numpy` returns it.
          layer_input: of the layer that needs the constant.
        """
        dtype = np.asarray(value).dtype
        if dtype in _WIDEN:
            bits = self._lookup(np.asarray(value).view(np.int16), layer_input)
            return _WIDEN[dtype](tf.cast(bits, tf.int32))
        if dtype in (np.int16, np.int32):
            return self._bytewise(np.asarray(value), layer_input)
        return self._lookup(value, layer_input)  # NumPy would cut the zeros at the end of a byte string

    def _bytewise(self, value: np.ndarray, layer_input: tf.Tensor) -> tf.Tensor:
        """Holds integers as int8, and those that a byte does not hold apart, where that is smaller."""
        flat = value.ravel().astype(np.int32)
        middle, places = _window(flat)
        flat = flat - middle
        distances, rest = _narrow(np.diff(places, prepend=0)), _narrow(flat[places])
        if flat.size + distances.nbytes + rest.nbytes >= value.nbytes:
            return self._lookup(value, layer_input)
        flat[places] = 0
        inside = flat.astype(np.int8).reshape(value.shape)
        integers = tf.cast(self._lookup(inside, layer_input), tf.int32)
        if places.size:
            where = tf.cumsum(tf.cast(self._lookup(distances, layer_input), tf.int32))
            values = tf.cast(self._lookup(rest, layer_input), tf.int32)
            apart = tf.scatter_nd(where[:, tf.newaxis], values, [value.size])
            integers += tf.reshape(apart, value.shape)
        return tf.cast(integers + middle if middle else integers, value.dtype)

    def _lookup(self, value: Any, layer_input: tf.Tensor) -> tf.Tensor:
        if id(layer_input) not in self._zeros:
            self._zeros[id(layer_input)] = (layer_input, _zero(layer_input))
        return tf.gather(tf.constant(value)[tf.newaxis], self._zeros[id(layer_input)][1])


def _window(flat: np.ndarray) -> tuple[int, np.ndarray]:
    """Finds the 256 neighbouring values that most integers have.

    Args:
      flat: int32 [integers].

    Returns:
      The value that becomes 0 in int8, and the places, int64 [few], of the integers outside.
    """
    half = 128
    if not flat.size or (-half <= flat.min() and flat.max() < half):
        return 0, np.zeros(0, np.int64)
    values, counts = np.unique(flat.astype(np.int64), return_counts=True)
    sums = np.concatenate([[0], np.cumsum(counts)])
    inside = sums[np.searchsorted(values, values + 2 * half)] - sums[:-1]  # in a window from each value on
    middle = int(values[np.argmax(inside)]) + half
    return middle, np.flatnonzero((flat < middle - half) | (flat >= middle + half))


def _narrow(values: np.ndarray) -> np.ndarray:
    """Returns integers in the narrowest of int8, int16 and int32 that holds them."""
    least, most = (values.min(), values.max()) if values.size else (0, 0)
    types = (np.iinfo(dtype) for dtype in (np.int8, np.int16, np.int32))
    return values.astype(next(t.dtype for t in types if t.min <= least and most <= t.max))


def _from_bfloat16(bits: tf.Tensor) -> tf.Tensor:
    """Returns the floats, float32, of which `bits`, int32, are the upper half."""
    return tf.bitcast(bits * 2**16, tf.float32)


def _from_float16(bits: tf.Tensor) -> tf.Tensor:
    """Returns the floats, float32, of which `bits`, int32, are the half precision (IEEE 754, binary16)."""
    size = tf.where(bits < 0, bits + 2**15, bits)  # without the sign
    finite = tf.bitcast(size * 2**13 + (127 - 15) * 2**23, tf.float32)
    not_finite = tf.bitcast(size * 2**13 + (255 - 31) * 2**23, tf.float32)
    subnormal = tf.cast(size, tf.float32) * 2.0**-24
    value = tf.where(size < 2**10, subnormal, tf.where(size < 31 * 2**10, finite, not_finite))
    return tf.where(bits < 0, -value, value)


_WIDEN = {np.dtype(tf.bfloat16.as_numpy_dtype): _from_bfloat16, np.dtype(np.float16): _from_float16}


def _widened(value: Any) -> tf.Tensor:
    """Makes a constant; bfloat16, which TensorFlow Lite does not have, becomes float32."""
    constant = tf.constant(value)
    return tf.cast(constant, tf.float32) if constant.dtype == tf.bfloat16 else constant


def _zero(layer_input: tf.Tensor) -> tf.Tensor:
    """Computes 0, int32 [], as the index of the greatest among the first element of `layer_input` alone."""
    first = layer_input[(slice(0, 1),) * layer_input.shape.rank] if layer_input.shape.rank else layer_input
    first = tf.strings.length(first) if first.dtype == tf.string else first
    return tf.argmax(tf.reshape(tf.cast(first, tf.float32), [-1]), output_type=tf.int32)
