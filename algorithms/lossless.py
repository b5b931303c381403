"""Compresses floats bit-exactly, after ZipNN.

M. Hershcovitch et al., "ZipNN: Lossless Compression for AI Models", arXiv 2411.05239 (2024): the exponents
of a trained network's floats are few and skewed, and the mantissas are noise, so both are coded separately.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from .links import Elementwise
from .planes import CODECS, DECODE_OPS, decode_floats, encode_floats


@algorithms.register("lossless")
@dataclasses.dataclass(frozen=True)
class Lossless(Elementwise):
    """Bit-exact post-training compression: byte planes of floats, coded by zstd, lzma, bz2 or zlib.

    λ has no effect: nothing is lost, not even NaN payloads, infinities or the sign of a zero.

    In a graph only `zlib` decodes in TensorFlow's own operations; the others call Python
    (`tf.numpy_function`), so a model that decodes on each call cannot be exported with them.

    Attributes:
      codec: codes the planes. Codecs differ by a percent or two, since only the exponents shrink.
    """

    uses_lmbda = False

    codec: str = "zstd"

    def __post_init__(self):
        if self.codec not in CODECS:
            raise ValueError(f"codec must be one of {', '.join(CODECS)}, got {self.codec!r}.")

    @property
    def decode_ops(self) -> tuple[str, ...]:
        return DECODE_OPS

    @property
    def no_graph_decode(self) -> str | None:
        if self.codec == "zlib":
            return None
        return f"TensorFlow decodes zlib, not {self.codec}; compress with lossless.codec = 'zlib'"

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `planes`: as many strings as a float of the weight has bytes."""
        return {"planes": tf.constant(encode_floats(variables["weight"].numpy(), self.codec))}

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        """Returns the exact bits that were encoded; never decompresses more than the spec's size."""
        floats = decode_floats(encoded["planes"], self.codec, tf.constant(spec.size), tf.as_dtype(spec.dtype))
        return tf.reshape(floats, spec.shape)
