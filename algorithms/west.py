"""Builds embeddings from sub-unit embeddings.

E. Variani, A. T. Suresh, M. Weintraub, "WEST: Word Encoded Sequence Transducers", ICASSP 2019 (arXiv
1811.08417).

From the paper: each word is encoded as a sequence of units from a small alphabet, at random or by the domain.
The embedding matrix is then the product of a sparse matrix of codes, fixed before training, and a small dense
matrix with the units' embeddings, which is trained. The same holds for the softmax layer.

Three things are our own reading:

- A code has `positions` units, and each position has a table of its own: a word's embedding is the sum of its
  units' rows, or their concatenation (the structured dense matrix is then block diagonal).
- Random units come from a hash of word, position and seed, so only the seed is stored.
- A weight tensor does not know the units of a domain. Instead, codes may be found from an embedding that was
  trained plainly: by k-means of its parts (for a concatenation; product quantisation, Jégou, Douze, Schmid
  2011) or of its residuals (for a sum; residual quantisation). These codes are stored, entropy coded.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from ..framework.entropy import decode_integers, encode_integers, unpack_integers
from .arguments import check_finite, check_integer, check_number
from .links import Structured

_CODES = ("random", "kmeans")
_COMBINE = ("sum", "concatenate")
_MOST_UNITS = 4096  # fitting them takes a matrix with this many rows and columns
_OFF = -1  # used instead of a code while the embedding is trained plainly


@algorithms.register("west")
@dataclasses.dataclass(frozen=True)
class West(Structured):
    """Embeddings as sums or concatenations of sub-unit embeddings (Variani et al. 2019), trained as such.

    λ has no effect: the size is `positions`·`alphabet` rows, and with k-means also a code for each word. Only
    embeddings are compressed. Weights in other roles are stored in full, so give them another algorithm by a
    rule, or put this one in a chain.

    Attributes:
      positions: number of units in a code.
      alphabet: number of units for each position; at most the number of words is used.
      combine: `sum`, or `concatenate`, for which `positions` must divide the embedding's width.
      codes: `random`, fixed by `seed` and used from the beginning of training, or `kmeans`.
      start: the fraction of training at which k-means finds codes; until then, the embedding is trained
        plainly.
      seed: seed of random codes and of k-means.
    """

    trains = True
    uses_lmbda = False

    positions: int = 4
    alphabet: int = 32
    combine: str = "sum"
    codes: str = "random"
    start: float = 0.5
    seed: int = 0

    def __post_init__(self):
        for name, least, most in (("positions", 1, 64), ("alphabet", 2, 2048), ("seed", 0, 2**31 - 1)):
            check_integer(name, getattr(self, name), least, most)
        if self.combine not in _COMBINE:
            raise ValueError(f"combine must be one of {', '.join(_COMBINE)}, got {self.combine!r}.")
        if self.codes not in _CODES:
            raise ValueError(f"codes must be one of {', '.join(_CODES)}, got {self.codes!r}.")
        check_number("start", self.start, 0, 1)
        if self.combine == "sum" and self.codes == "random" and self.positions * self.alphabet > _MOST_UNITS:
            raise ValueError(
                f"positions · alphabet must be at most {_MOST_UNITS:,} where random units are summed, got "
                f"{self.positions} · {self.alphabet}."
            )

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns `tables`, [positions, units, width] of the weight's dtype, fitted to `weight`.

        With random codes they are fitted by least squares; with k-means they are the cluster centres, and
        `weight` itself and `codes`, int16 [positions, words], are returned, too. For a weight that is not an
        embedding, `weight` alone is returned.

        Raises:
          ValueError: for a concatenation, where `positions` does not divide the embedding's width.
        """
        if not self._takes(spec):
            return {"weight": weight}
        if self.combine == "concatenate" and spec.shape[1] % self.positions:
            raise ValueError(
                f"positions = {self.positions} does not divide the width {spec.shape[1]} of {spec.path}; "
                "choose another, or combine = 'sum'."
            )
        return self._fit(weight, spec)

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        if "codes" not in variables:
            return {}
        if progress < self.start:
            return {"codes": tf.fill(variables["codes"].shape, tf.constant(_OFF, tf.int16))}
        if bool(tf.reduce_any(variables["codes"] == _OFF)):
            return self._fit(variables["weight"], spec)
        return {}  # codes were found before

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        if "tables" not in variables:
            return variables["weight"]
        if "codes" not in variables:
            return self._embed(variables["tables"], self._random(spec), spec)
        codes = variables["codes"]
        embedded = self._embed(variables["tables"], tf.maximum(tf.cast(codes, tf.int32), 0), spec)
        return (
            tf.where(codes[0, 0] == _OFF, variables["weight"], embedded)
            if "weight" in variables
            else embedded
        )

    def shapes(self, spec: WeightSpec) -> dict[str, tuple[int, ...]]:
        if not self._takes(spec):
            return {"weight": spec.shape}
        return {"tables": (self.positions, self._units(spec), self._width(spec))}

    @property
    def leads(self) -> bool:
        return self.codes == "random"

    def settle(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        if "codes" not in variables:
            return variables
        if bool(tf.reduce_any(variables["codes"] == _OFF)):
            raise ValueError(
                f"{spec.path} has no codes: training has not come to `start`. Pass Updates() to fit."
            )
        return {name: variables[name] for name in ("tables", "codes")}

    def resume(self, settled: Tensors, spec: WeightSpec) -> Tensors:
        return {**settled, "weight": self.project(settled, spec)} if "codes" in settled else settled

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `tables` and, with k-means, the codes' code (`encode_integers`); or `weight` alone."""
        settled = dict(self.settle(variables, spec))
        codes = settled.pop("codes", None)
        return settled if codes is None else {**settled, **encode_integers(tf.cast(codes, tf.int32))}

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        if "code" not in encoded:
            return encoded
        return unpack_integers(encoded, (self.positions, spec.shape[0]))

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        return self.project(self._settled(encoded, spec), spec)

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        return self.resume(self._settled(encoded, spec), spec)

    def _settled(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        if "weight" in encoded:
            return encoded
        expected = (self.positions, self._units(spec), self._width(spec))
        if encoded["tables"].shape != expected:
            raise ValueError(f"tables of shape {expected} expected, got {encoded['tables'].shape}.")
        if self.codes == "random":
            return {"tables": encoded["tables"]}
        codes = decode_integers(encoded, (self.positions, spec.shape[0]), below=self._units(spec))
        return {"tables": encoded["tables"], "codes": tf.cast(codes, tf.int16)}

    def in_full(self, spec: WeightSpec) -> str | None:
        return None if self._takes(spec) else "it is for embeddings, tables of words × width"

    def _takes(self, spec: WeightSpec) -> bool:
        return spec.role == "embedding" and len(spec.shape) == 2 and spec.size > 0

    def _units(self, spec: WeightSpec) -> int:
        return min(self.alphabet, spec.shape[0])

    def _width(self, spec: WeightSpec) -> int:
        return spec.shape[1] // (self.positions if self.combine == "concatenate" else 1)

    def _random(self, spec: WeightSpec) -> tf.Tensor:
        """Returns codes from a hash, int32 [positions, words], by operations that any machine does alike."""
        words = tf.range(spec.shape[0], dtype=tf.int64)[tf.newaxis]
        positions = tf.range(self.positions, dtype=tf.int64)[:, tf.newaxis]
        mixed = words * 0x9E3779B1 + positions * 0x85EBCA6B + self.seed * 0xC2B2AE3D
        for factor in (0x7FEB352D, 0x846CA68B):  # C. Wellons' `lowbias32`
            mixed = tf.bitwise.bitwise_and(mixed, 0xFFFFFFFF)
            mixed = tf.bitwise.bitwise_xor(mixed, tf.bitwise.right_shift(mixed, 15)) * factor
        mixed = tf.bitwise.bitwise_and(tf.bitwise.right_shift(mixed, 8), 0xFFFFFF)
        return tf.cast(mixed % self._units(spec), tf.int32)

    def _embed(self, tables: tf.Tensor, codes: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
        rows = [tf.gather(tables[i], codes[i]) for i in range(self.positions)]
        if self.combine == "concatenate":
            return tf.concat(rows, axis=1)
        total = tf.cast(rows[0], tf.float32) if tables.dtype.size < 4 else rows[0]
        for row in rows[1:]:
            total += tf.cast(row, total.dtype)
        return tf.cast(total, spec.dtype)

    def _fit(self, weight: tf.Tensor, spec: WeightSpec) -> Tensors:
        values = tf.cast(weight, tf.float64).numpy()
        check_finite(values, spec.path)
        if self.codes == "random":
            tables = self._least_squares(values, self._random(spec).numpy(), spec)
            return {"tables": tf.constant(tables, spec.dtype)}
        tables, codes = self._kmeans(values, spec)
        return {
            "weight": weight,
            "tables": tf.constant(tables, spec.dtype),
            "codes": tf.constant(codes, tf.int16),
        }

    def _least_squares(self, values: np.ndarray, codes: np.ndarray, spec: WeightSpec) -> np.ndarray:
        from scipy import sparse

        units, words = self._units(spec), spec.shape[0]
        parts = np.split(values, self.positions, axis=1) if self.combine == "concatenate" else [values]
        together = 1 if self.combine == "concatenate" else self.positions
        tables = []
        for part, group in zip(parts, np.split(codes, self.positions // together), strict=True):
            count = len(group)
            column = (group + units * np.arange(count)[:, None]).T
            row = np.repeat(np.arange(words), count)
            chosen = sparse.csr_matrix((np.ones(row.size), (row, column.ravel())), (words, units * count))
            gram, target = (chosen.T @ chosen).toarray(), chosen.T @ part
            tables.append(np.linalg.lstsq(gram, target, rcond=None)[0].reshape(count, units, -1))
        return np.concatenate(tables)

    def _kmeans(self, values: np.ndarray, spec: WeightSpec) -> tuple[np.ndarray, np.ndarray]:
        from sklearn.cluster import MiniBatchKMeans

        kmeans: Any = MiniBatchKMeans  # its annotations allow no number for n_init
        units, left = self._units(spec), values
        parts = np.split(values, self.positions, axis=1) if self.combine == "concatenate" else None
        tables, codes = [], []
        for position in range(self.positions):
            part = left if parts is None else parts[position]
            fitted = kmeans(units, n_init=1, random_state=self.seed, batch_size=4096).fit(part)
            codes.append(fitted.predict(part))
            tables.append(fitted.cluster_centers_)
            left = left - tables[-1][codes[-1]] if parts is None else left
        return np.stack(tables), np.stack(codes)
