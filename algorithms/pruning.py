"""Prunes weights by their magnitude, on a schedule.

M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression", ICLR
2018 workshop (arXiv 1710.01878): gradual pruning, sparsity rising as s_f·(1−(1−t)³), masked weights without
gradient. N:M patterns: A. Zhou et al., "Learning N:M Fine-grained Structured Sparse Neural Networks From
Scratch", ICLR 2021.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from ..framework.algorithm import Tensors, WeightSpec, algorithms
from ..framework.entropy import decode_integers, encode_integers, unpack_integers
from .arguments import check_finite, check_number
from .distortion import Sensitive
from .links import Structured
from .planes import DECODE_OPS, decode_floats, encode_floats
from .sparsity import Pattern

_NEARLY = 0.9
"""With less than this share of the final pruning done, training had too few updates for its schedule."""


@algorithms.register("pruning")
@dataclasses.dataclass(frozen=True)
class Pruning(Structured, Sensitive):
    """Magnitude pruning on a polynomial schedule, unstructured, in blocks or N:M; survivors entropy coded.

    λ decides the sparsity, unless `sparsity` is given. A group of weights is kept while `sensitivity` times
    its share of ‖w‖² is more than λ times its bits per weight of the tensor. So unstructured pruning drops
    magnitudes below √(λ·value_bits/sensitivity) times the root mean square.

    The mask is entropy coded, and so are the exponents of the survivors. Survivors stay floats; `chain`
    quantises them. Biases and other vectors keep all of their weights.

    Attributes:
      pattern: `unstructured`; blocks of rows × columns of the kernel's matrix, whose columns are the last
        axis, such as `4x1`; or N:M, the N largest of each M along the rows (the inputs), such as `2:4`.
      sparsity: the fraction of a kernel's groups that is dropped in the end. None: it follows from λ, or from
        the pattern N:M.
      begin: the fraction of training at which pruning begins.
      end: the fraction of training at which the final sparsity is reached; from then on the survivors are
        fine-tuned. 1 for both prunes after training.
      value_bits: the assumed cost of a survivor: 27 as a coded float, about 6 where a chain quantises it.
    """

    trains = True

    pattern: str = "unstructured"
    sparsity: float | None = None
    begin: float = 0.25
    end: float = 0.75
    value_bits: float = 27.0

    def __post_init__(self):
        super().__post_init__()
        Pattern.parse(self.pattern)
        if self.sparsity is not None:
            check_number("sparsity", self.sparsity, 0, 1, below=True, also=", or None to go by λ")
        if self.sparsity is not None and ":" in self.pattern:
            raise ValueError(f"pattern {self.pattern!r} has its own sparsity; leave sparsity at None.")
        check_number("begin", self.begin, 0, 1)
        check_number("end", self.end, 0, 1)
        if self.begin > self.end:
            raise ValueError(f"begin must be at most end, got {self.begin!r} and {self.end!r}.")
        check_number("value_bits", self.value_bits, 0, 64, above=True)

    @property
    def decode_ops(self) -> tuple[str, ...]:
        return (*super().decode_ops, *DECODE_OPS)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns `weight`; for kernels also `mask`, bool of the weight's shape.

        Raises:
          ValueError: for a kernel that the pattern's blocks or groups do not divide.
        """
        if len(spec.shape) < 2:
            return {"weight": weight}
        self._pattern.check(spec)
        return {"weight": weight, "mask": self._mask(weight, spec, lmbda, 1.0)}

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        if "mask" not in variables:
            return {}
        done = (progress - self.begin) / (self.end - self.begin) if self.end > self.begin else 1.0
        if progress < self.begin:
            done = 0.0
        mask = self._mask(variables["weight"], spec, lmbda, 1 - (1 - min(done, 1.0)) ** 3)
        if progress == 1 and _dropped(variables["mask"]) >= _NEARLY * _dropped(mask):
            return {}  # no step is left to make up for weights that are dropped now
        return {"mask": mask}

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        weight = variables["weight"]
        return tf.where(variables["mask"], weight, tf.zeros_like(weight)) if "mask" in variables else weight

    def shapes(self, spec: WeightSpec) -> dict[str, tuple[int, ...]]:
        return {"weight": spec.shape}

    def settle(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        return {"weight": self.project(variables, spec)}

    def resume(self, settled: Tensors, spec: WeightSpec) -> Tensors:
        weight = settled["weight"]
        if len(spec.shape) < 2:
            return {"weight": weight}
        bits = tf.bitcast(weight, {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}[weight.dtype.size])
        return {"weight": weight, "mask": bits != 0}  # a −0 is a survivor

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `planes` of the survivors, and for kernels the mask's code.

        See `encode_floats` and `encode_integers`.
        """
        weight, mask = variables["weight"].numpy(), variables.get("mask")
        if mask is None:
            return {"planes": tf.constant(encode_floats(weight, "zlib"))}
        kept = self._pattern.kept(mask, spec)
        planes = encode_floats(weight[self._pattern.mask(kept, spec).numpy()], "zlib")
        return {**encode_integers(kept), "planes": tf.constant(planes)}

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        """Returns `survivors`, floats in order; for kernels also `integers` that tell the kept groups."""
        if "survivors" in encoded:
            return encoded
        rest = {name: value for name, value in encoded.items() if name != "planes"}
        mask = self._stored_mask(encoded, spec)
        unpacked = {} if mask is None else unpack_integers(rest, self._pattern.groups(spec))
        return {**unpacked, "survivors": self._survivors(encoded, spec, mask)}

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        return self.project(self.restore(encoded, spec), spec)

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        mask = self._stored_mask(encoded, spec)
        survivors = self._survivors(encoded, spec, mask)
        if mask is None:
            return {"weight": tf.reshape(survivors, spec.shape)}
        flat = tf.cast(tf.reshape(mask, [-1]), tf.int32)
        # Gathered, with a 0 after the last for dropped weights: adding to 0 would lose the sign of a −0.
        places = tf.where(flat > 0, tf.cumsum(flat) - 1, tf.shape(survivors)[0])
        weight = tf.gather(tf.concat([survivors, tf.zeros([1], survivors.dtype)], 0), places)
        return {"weight": tf.reshape(weight, spec.shape), "mask": mask}

    def _stored_mask(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor | None:
        if "code" not in encoded and "integers" not in encoded:
            return None
        return self._pattern.mask(decode_integers(encoded, self._pattern.groups(spec)), spec)

    def _survivors(self, encoded: Tensors, spec: WeightSpec, mask: tf.Tensor | None) -> tf.Tensor:
        count = tf.constant(spec.size) if mask is None else tf.reduce_sum(tf.cast(mask, tf.int32))
        if "survivors" in encoded:
            survivors = encoded["survivors"]
            if survivors.dtype != spec.dtype or (tf.executing_eagerly() and survivors.shape != (int(count),)):
                held = f"{survivors.dtype.name} of shape {survivors.shape}"
                raise ValueError(f"{spec.path}: as many {spec.dtype} as the mask keeps expected, got {held}.")
            return survivors
        return decode_floats(encoded["planes"], "zlib", count, tf.as_dtype(spec.dtype))

    @property
    def _pattern(self) -> Pattern:
        return Pattern.parse(self.pattern)

    def _mask(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float, share: float) -> tf.Tensor:
        """Returns the mask at a point where `share` of the final pruning is done."""
        pattern = self._pattern
        check_finite(weight.numpy(), spec.path)
        energy = np.square(pattern.split(tf.cast(weight, tf.float32), spec).numpy(), dtype=np.float64)
        if pattern.keep is None:
            energy = energy.sum(axis=1, keepdims=True)
            least = lmbda * self.value_bits / self.sensitivity * energy.sum() / max(1, len(energy))
            final = np.sum(energy < least) if self.sparsity is None else self.sparsity * len(energy)
            # One group stays: a kernel of zeros would stop the layers before it from training.
            count = min(round(share * float(final)), max(0, len(energy) - 1))
            drop = np.argsort(energy[:, 0], kind="stable")[:count]
            keep = np.ones(energy.shape, bool)
            keep[drop] = False
        else:
            drop = round(share * (pattern.size - pattern.keep))
            order = np.argsort(energy, axis=1, kind="stable")[:, :drop]
            keep = np.ones(energy.shape, bool)
            np.put_along_axis(keep, order, False, axis=1)
        return pattern.join(tf.constant(np.broadcast_to(keep, (len(keep), pattern.size))), spec)


def _dropped(mask: tf.Tensor) -> int:
    return int(tf.size(mask)) - int(tf.reduce_sum(tf.cast(mask, tf.int32)))
