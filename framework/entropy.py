"""Encodes integer tensors with entropy codes; the only module that imports TensorFlow Compression.

There are two codes, each a pair of functions. The encoder of the second runs eagerly only; the other
functions also run in graphs:

- run-length Elias gamma: codes runs of zeros and magnitudes, and needs no table. A value x≠0 costs
  2·(1+⌊log2|x|⌋) bits, its sign included (Elias 1975).
- range code: comes near the entropy of the values under a table of frequencies, which is stored as well.

The table holds a logarithm of each frequency in quarter octaves: about a byte an entry. From it both
sides build the same cumulative frequencies in integer arithmetic alone. Floating point could round
differently on the receiver's machine, and one different count garbles everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_compression.python.ops import gen_ops as _generated

from .errors import LambdapressError

_OF_A_CODE = ("code", "lowest", "levels", "escapes")
PRECISION = 16  # bits of a cumulative frequency; the most that the range coder takes
_STEPS_PER_OCTAVE = 4
# 2^(k/4) in units of 2^-32, for k = 0 … 127: frequencies down to 2^-32 of the commonest.
_FREQUENCIES = np.array([round(2 ** (31 - k / _STEPS_PER_OCTAVE)) for k in range(4 * 31 + 1)], np.int64)
_WINDOW = 2047
MAX_SYMBOLS = 2 * _WINDOW + 1
Shape = Sequence[int] | tf.Tensor

DECODING_OPS = ("RunLengthDecode", "CreateRangeDecoder", "EntropyDecodeChannel", "EntropyDecodeFinalize")
"""TensorFlow Compression's operations that decoding in a graph uses."""

gen_ops: Any = _generated  # its functions are made when it is imported


class CodeError(LambdapressError, ValueError):
    """A code or a table is damaged, or values cannot be coded; the message says why."""


def gamma_encode(values: tf.Tensor) -> tf.Tensor:
    """Returns the run-length Elias gamma code of an int32 tensor of any shape, a scalar byte string.

    Raises:
      CodeError: eagerly, for -2^31, which this code cannot express.
    """
    _check_magnitude(values, 2**31)
    return gen_ops.run_length_encode(
        tf.reshape(values, [-1]), run_length_code=-1, magnitude_code=-1, use_run_length_for_non_zeros=False
    )


def gamma_decode(code: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Decodes what `gamma_encode` returned to the int32 tensor of `shape` that it encoded.

    Raises:
      CodeError: eagerly, for a code that is damaged or has fewer elements.
    """
    if code.dtype != tf.string or code.shape.rank != 0:
        raise CodeError(f"a code is one byte string, got {code.dtype.name} of shape {code.shape}")
    try:
        return gen_ops.run_length_decode(
            code, shape, run_length_code=-1, magnitude_code=-1, use_run_length_for_non_zeros=False
        )
    except tf.errors.OpError as error:
        raise CodeError(f"not a run-length gamma code of shape {shape}: {error.message}") from error


@dataclasses.dataclass(frozen=True)
class Table:
    """Holds the frequencies of consecutive integers; integers outside of the table are escaped.

    Attributes:
      lowest: the smallest integer in the table.
      levels: uint8 of shape [symbols + 1]: how many quarter octaves each frequency lies below the highest;
        the last is the escape's.
      bits: estimated length of the code of the values that the table was fitted to, without the table.
    """

    lowest: int
    levels: np.ndarray
    bits: float

    @property
    def num_bytes(self) -> float:
        """The estimated bytes of code and table together."""
        return self.bits / 8 + len(self.levels) + 2


def best_table(values: np.ndarray) -> Table:
    """Returns the table that makes code and table together shortest; rare integers are escaped.

    Args:
      values: int32, any shape, not empty.
    """
    # Integers beyond the window are counted in its outermost bins, which are always escaped.
    nonzero = np.clip(values[values != 0], -_WINDOW, _WINDOW) + _WINDOW
    counts = np.bincount(nonzero, minlength=2 * _WINDOW + 1)
    counts[_WINDOW] = values.size - nonzero.size
    counts[[0, -1]] = 0
    tables = [_table(counts, values.size, rare) for rare in (0, 1, 2, 4, 8, 16, 32)]
    return min(tables, key=lambda table: table.num_bytes)


def _table(counts: np.ndarray, total: int, rare: int) -> Table:
    common = np.flatnonzero(counts > max(0, min(rare, counts.max() - 1)))
    first, last = (int(common[0]), int(common[-1])) if len(common) else (_WINDOW, _WINDOW)
    kept = counts[first : last + 1]
    escaped = total - int(kept.sum())
    occurrences = np.append(kept, escaped)
    frequency = np.maximum(occurrences, 0.25)
    levels = np.round(_STEPS_PER_OCTAVE * np.log2(frequency.max() / frequency))
    levels = np.minimum(levels, len(_FREQUENCIES) - 1).astype(np.uint8)
    modelled = _FREQUENCIES[levels] / _FREQUENCIES[levels].sum()
    # An escape also costs a gamma code: about twice the logarithm of its distance from the table.
    bits = float(-(occurrences * np.log2(modelled)).sum()) + escaped * (2 + 2 * np.log2(last - first + 2))
    return Table(first - _WINDOW, levels, bits)


def cumulative(levels: tf.Tensor) -> tf.Tensor:
    """Converts a table's levels to the range coder's lookup table: int32 [1, n + 2], precision first.

    Every entry gets a frequency of at least 1/2^16.

    Args:
      levels: uint8 or any integer, [n].
    """
    frequency = tf.gather(tf.constant(_FREQUENCIES), tf.cast(levels, tf.int32))
    count = tf.size(frequency, out_type=tf.int64)
    upto = tf.cumsum(frequency)
    cdf = upto * (2**PRECISION - count) // upto[-1] + tf.range(1, count + 1)
    head = tf.constant([PRECISION, 0], tf.int64)
    return tf.cast(tf.concat([head, cdf], 0)[tf.newaxis], tf.int32)


def range_encode(values: tf.Tensor, table: Table) -> dict[str, tf.Tensor]:
    """Encodes integers of any shape in a range code under `table`. Eager.

    An integer outside of the table is coded as the table's last entry, and its distance from the table goes
    into a separate gamma code. The range coder has escapes of its own, but its encoder loops for ever on
    large integers, and its decoder on a malicious code.

    Returns:
      `code`, a scalar byte string; the table's `lowest`, an int16 scalar, and `levels`, uint8
      [symbols + 1]; `escapes`, a scalar byte string, where there are any.

    Raises:
      CodeError: for an integer of magnitude 2^30 or more.
    """
    _check_magnitude(values, 2**30)
    symbols = np.ravel(values.numpy()) - np.int32(table.lowest)
    escape = len(table.levels) - 1
    beyond = symbols.view(np.uint32) >= escape  # negative ones, too
    distances = symbols[beyond]
    symbols[beyond] = escape
    lookup = cumulative(tf.constant(table.levels))
    handle = gen_ops.create_range_encoder([], lookup)
    handle = gen_ops.entropy_encode_channel(handle, symbols[:, np.newaxis])
    encoded = {
        "code": gen_ops.entropy_encode_finalize(handle),
        "lowest": tf.constant(table.lowest, tf.int16),
        "levels": tf.constant(table.levels),
    }
    if distances.size:
        # Below the table -1, -2, …; above it 1, 2, …: no zeros, which would be coded as runs.
        distances = np.where(distances < 0, distances, distances - np.int32(escape - 1))
        encoded["escapes"] = gamma_encode(tf.constant(distances))
    return encoded


def range_decode(encoded: Mapping[str, tf.Tensor], shape: Sequence[int]) -> tf.Tensor:
    """Decodes what `range_encode` returned to the int32 tensor of `shape` that it encoded.

    Args:
      encoded: as `range_encode` returned it.
      shape: of the tensor; static.

    Raises:
      CodeError: eagerly, for a table or a code that is damaged or belongs to another shape.
    """
    code, lowest, levels = encoded["code"], encoded["lowest"], encoded["levels"]
    if code.shape.rank != 0 or lowest.shape.rank != 0:
        raise CodeError(f"code and lowest are scalars, got shapes {code.shape} and {lowest.shape}")
    if not (lowest.dtype.is_integer and levels.dtype.is_integer):
        raise CodeError(f"a table holds integers, got {lowest.dtype.name} and {levels.dtype.name}")
    entries = levels.shape.num_elements() or 0
    if levels.shape.rank != 1 or not 2 <= entries <= MAX_SYMBOLS + 1:
        raise CodeError(f"a table of shape {levels.shape} is not one of 2 to {MAX_SYMBOLS + 1} levels")
    if tf.executing_eagerly():
        least, most = int(tf.reduce_min(levels)), int(tf.reduce_max(levels))
        if not 0 <= least <= most < len(_FREQUENCIES):
            raise CodeError(f"levels lie in [0, {len(_FREQUENCIES) - 1}], got some in [{least}, {most}]")
    size = int(np.prod(shape, dtype=np.int64))
    try:
        handle = gen_ops.create_range_decoder(code, cumulative(levels))
        handle, symbols = gen_ops.entropy_decode_channel(handle, [size, 1], tf.int32)
        complete = gen_ops.entropy_decode_finalize(handle)
    except tf.errors.OpError as error:
        raise CodeError(f"not a range code of shape {tuple(shape)}: {error.message}") from error
    if tf.executing_eagerly() and not bool(complete):
        raise CodeError(f"a range code does not end where {size} values end")
    symbols = tf.reshape(symbols, [size])
    if "escapes" in encoded:
        symbols = _with_escapes(symbols, encoded["escapes"], entries - 1)
    return tf.reshape(symbols + tf.cast(lowest, tf.int32), shape)


def encode_integers(values: tf.Tensor) -> dict[str, tf.Tensor]:
    """Encodes an int32 tensor of any shape in the shorter code: range code with a table, or gamma code.

    Eager. A table pays for itself from some hundred values on.
    """
    plain = gamma_encode(values)
    table = best_table(values.numpy()) if int(tf.size(values)) else None
    if table is None or table.num_bytes >= len(plain.numpy()):
        return {"code": plain}
    return range_encode(values, table)


def decode_integers(
    encoded: Mapping[str, tf.Tensor], shape: Sequence[int], below: int | None = None
) -> tf.Tensor:
    """Decodes integers to an int32 tensor of `shape`; also runs in graphs.

    Args:
      encoded: as `encode_integers` or `unpack_integers` returned it.
      shape: of the integers.
      below: an upper bound: where the integers are indices, the number of things that they index.

    Raises:
      CodeError: eagerly, for a code that does not hold integers of this shape, or for an integer outside of
        [0, below).
    """
    values = _decoded(encoded, shape)
    if below is not None and tf.executing_eagerly() and int(tf.size(values)):
        least, most = int(tf.reduce_min(values)), int(tf.reduce_max(values))
        if least < 0 or most >= below:
            raise CodeError(f"indices below {below} expected, got some in [{least}, {most}]")
    return values


def _decoded(encoded: Mapping[str, tf.Tensor], shape: Sequence[int]) -> tf.Tensor:
    if "integers" in encoded:
        if encoded["integers"].shape != tuple(shape) or not encoded["integers"].dtype.is_integer:
            description = f"{encoded['integers'].dtype.name} of shape {encoded['integers'].shape}"
            raise CodeError(f"integers of shape {tuple(shape)} expected, got {description}")
        return tf.cast(encoded["integers"], tf.int32)
    if "levels" not in encoded:
        return gamma_decode(encoded["code"], shape)
    return range_decode(encoded, shape)


def unpack_integers(encoded: Mapping[str, tf.Tensor], shape: Sequence[int]) -> dict[str, tf.Tensor]:
    """Returns `encoded` with a tensor `integers` instead of their code. Eager.

    The tensor is int8, int16 or int32: the narrowest that holds them.
    """
    values = decode_integers(encoded, shape)
    some = int(tf.size(values)) > 0
    least, most = (int(tf.reduce_min(values)), int(tf.reduce_max(values))) if some else (0, 0)
    dtype = next(t for t in (tf.int8, tf.int16, tf.int32) if t.min <= least <= most <= t.max)
    rest = {name: tensor for name, tensor in encoded.items() if name not in _OF_A_CODE}
    return {**rest, "integers": tf.cast(values, dtype)}


def _with_escapes(symbols: tf.Tensor, escapes: tf.Tensor, escape: int) -> tf.Tensor:
    places = tf.where(symbols == escape)
    distances = gamma_decode(escapes, tf.shape(places)[:1])
    values = tf.where(distances < 0, distances, distances + escape - 1)
    return tf.tensor_scatter_nd_update(symbols, places, values)


def _check_magnitude(values: tf.Tensor, bound: int) -> None:
    """Raises CodeError for integers on which TensorFlow Compression's coders give wrong codes or hang."""
    if tf.executing_eagerly() and int(tf.size(values)):
        least, most = int(tf.reduce_min(values)), int(tf.reduce_max(values))
        if not -bound < least <= most < bound:
            raise CodeError(f"integers to code lie below {bound} in magnitude, got some in [{least}, {most}]")
