"""Truncates the singular value decomposition of a kernel, and trains its two factors."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from .arguments import check_finite, check_integer, check_number
from .distortion import Sensitive
from .links import Structured


@algorithms.register("low_rank")
@dataclasses.dataclass(frozen=True)
class LowRank(Structured, Sensitive):
    """Two trained factors of a kernel's matrix; their rank is given, or chosen by λ or by energy.

    The matrix W [m, n] of a kernel has its last axis as columns (of a depthwise kernel, its channels); W ≈
    LᵀR with L [r, m] and R [r, n]. With the singular values σ of W, rank r has the relative squared error
    Σ_{i>r} σᵢ²/Σ σᵢ² (Eckart and Young 1936) and costs `value_bits`·r(m+n)/mn bits per weight. λ weighs those
    bits against `sensitivity` times that error. With `rank` or `energy`, λ has no effect.

    Where two factors would not be smaller than the matrix, the weight is stored in full. This holds for
    biases, and for kernels whose `rank` is too high. A chosen rank is at most the highest at which the
    factors are smaller, even if much is lost: to keep a kernel in full, exclude it by a rule.

    Attributes:
      rank: the rank of every kernel. None: it is chosen.
      energy: the share of Σ σᵢ² to keep; the rank follows from it, up to the highest rank (see above). None:
        the rank follows from λ.
      start: the fraction of training at which the rank is chosen; until then, factors of the highest rank
        (see above) are trained. Post training it is chosen at once.
      value_bits: the assumed cost of a stored number: 32 as a float, about 6 where a chain quantises it.
    """

    trains = True

    rank: int | None = None
    energy: float | None = None
    start: float = 0.5
    value_bits: float = 32.0

    def __post_init__(self):
        super().__post_init__()
        if self.rank is not None:
            check_integer("rank", self.rank, 1, also=", or None to choose")
        if self.energy is not None:
            check_number("energy", self.energy, 0, 1, above=True, also=", or None to go by λ")
        if self.rank is not None and self.energy is not None:
            raise ValueError("rank and energy both choose the rank; give one of them.")
        check_number("start", self.start, 0, 1)
        check_number("value_bits", self.value_bits, 0, 64, above=True)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns the two factors and their rank, or `weight` where it is stored in full.

        `left`, [most, m], and `right`, [most, n], have the weight's dtype; `rank`, int32, tells how many of
        their rows count.
        """
        if not self._most(spec):
            return {"weight": weight}
        return self._factors(weight, spec, lmbda)

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        if "rank" not in variables:
            return {}
        if progress < self.start:
            return {"rank": tf.constant(0)}  # all rows count
        if int(variables["rank"]) > 0:
            return {}  # chosen before
        return self._factors(self.project(variables, spec), spec, lmbda)

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        if "weight" in variables:
            return variables["weight"]
        left, right = variables["left"], variables["right"]
        if "rank" in variables:
            # Cut, not masked: a product with fewer terms may round differently from one with zeros.
            rank = tf.where(variables["rank"] > 0, variables["rank"], self._most(spec))
            left, right = left[:rank], right[:rank]
        if tf.as_dtype(spec.dtype).size < 4:
            left, right = tf.cast(left, tf.float32), tf.cast(right, tf.float32)
        return tf.cast(tf.reshape(tf.matmul(left, right, transpose_a=True), spec.shape), spec.dtype)

    def shapes(self, spec: WeightSpec) -> dict[str, tuple[int, ...]]:
        most, (rows, columns) = self._most(spec), self._matrix(spec)
        return {"left": (most, rows), "right": (most, columns)} if most else {"weight": spec.shape}

    def settle(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        if "weight" in variables:
            return variables
        rank = int(variables["rank"]) or self._most(spec)
        return {"left": variables["left"][:rank], "right": variables["right"][:rank]}

    def resume(self, settled: Tensors, spec: WeightSpec) -> Tensors:
        if "weight" in settled:
            return settled
        rank = settled["left"].shape[0] or 0
        missing = [[0, self._most(spec) - rank], [0, 0]]
        factors = {name: tf.pad(settled[name], missing) for name in ("left", "right")}
        return {**factors, "rank": tf.constant(rank)}

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `left`, [rank, m], and `right`, [rank, n], or `weight`; floats of the weight's dtype."""
        return self.settle(variables, spec)

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        if "weight" not in encoded:
            self._check(encoded, spec)
        return self.project(encoded, spec)

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        return self.resume(encoded, spec)

    def in_full(self, spec: WeightSpec) -> str | None:
        return None if self._most(spec) else "two factors of the rank would not be smaller than the matrix"

    def _matrix(self, spec: WeightSpec) -> tuple[int, int]:
        axes = spec.spatial if spec.role == "depthwise_kernel" else len(spec.shape) - 1
        return math.prod(spec.shape[:axes]), math.prod(spec.shape[axes:])

    def _most(self, spec: WeightSpec) -> int:
        """Returns the highest rank at which two factors are smaller than the matrix, or `rank`; else 0."""
        if len(spec.shape) < 2:
            return 0
        rows, columns = self._matrix(spec)
        most = (rows * columns - 1) // (rows + columns) if rows * columns else 0
        if self.rank is None:
            return most
        return self.rank if self.rank <= most else 0

    def _factors(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float) -> Tensors:
        rows, columns = self._matrix(spec)
        matrix = np.reshape(tf.cast(weight, tf.float64).numpy(), (rows, columns))
        check_finite(matrix, spec.path)
        most = self._most(spec)
        u, values, v = np.linalg.svd(
            matrix.astype(np.float64 if spec.dtype == "float64" else np.float32), False
        )
        root = np.sqrt(values[:most, None])  # split evenly, so that both factors train alike
        return {
            "left": tf.constant(root * u.T[:most], spec.dtype),
            "right": tf.constant(root * v[:most], spec.dtype),
            "rank": tf.constant(self._choose(values, most, (rows + columns) / (rows * columns), lmbda)),
        }

    def _choose(self, values: np.ndarray, most: int, cost: float, lmbda: float) -> int:
        """Returns the rank, from 1 to `most`; `cost` is that of one rank, in numbers per weight."""
        energies = np.cumsum(np.square(values, dtype=np.float64))
        if self.rank is not None or energies[-1] == 0:
            return most if self.rank is not None else 1
        kept = energies[:most] / energies[-1]
        if self.energy is not None:
            return min(most, int(np.searchsorted(kept, self.energy - 1e-9)) + 1)
        ranks = np.arange(1, most + 1)
        objective = self.sensitivity * (1 - kept) + lmbda * self.value_bits * cost * ranks
        return int(ranks[np.argmin(objective)])

    def _check(self, encoded: Tensors, spec: WeightSpec) -> None:
        left, right = encoded["left"].shape, encoded["right"].shape
        rows, columns = self._matrix(spec)
        rank = left[0] if left.rank == 2 else None
        if not rank or rank > self._most(spec) or left != (rank, rows) or right != (rank, columns):
            raise ValueError(
                f"factors of [r, {rows}] and [r, {columns}] with r in [1, {self._most(spec)}] expected, got "
                f"{left} and {right}."
            )
