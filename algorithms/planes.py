"""Codes floats without loss: splits their bits into byte planes, exponents together, and codes each plane."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import zstandard

_LZMA = {"format": lzma.FORMAT_RAW, "filters": [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "pb": 0}]}
# Exponents have no pattern beyond their frequencies: deflate is mostly best without its matches.
_STRATEGIES = (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY)
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstandard.ZstdCompressor(level=19, write_checksum=False, write_content_size=False).compress,
    "lzma": lambda data: lzma.compress(data, **_LZMA),
    "bz2": lambda data: bz2.compress(data, 9),
    "zlib": lambda data: min((_deflate(data, s) for s in _STRATEGIES), key=len),
}
CODECS = tuple(_ENCODERS)
DECODE_OPS = ("DecodeCompressed",)
"""TensorFlow's operations that decode planes in a graph."""


def encode_floats(values: np.ndarray, codec: str) -> list[bytes]:
    """Returns the planes of floats, least significant first; a plane that no code shortens stays as it is.

    Each number is rotated left by a bit, which puts its sign last and leaves the eight bits of a float32's or
    bfloat16's exponent in a plane of their own.

    Args:
      values: 16, 32 or 64-bit floats, any shape.
      codec: one of `CODECS`.

    Returns:
      As many strings as a float has bytes.
    """
    width = values.dtype.itemsize
    unsigned = np.dtype(f"<u{width}")
    bits = np.frombuffer(values.tobytes(), unsigned)
    rotated = (bits << unsigned.type(1)) | (bits >> unsigned.type(8 * width - 1))
    planes = rotated.view(np.uint8).reshape(-1, width).T
    coded = [(plane.tobytes(), _ENCODERS[codec](plane.tobytes())) for plane in planes]
    return [code if len(code) < len(plain) else plain for plain, code in coded]


def decode_floats(planes: tf.Tensor, codec: str, size: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns the floats that `encode_floats` was given, in shape [size].

    In a graph only zlib runs as TensorFlow operations; the other codecs run in Python.

    Args:
      planes: strings, as many as `dtype` has bytes.
      codec: as given to `encode_floats`.
      size: number of floats, an integer scalar; no more is ever decompressed.
      dtype: dtype of the floats.

    Raises:
      ValueError: eagerly, for planes that hold another number of floats.
    """
    width = dtype.size
    if planes.dtype != tf.string or planes.shape != (width,):
        raise ValueError(f"{width} planes expected, got {planes.dtype.name} of shape {planes.shape}.")
    if tf.executing_eagerly():
        raw = [tf.constant(_inflate(plane, codec, int(size))) for plane in planes.numpy()]
    else:
        raw = [_in_graph(plane, codec, size) for plane in tf.unstack(planes)]
    columns = [tf.io.decode_raw(plane, tf.uint8) for plane in raw]
    unsigned = {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}[width]
    rotated = tf.bitcast(tf.stack(columns, axis=-1), unsigned)
    one, rest = tf.constant(1, unsigned), tf.constant(8 * width - 1, unsigned)
    bits = tf.bitwise.right_shift(rotated, one) | tf.bitwise.left_shift(rotated, rest)
    return tf.bitcast(bits, dtype)


def _in_graph(plane: tf.Tensor, codec: str, size: tf.Tensor) -> tf.Tensor:
    def decoded() -> tf.Tensor:
        if codec == "zlib":
            return tf.io.decode_compressed(plane, "ZLIB")
        return tf.numpy_function(lambda data, n: _inflate(data, codec, int(n)), [plane, size], tf.string)

    return tf.cond(tf.strings.length(plane) == tf.cast(size, tf.int32), lambda: plane, decoded)


def _deflate(data: bytes, strategy: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
    return deflate.compress(data) + deflate.flush()


def _inflate(data: bytes, codec: str, size: int) -> bytes:
    """Decodes a plane of an untrusted file; makes at most `size` + 1 bytes of it."""
    if len(data) == size:
        return data
    try:
        if codec == "zstd":
            plain = _read_zstd(data, size + 1)
        elif codec == "zlib":
            plain = zlib.decompressobj().decompress(data, size + 1)
        elif codec == "bz2":
            plain = bz2.BZ2Decompressor().decompress(data, size + 1)
        else:
            plain = lzma.LZMADecompressor(**_LZMA).decompress(data, size + 1)
    except (zstandard.ZstdError, zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise ValueError(f"a plane is no {codec} code: {error}") from None
    if len(plain) != size:
        raise ValueError(f"a plane does not hold {size} bytes")
    return plain


def _read_zstd(data: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(data) as reader:
        parts: Sequence[bytes] = [reader.read(most)]
    return b"".join(parts)
