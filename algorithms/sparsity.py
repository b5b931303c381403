"""Says which weights pruning drops together: single ones, blocks, or all but N of each M."""

from __future__ import annotations

import dataclasses
import re

import tensorflow as tf

from ..framework.algorithm import WeightSpec

_MOST = 8  # the largest M: a pattern is coded as an integer of M bits


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Groups the entries of a kernel's matrix, whose columns are the kernel's last axis.

    Attributes:
      text: the pattern as the user wrote it.
      rows: rows of a group.
      columns: columns of a group.
      keep: how many entries of a group stay, for N:M; None where groups stay or go as a whole.
    """

    text: str
    rows: int = 1
    columns: int = 1
    keep: int | None = None

    @staticmethod
    def parse(text: str) -> Pattern:
        """Parses `unstructured`, a block such as `4x1`, or N:M such as `2:4`.

        Raises:
          ValueError: for any other text, and for numbers out of range.
        """
        if not isinstance(text, str):
            text = repr(text)
        if text == "unstructured":
            return Pattern(text)
        if matched := re.fullmatch(r"(\d+)x(\d+)", text):
            rows, columns = int(matched[1]), int(matched[2])
            if 1 <= rows <= 1024 and 1 <= columns <= 1024:
                return Pattern(text, rows, columns)
            raise ValueError(f"pattern {text!r}: a block has 1 to 1024 rows and columns.")
        if matched := re.fullmatch(r"(\d+):(\d+)", text):
            keep, group = int(matched[1]), int(matched[2])
            if 1 <= keep < group <= _MOST:
                return Pattern(text, rows=group, keep=keep)
            raise ValueError(f"pattern {text!r}: N:M needs 1 ≤ N < M ≤ {_MOST}, such as '2:4'.")
        raise ValueError(
            f"pattern must be 'unstructured', a block such as '4x1', or N:M such as '2:4', got {text!r}."
        )

    @property
    def size(self) -> int:
        """Number of entries in a group."""
        return self.rows * self.columns

    def check(self, spec: WeightSpec) -> None:
        """Raises ValueError if the groups do not divide the kernel; the message says how to leave it out."""
        rows, columns = _matrix(spec)
        if rows % self.rows or columns % self.columns:
            raise ValueError(
                f"pattern {self.text!r} does not divide {spec.path}, a matrix of {rows}×{columns}: choose "
                f"another, or keep that weight out by a rule, ({spec.path!r}, None)."
            )

    def split(self, weight: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
        """Returns the entries by group, [groups, size]."""
        rows, columns = _matrix(spec)
        blocks = [rows // self.rows, self.rows, columns // self.columns, self.columns]
        return tf.reshape(tf.transpose(tf.reshape(weight, blocks), [0, 2, 1, 3]), [-1, self.size])

    def join(self, groups: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
        """Returns the weight, of the spec's shape, from the groups that `split` made."""
        rows, columns = _matrix(spec)
        blocks = [rows // self.rows, columns // self.columns, self.rows, self.columns]
        return tf.reshape(tf.transpose(tf.reshape(groups, blocks), [0, 2, 1, 3]), spec.shape)

    def groups(self, spec: WeightSpec) -> tuple[int]:
        """Returns the number of groups, as a shape."""
        return (spec.size // self.size,)

    def kept(self, mask: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
        """Returns a mask as int32 [groups]: 1 for a group that stays; for N:M, a bit for each kept entry."""
        groups = tf.cast(self.split(mask, spec), tf.int32)
        return (
            tf.reduce_max(groups, axis=1) if self.keep is None else tf.reduce_sum(groups * self._bits, axis=1)
        )

    def mask(self, kept: tf.Tensor, spec: WeightSpec) -> tf.Tensor:
        """Returns the mask, bool of the spec's shape, from the integers that `kept` made."""
        if self.keep is None:
            groups = tf.repeat(kept[:, tf.newaxis] != 0, self.size, axis=1)
        else:
            groups = tf.bitwise.bitwise_and(kept[:, tf.newaxis], self._bits) != 0
        return self.join(groups, spec)

    @property
    def _bits(self) -> tf.Tensor:
        return tf.constant([2**i for i in range(self.size)], tf.int32)


def _matrix(spec: WeightSpec) -> tuple[int, int]:
    columns = spec.shape[-1]
    return (spec.size // columns if columns else 0), columns
