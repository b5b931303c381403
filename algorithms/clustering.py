"""Makes the weights of a tensor share the values of a codebook.

S. Han, H. Mao, W. J. Dally, "Deep Compression", ICLR 2016 (§3): k-means from linearly spaced centroids, one
codebook per layer, fine-tuned by the sum of its weights' gradients. TensorFlow Model Optimization's weight
clustering also lets the weights keep moving, and assigns them again.

For a λ the codebook is found by entropy-constrained k-means (P. Chou, T. Lookabaugh, R. Gray,
"Entropy-constrained vector quantization", IEEE Trans. ASSP, 1989), in which rare values lose to common ones.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from ..framework.entropy import decode_integers, encode_integers, unpack_integers
from .arguments import check_finite, check_flag, check_integer, check_number
from .distortion import Sensitive
from .rounding import is_stored_as, straight_through

_BINS = 4096
_ITERATIONS = 100
_OFF = -1  # used instead of an index while the weights are not clustered


@algorithms.register("clustering")
@dataclasses.dataclass(frozen=True)
class Clustering(Sensitive):
    """K-means codebook, shared by the weights of a tensor, trained or refit; indices entropy coded.

    λ weighs bits per weight (of the indices' entropy) against `sensitivity` times the relative squared error
    of a weight tensor, so it decides how many of the `clusters` are used. λ = 0 gives plain k-means.

    Attributes:
      clusters: the largest number of entries in a codebook.
      start: the fraction of training from which weights are clustered; 1 clusters after training.
      refit: if True, the weights keep moving, by the gradient that passes straight through, and from `start`
        on the codebook is found again from them. If False, the codebook itself is trained, and each weight
        keeps its entry.
    """

    clusters: int = 64
    start: float = 1.0
    refit: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_integer("clusters", self.clusters, 2, 1024)
        check_number("start", self.start, 0, 1)
        check_flag("refit", self.refit)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns `weight`; `codebook`, float32 [clusters]; `index`, int16 of the weight's shape."""
        return {"weight": weight, **self._fit(weight, spec, lmbda)}

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        index = variables["index"]
        if progress < self.start:
            return {"index": tf.fill(index.shape, tf.constant(_OFF, tf.int16))}
        clustered = not bool(tf.reduce_any(index == _OFF))
        if clustered and (progress == 1 or not self.refit):
            return {}
        return self._fit(variables["weight"], spec, lmbda)

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        weight, index = variables["weight"], tf.cast(variables["index"], tf.int32)
        codebook = _stored_precision(variables["codebook"])
        shared = tf.cast(tf.gather(codebook, tf.maximum(index, 0)), spec.dtype)
        return tf.where(index == _OFF, weight, _through_both(shared, weight))

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `codebook`, bfloat16 [used entries], commonest first, and the indices' code.

        The code has the parts that `encode_integers` names.

        Raises:
          ValueError: where training stopped before the weights were clustered.
        """
        index = np.ravel(variables["index"].numpy())
        if np.any(index == _OFF):
            raise ValueError(
                f"{spec.path} is not clustered: training has not come to `start`. Pass Updates() to fit."
            )
        counts = np.bincount(index, minlength=self.clusters)
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        rank = np.zeros(self.clusters, np.int32)
        rank[order] = np.arange(len(order))
        codebook = tf.cast(tf.gather(variables["codebook"], order), tf.bfloat16)
        return {**encode_integers(tf.constant(rank[index])), "codebook": codebook}

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        return unpack_integers(encoded, spec.shape)

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        index = self._index(encoded, spec)
        return tf.cast(tf.gather(tf.cast(encoded["codebook"], tf.float32), index), spec.dtype)

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        codebook = tf.cast(encoded["codebook"], tf.float32)
        return {
            "weight": self.decode(encoded, spec),
            "codebook": tf.pad(codebook, [[0, self.clusters - len(codebook)]]),
            "index": tf.cast(self._index(encoded, spec), tf.int16),
        }

    def _index(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        codebook = encoded.get("codebook")
        if codebook is None or not is_stored_as(codebook, tf.bfloat16) or codebook.shape.rank != 1:
            raise ValueError(f"{spec.path}: a codebook, bfloat16, is expected, got {codebook}.")
        entries = codebook.shape[0] or 0
        if entries > self.clusters:
            raise ValueError(f"a codebook has at most {self.clusters} entries, got {entries}.")
        return decode_integers(encoded, spec.shape, below=entries)

    def _fit(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float) -> Tensors:
        values = tf.cast(weight, tf.float32).numpy()
        check_finite(values, spec.path)
        codebook, index = cluster(values, self.clusters, lmbda / self.sensitivity)
        return {"codebook": tf.constant(codebook), "index": tf.constant(index.astype(np.int16))}


def cluster(values: np.ndarray, clusters: int, price: float) -> tuple[np.ndarray, np.ndarray]:
    """Computes entropy-constrained k-means in one dimension, on a histogram.

    Minimises the mean over x of (x−c)²/E[x²] − price·log2 p(c), with c the codeword of x, p(c) its frequency.

    Args:
      values: finite floats, any shape.
      clusters: number of codewords at the beginning, evenly spaced from the smallest to the largest value.
      price: cost of a bit.

    Returns:
      The codebook, float32 [clusters], unused entries included, and indices of the shape of `values`.
    """
    least, most = (values.min(), values.max()) if values.size else (0.0, 0.0)
    if float(most) - float(least) > np.finfo(np.float32).max:  # the range overflows float32
        values = values.astype(np.float64)
        least, most = values.min(), values.max()
    codebook = np.linspace(least, most, clusters)
    power = float(np.mean(np.square(values, dtype=np.float64))) if values.size else 0.0
    if most == least or power == 0:
        return codebook.astype(np.float32), np.zeros(values.shape, np.int64)
    bins = np.minimum(((values - least) * (_BINS / (most - least))).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins.ravel(), minlength=_BINS)
    inside = counts > 0
    sums = np.bincount(bins.ravel(), weights=values.ravel(), minlength=_BINS)
    counts, means = counts[inside], sums[inside] / counts[inside]
    bits, assigned = np.zeros(clusters), np.full(len(counts), _OFF)
    for _ in range(_ITERATIONS):
        cost = (means[:, None] - codebook) ** 2 / power + price * bits
        before, assigned = assigned, np.argmin(cost, axis=1)
        if np.array_equal(before, assigned):
            break
        members = np.bincount(assigned, weights=counts, minlength=clusters)
        totals = np.bincount(assigned, weights=counts * means, minlength=clusters)
        codebook = np.where(members > 0, totals / np.maximum(members, 1), codebook)
        if price > 0:
            with np.errstate(divide="ignore"):
                bits = -np.log2(members / values.size)  # infinite for an empty cluster: nothing will join it
    of_bin = np.zeros(_BINS, np.int64)
    of_bin[inside] = assigned
    return codebook.astype(np.float32), of_bin[bins]


def _stored_precision(codebook: tf.Tensor) -> tf.Tensor:
    """Rounds a codebook to the precision that is stored; the gradient passes straight through."""
    return straight_through(codebook, tf.cast(tf.cast(codebook, tf.bfloat16), tf.float32))


@tf.custom_gradient
def _through_both(shared: tf.Tensor, weight: tf.Tensor) -> Any:
    """Returns `shared`; the gradient goes to the codebook, and straight through to the weight."""
    del weight
    return tf.identity(shared), lambda upstream: (upstream, upstream)
