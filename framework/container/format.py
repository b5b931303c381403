"""Defines what writing and reading an `.lpz` file share: constants, entries, and rules for both ways.

`docs/container.md` describes the layout byte by byte.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from .header import ContainerError, checked_shape, plain_map, text_keys

Tensor = bytes | np.ndarray | Sequence[bytes]

# Bounds on what a reader allocates, independent of what a header claims; more of them are in header.py.
MAX_ENTRIES = 2**14
MAX_TENSORS = 2**16
MAX_HEADER = 2**20  # bytes, inflated
MAX_INFLATION = 32  # inflated header bytes per deflated one, beyond the first kilobyte

MAGIC = b"\xce\xbbpz"  # "λpz" in UTF-8
VERSION = 1
SUFFIX = ".lpz"
DEFAULT_NAME = f"model{SUFFIX}"
"""Name of the file where a folder is given."""

# A dtype's position is its code in the file: append only.
DTYPES = {
    name: np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    for name in (
        "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bfloat16".split()
    )
}
NAMES = tuple(DTYPES)
CODES = {name: code for code, name in enumerate(NAMES)}
BYTES, STRINGS = 30, 31  # codes of a byte string and of a list of them

CRC = slice(6, 10)  # the checksum, after magic, version and flags
PRELUDE = 10
DEFLATED = 1  # the only flag

# Deflate's preset dictionary, part of version 1: changing a byte makes earlier files unreadable.
DICTIONARY = (
    b"embeddings_multi_head_attention_output_query_key_value_lstm_gru_cell_bidirectional_forward_backward_"
    b"moving_mean_moving_variance_depthwise_kernel_pointwise_kernel_separable_conv2d_recurrent_kernel_"
    b"conv1d_conv3d_transpose_batch_normalization/gamma_beta_logits_backbone/conv2d_2/kernel"
    b"_conv2d_1/bias_dense_2/bias_dense_1/kernel_dense/kernel_conv2d/bias/kernel"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One stored weight.

    Attributes:
      path: of the weight, unique in a file, such as `conv_1/kernel`.
      shape: of the plain weight.
      dtype: of the plain weight: a numpy name or `bfloat16`.
      algorithm: its registered name. None: the weight is kept in full, as the one tensor `value`
        of the entry's shape and dtype.
      config: the algorithm's hyper-parameters that differ from their defaults: str, int, float, bool, None,
        lists and string-keyed mappings of these.
      tensors: the encoded tensors by name: bytes for a scalar byte string, a list or tuple of bytes
        (read back as a tuple) for a vector of byte strings, an array of any shape for numbers and booleans.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    algorithm: str | None
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """Holds the contents of a container.

    Attributes:
      entries: in the order in which they were packed. Entries with equal configs share one mapping.
      metadata: as it was packed.
      size_bytes: length of the whole file.
      overhead_bytes: bytes that belong to no single entry: the header and everything before it.
    """

    entries: tuple[Entry, ...]
    metadata: Mapping[str, Any]
    size_bytes: int
    overhead_bytes: int

    def entry_bytes(self) -> dict[str, int]:
        """Returns the payload bytes of each entry by path; with `overhead_bytes` they sum to `size_bytes`."""
        return {entry.path: sum(map(size_of, entry.tensors.values())) for entry in self.entries}


def chunks_of(tensor: Tensor) -> list[bytes]:
    """Returns a tensor's bytes as the file holds them, one piece for each byte string."""
    if isinstance(tensor, bytes):
        return [tensor]
    if isinstance(tensor, (list, tuple)):
        return list(tensor)
    array = np.asarray(tensor)
    width = array.dtype.itemsize
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    # As integers, so that no NaN is changed, and bfloat16, which numpy does not know, works as well.
    return [native.view(f"=u{width}").astype(f"<u{width}").tobytes()]


def size_of(tensor: Tensor) -> int:
    """Returns how many bytes a tensor takes in the file."""
    return tensor.nbytes if isinstance(tensor, np.ndarray) else sum(map(len, chunks_of(tensor)))


@dataclasses.dataclass(frozen=True)
class Layout:
    """Holds what entries have in common: a row of the layout table, checked.

    Attributes:
      dtype: of the weight.
      algorithm: its registered name; None for a weight kept in full.
      config: the algorithm's hyper-parameters.
      kinds: the code of each tensor's dtype, by the tensor's name.
    """

    dtype: str
    algorithm: str | None
    config: dict[str, Any]
    kinds: dict[str, int]


def layout_of(entry: Entry) -> list[Any]:
    """Returns `entry`'s row of the layout table; raises ContainerError if the entry cannot be stored."""
    shape = checked_shape(list(entry.shape), "shape")
    if entry.dtype not in CODES:
        raise ContainerError(f"dtype {entry.dtype!r} cannot be stored (available: {', '.join(NAMES)})")
    kinds = {name: _kind(name, entry.tensors[name]) for name in text_keys(entry.tensors, "tensors")}
    code = CODES[entry.dtype]
    if entry.algorithm is not None:
        row = [code, entry.algorithm, plain_map(entry.config, "config"), kinds]
        checked_layout(row)
        return row
    if entry.config or list(kinds) != ["value"]:
        raise ContainerError(
            "without an algorithm the weight is kept in full: give an empty config and the one tensor "
            f"'value', not config {dict(entry.config)} and tensors {list(kinds)}"
        )
    value = entry.tensors["value"]
    if kinds["value"] != code or np.shape(value) != shape:
        description = f"{np.asarray(value).dtype} {np.shape(value)}"
        raise ContainerError(f"'value' is {description} where the weight is {entry.dtype} {shape}")
    return [code]


def checked_layout(row: Any) -> Layout:
    """Returns a row of the layout table as a `Layout`; raises ContainerError if it is invalid."""
    if type(row) is not list or len(row) not in (1, 4):
        raise ContainerError("a layout is not a list of 1 or 4")
    if type(row[0]) is not int or not 0 <= row[0] < len(NAMES):
        raise ContainerError(f"a layout has the unknown weight dtype {reprlib.repr(row[0])}")
    if len(row) == 1:
        return Layout(NAMES[row[0]], None, {}, {})
    _, algorithm, config, kinds = row
    if type(algorithm) is not str or not algorithm:
        raise ContainerError(f"the algorithm is not a name but {reprlib.repr(algorithm)}")
    for name, kind in plain_map(kinds, "tensor kinds").items():
        if type(kind) is not int or not (0 <= kind < len(NAMES) or kind in (BYTES, STRINGS)):
            raise ContainerError(f"tensor {name!r} has the unknown dtype {reprlib.repr(kind)}")
    if list(kinds) != sorted(kinds):
        raise ContainerError("tensors are out of order")
    return Layout(NAMES[row[0]], algorithm, plain_map(config, "config"), kinds)


def _kind(name: str, tensor: Any) -> int:
    if isinstance(tensor, bytes):
        return BYTES
    if isinstance(tensor, (list, tuple)) and all(isinstance(string, bytes) for string in tensor):
        return STRINGS
    if isinstance(tensor, (np.ndarray, np.generic)) and tensor.dtype.name in CODES:
        checked_shape(list(tensor.shape), f"shape of {name!r}")
        return CODES[tensor.dtype.name]
    kind = f"an array of {tensor.dtype}" if isinstance(tensor, np.ndarray) else type(tensor).__name__
    raise ContainerError(
        f"tensor {name!r} is {kind}; give bytes, a list of bytes, or an array of {', '.join(NAMES)}"
    )


def check_counts(entries: int, tensors: int) -> None:
    """Raises ContainerError for more entries or tensors than a container may hold."""
    if entries > MAX_ENTRIES or tensors > MAX_TENSORS:
        raise ContainerError(f"more than {MAX_ENTRIES:,} entries or {MAX_TENSORS:,} tensors")


def inflation_bound(deflated: int) -> int:
    """Returns the most bytes to which a header of `deflated` bytes may inflate."""
    return min(MAX_HEADER, 1024 + MAX_INFLATION * deflated)
