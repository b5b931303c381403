"""Reports how many bytes of an `.lpz` file each weight takes."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from ..atomic import PathLike
from ..container import file
from ..forms.rate import rate_of
from ..surgery.computed_weights import Projected, computed_weights_of
from .lpz import entries_of, kept_weights, metadata_of


@dataclasses.dataclass(frozen=True)
class Row:
    """One weight in a container.

    Attributes:
      path: of the weight.
      shape: of the plain weight.
      dtype: of the plain weight.
      algorithm: its registered name; None for a weight kept in full.
      bytes: of its encoded tensors, without its part of the header.
      bits_per_weight: 8·bytes over the number of elements.
      share: of the whole file's bytes, in [0, 1].
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    algorithm: str | None
    bytes: int
    bits_per_weight: float
    share: float


@dataclasses.dataclass(frozen=True)
class SizeReport:
    """Reports the size of a container by weight; `rows` and `overhead_bytes` add up to `size_bytes`.

    Attributes:
      size_bytes: length of the whole file.
      float_bytes: of all weights as float32 (those that are not floating-point in their own dtype).
      num_params: elements of all weights; layers' other state, such as a vocabulary, counts by its bytes.
      overhead_bytes: of the container's header, which belong to no single weight.
      estimated_bytes: the size that the algorithms' penalties estimate, including weights kept in full; None
        for a file, and where an algorithm's penalty is not in bits.
      rows: one for each weight.
    """

    size_bytes: int
    float_bytes: int
    num_params: int
    overhead_bytes: int
    estimated_bytes: float | None
    rows: tuple[Row, ...]

    @property
    def ratio(self) -> float:
        """`float_bytes` over `size_bytes`."""
        return self.float_bytes / self.size_bytes


def size_report(source: tf.keras.Model | PathLike) -> SizeReport:
    """Reports the size, by weight, of an `.lpz` file, or of the file that `save` would write of a model.

    >>> report = size_report(to_compressed(model, algorithm))
    >>> report.float_bytes, report.size_bytes, [(row.path, row.bytes) for row in report.rows]
    (60, 82, [('head/kernel', 17), ('head/bias', 3)])

    Raises:
      FormError: for a plain model.
      ContainerError, FileNotFoundError: for a path, as `load`.
    """
    if not isinstance(source, tf.keras.Model):
        return _report(file.read(source), None)
    packed = file.pack(entries_of(source), metadata_of(source))
    return _report(file.unpack(packed), estimated_bytes(source))


def estimated_bytes(model: tf.keras.Model) -> float | None:
    """Estimates a compressible model's size in bytes by its rate.

    Returns:
      The estimate; None if the model is not compressible, or an algorithm's penalty is not in bits.
    """
    computed_weights = computed_weights_of(model)
    in_bits = [isinstance(w, Projected) and w.algorithm.penalty_in_bits for w in computed_weights]
    if not computed_weights or not all(in_bits):
        return None
    return rate_of(model) / 8 + sum(w.variable.dtype.size * w.spec.size for w in kept_weights(model))


def _report(contents: file.Contents, estimated: float | None) -> SizeReport:
    sizes = contents.entry_bytes()
    elements = {entry.path: math.prod(entry.shape) for entry in contents.entries}
    rows = tuple(
        Row(
            path=entry.path,
            shape=tuple(entry.shape),
            dtype=entry.dtype,
            algorithm=entry.algorithm,
            bytes=sizes[entry.path],
            bits_per_weight=8 * sizes[entry.path] / max(1, elements[entry.path]),
            share=sizes[entry.path] / contents.size_bytes,
        )
        for entry in contents.entries
    )
    widths = {row.path: 4 if "float" in row.dtype else tf.as_dtype(row.dtype).size for row in rows}
    return SizeReport(
        size_bytes=contents.size_bytes,
        float_bytes=sum(elements[path] * width for path, width in widths.items()),
        num_params=sum(elements.values()),
        overhead_bytes=contents.overhead_bytes,
        estimated_bytes=estimated,
        rows=rows,
    )
