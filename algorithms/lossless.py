"""Bit-exact compression of floats, after ZipNN.

M. Hershcovitch et al., "ZipNN: Lossless Compression for AI Models", arXiv 2411.05239 (2024): the exponents
of a trained network's floats are few and skewed, its mantissas are noise, so they are to be coded apart.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from .links import Elementwise
from .planes import CODECS, decode_floats, encode_floats


@algorithms.register("lossless")
@dataclasses.dataclass(frozen=True)
class Lossless(Elementwise):
    """Post-training, bit-exact: byte planes of the floats, coded by zstd, lzma, bz2 or zlib.

    λ means nothing to it: nothing is lost, NaN payloads, infinities and the sign of a zero included.

    In a graph only `zlib` decodes in TensorFlow's own operations; the others call Python
    (`tf.numpy_function`), so that a model which decodes on each call cannot be exported with them.

    Attributes:
      codec: what codes a plane. They differ by a percent or two, since exponents are all that shrinks.
    """

    uses_lmbda = False

    codec: str = "zstd"

    def __post_init__(self):
        if self.codec not in CODECS:
            raise ValueError(f"codec must be one of {', '.join(CODECS)}, got {self.codec!r}.")

    @property
    def graph_decode(self) -> bool:
        return self.codec == "zlib"

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """`planes`: as many strings as a float of the weight has bytes."""
        return {"planes": tf.constant(encode_floats(variables["weight"].numpy(), self.codec))}

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        """The very bits that were encoded; decompresses no more than the spec's size, whatever is stored."""
        floats = decode_floats(encoded["planes"], self.codec, tf.constant(spec.size), tf.as_dtype(spec.dtype))
        return tf.reshape(floats, spec.shape)
