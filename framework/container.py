"""The `.lpz` file: a model's stored weights as one byte string, and back, safe from strangers.

    magic, version, flags, CRC-32, header length | header (msgpack, maybe deflated) | tensors, back to back

`docs/container.md` has the layout byte by byte. The length of the file is the size that a sweep
reports, so the header is terse: positions instead of keys, one table of what entries have in common,
and no length that follows from a shape.

Reading believes nothing: the checksum is compared before anything is interpreted, each header
object is measured before it is built, each size is compared with the bytes that are there. A damaged
file and one made by a hostile writer end alike, in a `ContainerError`.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import os
import reprlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import ml_dtypes
import numpy as np

from .atomic import write_atomically
from .untrusted import (
    ContainerError,
    Fields,
    check_path,
    checked_shape,
    checked_size,
    packed,
    plain_map,
    text_keys,
)

Tensor = Union[bytes, np.ndarray, Sequence[bytes]]

# Bounds on what a reader allocates, whatever a header claims; more of them in untrusted.py.
MAX_ENTRIES = 2**14
MAX_TENSORS = 2**16
MAX_HEADER = 2**20  # bytes, inflated
MAX_INFLATION = 32  # inflated header bytes per deflated one, beyond the first kilobyte

MAGIC = b"\xce\xbbpz"  # "λpz" in UTF-8
VERSION = 1
SUFFIX = ".lpz"
ARTEFACT = "model.lpz"
"""The container in a trial's folder, by which that is known."""

# A dtype's position is its code in the file: append only.
_DTYPES = {
    name: np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    for name in (
        "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bfloat16".split()
    )
}
_NAMES = tuple(_DTYPES)
_CODES = {name: code for code, name in enumerate(_NAMES)}
_BYTES, _STRINGS = 30, 31  # codes of a byte string and of a list of them

_CRC = slice(6, 10)  # where the checksum lies, behind magic, version and flags
_PRELUDE = 10
_DEFLATED = 1  # the only flag

# Deflate's preset dictionary, part of version 1: changing a byte makes earlier files unreadable.
_DICTIONARY = (
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
      config: the algorithm's hyper-parameters that are not defaults: str, int, float, bool, None,
        lists and string-keyed mappings of these.
      tensors: the encoded tensors by name: bytes for a scalar byte string, a list or tuple of bytes
        (read back as a tuple) for a vector of them, an array of any shape for numbers and booleans.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    algorithm: Optional[str]
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """What a container holds.

    Attributes:
      entries: in the order in which they were packed. Those with equal configs share one mapping.
      metadata: as it was packed.
      size_bytes: length of the whole file.
      overhead_bytes: what belongs to no single entry: the header and what precedes it.
    """

    entries: tuple[Entry, ...]
    metadata: Mapping[str, Any]
    size_bytes: int
    overhead_bytes: int

    def entry_bytes(self) -> dict[str, int]:
        """Payload bytes of each entry by path; with `overhead_bytes` they add up to `size_bytes`."""
        return {entry.path: sum(map(_size, entry.tensors.values())) for entry in self.entries}


def tensor_ranges(contents: Contents) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    """Where in the container each tensor's bytes are: by path and name, (offset, length) pairs.

    One pair; for a list of byte strings, one a string.
    """
    ranges, offset = {}, contents.overhead_bytes
    for entry in contents.entries:
        for name, value in entry.tensors.items():
            parts = []
            for part in value if isinstance(value, (list, tuple)) else [value]:
                parts.append((offset, _size(part)))
                offset += parts[-1][1]
            ranges[entry.path, name] = tuple(parts)
    return ranges


def pack(entries: Iterable[Entry], metadata: Optional[Mapping[str, Any]] = None) -> bytes:
    """The container that holds `entries`; equal entries in equal order give equal bytes.

    Args:
      entries: at most 16,384, each path once.
      metadata: facts about the whole, of the types that `Entry.config` takes; at most 64 KiB packed.

    Raises:
      ContainerError: names the entry and what in it cannot be stored.
    """
    layouts: dict[bytes, int] = {}
    paths: set[str] = set()
    table, rows, payload, tensors = [], [], [], 0
    for entry in entries:
        try:
            check_path(entry.path, paths)
            layout = _layout_of(entry)
            index = layouts.setdefault(packed(layout), len(layouts))
            if index == len(table):
                table.append(layout)
            fields: list[Any] = [entry.path, index, list(entry.shape)]
            for name in sorted(entry.tensors) if entry.algorithm is not None else ():
                fields.append(_extent(entry.tensors[name], entry.shape))
            rows += [packed(field) for field in fields]
            for name in sorted(entry.tensors):
                payload += _chunks(entry.tensors[name])
            tensors += len(entry.tensors)
        except ContainerError as error:
            raise ContainerError(f"entry {entry.path!r}: {error}") from None
    _check_counts(len(paths), tensors)
    head = packed(plain_map({} if metadata is None else metadata, "metadata"), "metadata")
    header = b"".join([head, packed(table, "layout table"), *rows])
    if len(header) > MAX_HEADER:
        raise ContainerError(f"the header takes {len(header):,} bytes, more than {MAX_HEADER:,}")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    deflated = deflate.compress(header) + deflate.flush()
    flags = 0
    if len(deflated) < len(header) <= _inflation_bound(len(deflated)):
        header, flags = deflated, _DEFLATED
    lead = MAGIC + bytes([VERSION, flags])
    body = b"".join([packed(len(header)), header, *payload])
    return lead + zlib.crc32(body, zlib.crc32(lead)).to_bytes(4, "little") + body


def unpack(data: bytes, name: str = "the container") -> Contents:
    """What the container `data` holds.

    Allocates the tensors, the header (at most 1 MiB) and the objects made from it.

    Args:
      data: a whole container.
      name: what messages call it, such as the file's path.

    Raises:
      ContainerError: when `data` is anything but a sound container.
    """
    try:
        return _unpack(memoryview(data))
    except ContainerError as error:
        raise ContainerError(f"{name}: {error}") from None


def write(
    path: Union[str, os.PathLike[str]], entries: Iterable[Entry], metadata: Optional[Mapping[str, Any]] = None
) -> int:
    """Writes a container and returns its length in bytes.

    Atomic; see `write_atomically`.

    Raises:
      ContainerError: see `pack`; also when `path` is a folder.
      OSError: when the file system refuses.
    """
    data = pack(entries, metadata)
    path = os.fspath(path)
    if os.path.isdir(path):
        raise ContainerError(f"{path} is a folder; name a file in it, such as model{SUFFIX}")
    return write_atomically(path, data)


def read(path: Union[str, os.PathLike[str]]) -> Contents:
    """What the container at `path` holds.

    Raises:
      FileNotFoundError: when there is no such file.
      ContainerError: when it is a folder or not a sound container.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise ContainerError(f"{path} is a folder, not an {SUFFIX} file")
    with open(path, "rb") as file:
        data = file.read(_PRELUDE)
        if data.startswith(MAGIC):  # no need to load gigabytes of something else
            file.seek(0)
            data = file.read()
    return unpack(data, name=path)


# From bytes.


def _unpack(data: memoryview) -> Contents:
    header, payload_at = _open(data)
    fields = Fields(header)
    metadata = plain_map(fields.take("metadata"), "metadata")
    table = fields.take("layout table")
    if type(table) is not list:
        raise ContainerError("the layout table is not a list")
    layouts = [_checked_layout(layout) for layout in table]
    payload = _Payload(data[payload_at:])
    entries: list[Entry] = []
    paths: set[str] = set()
    tensors = 0
    while fields.more():
        path = fields.take("path")
        check_path(path, paths)
        try:
            entries.append(_read_entry(path, fields, layouts, payload))
        except ContainerError as error:
            raise ContainerError(f"entry {path!r}: {error}") from None
        tensors += len(entries[-1].tensors)
        _check_counts(len(entries), tensors)
    if payload.left:
        raise ContainerError(f"{payload.left:,} bytes too many after the last tensor")
    return Contents(tuple(entries), metadata, len(data), payload_at)


def _open(data: memoryview) -> tuple[bytes, int]:
    """The plain header, and where the payload starts, of a file whose checksum matches."""
    if data[:4] != MAGIC:
        starts = f"starts with {bytes(data[:8])!r}" if data else "is empty"
        raise ContainerError(f"not an {SUFFIX} file ({starts})")
    if len(data) <= _PRELUDE:
        raise ContainerError(f"cut short after {len(data)} bytes; copy or download it again")
    if data[4] != VERSION:
        advice = "install a newer release" if data[4] > VERSION else "the file is damaged"
        raise ContainerError(
            f"written in format version {data[4]}; "
            f"this is {_ourselves()}, which reads version {VERSION}: {advice}"
        )
    if zlib.crc32(data[_PRELUDE:], zlib.crc32(data[: _CRC.start])) != int.from_bytes(data[_CRC], "little"):
        raise ContainerError(
            "checksum does not match: the file is damaged or cut short; copy or download it again"
        )
    flags = data[5]
    if flags & ~_DEFLATED:
        raise ContainerError(
            f"unknown flags {flags:#04x}; this is {_ourselves()}, which knows {_DEFLATED:#04x}"
        )
    lead = Fields(bytes(data[_PRELUDE : _PRELUDE + 9]))
    length = checked_size(lead.take("header length"), "header length")
    start = _PRELUDE + lead.position
    if length > len(data) - start:
        raise ContainerError(f"the header claims {length:,} bytes where {len(data) - start:,} are left")
    header = bytes(data[start : start + min(length, MAX_HEADER + 1)])
    bound = _inflation_bound(length) if flags & _DEFLATED else MAX_HEADER
    if flags & _DEFLATED:
        inflate = zlib.decompressobj(-15, _DICTIONARY)
        try:
            header = inflate.decompress(header, bound + 1)
        except zlib.error as error:
            raise ContainerError(f"the header does not inflate ({error})") from None
        if len(header) <= bound and (not inflate.eof or inflate.unused_data):
            raise ContainerError("the deflated header is cut short, or other bytes follow in it")
    if len(header) > bound:
        raise ContainerError(f"the header takes more than {bound:,} bytes, which no writer makes")
    return header, start + length


def _read_entry(path: str, fields: Fields, layouts: list[_Layout], payload: _Payload) -> Entry:
    index = checked_size(fields.take("layout"), "layout")
    if index >= len(layouts):
        raise ContainerError(f"layout {index} where there are {len(layouts)}")
    layout = layouts[index]
    shape = checked_shape(fields.take("shape"), "shape")
    if layout.algorithm is None:
        tensors: dict[str, Tensor] = {"value": payload.array(layout.dtype, shape, "value")}
        return Entry(path, shape, layout.dtype, None, layout.config, tensors)
    tensors = {}
    for name, kind in layout.kinds.items():
        extent = fields.take(name)
        if kind == _BYTES:
            tensors[name] = bytes(payload.take(checked_size(extent, name), name))
        elif kind == _STRINGS:
            if type(extent) is not list:
                raise ContainerError(f"lengths of {name!r} are not a list")
            sizes = [checked_size(size, name) for size in extent]
            tensors[name] = tuple(bytes(payload.take(size, name)) for size in sizes)
        else:
            own = shape if extent is None else checked_shape(extent, f"shape of {name!r}")
            tensors[name] = payload.array(_NAMES[kind], own, name)
    return Entry(path, shape, layout.dtype, layout.algorithm, layout.config, tensors)


class _Payload:
    """The tensors' bytes one after the other."""

    def __init__(self, data: memoryview):
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int, what: str) -> memoryview:
        if size > self.left:
            raise ContainerError(f"{what!r} claims {size:,} bytes where {self.left:,} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def array(self, dtype: str, shape: tuple[int, ...], what: str) -> np.ndarray:
        width = _DTYPES[dtype].itemsize
        raw = np.frombuffer(self.take(math.prod(shape) * width, what), f"<u{width}")
        if dtype == "bool" and raw.size and raw.max() > 1:
            raise ContainerError(f"{what!r} has a boolean that is neither 0 nor 1")
        # The copy is aligned, writeable, and lets go of the file's bytes.
        return raw.astype(f"=u{width}").view(_DTYPES[dtype]).reshape(shape)


# To bytes.


def _extent(tensor: Tensor, shape: tuple[int, ...]) -> Any:
    """What a reader must be told to know how many bytes `tensor` takes; None: shaped as the weight."""
    if isinstance(tensor, bytes):
        return len(tensor)
    if isinstance(tensor, (list, tuple)):
        return [len(string) for string in tensor]
    own = list(np.shape(tensor))
    return None if own == list(shape) else own


def _chunks(tensor: Tensor) -> list[bytes]:
    if isinstance(tensor, bytes):
        return [tensor]
    if isinstance(tensor, (list, tuple)):
        return list(tensor)
    array = np.asarray(tensor)
    width = array.dtype.itemsize
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    # As integers, so that no NaN is touched and bfloat16, unknown to numpy, goes the same way.
    return [native.view(f"=u{width}").astype(f"<u{width}").tobytes()]


def _size(tensor: Tensor) -> int:
    return tensor.nbytes if isinstance(tensor, np.ndarray) else sum(map(len, _chunks(tensor)))


# What entries have in common, and the rules that hold on both ways.


@dataclasses.dataclass(frozen=True)
class _Layout:
    dtype: str
    algorithm: Optional[str]
    config: dict[str, Any]
    kinds: dict[str, int]


def _layout_of(entry: Entry) -> list[Any]:
    """`entry`'s row of the layout table; raises ContainerError where it cannot be stored."""
    shape = checked_shape(list(entry.shape), "shape")
    if entry.dtype not in _CODES:
        raise ContainerError(f"dtype {entry.dtype!r} cannot be stored (available: {', '.join(_NAMES)})")
    kinds = {name: _kind(name, entry.tensors[name]) for name in text_keys(entry.tensors, "tensors")}
    code = _CODES[entry.dtype]
    if entry.algorithm is not None:
        row = [code, entry.algorithm, plain_map(entry.config, "config"), kinds]
        _checked_layout(row)
        return row
    if entry.config or list(kinds) != ["value"]:
        raise ContainerError(
            "without an algorithm the weight is kept in full: give an empty config and the one tensor "
            f"'value', not config {dict(entry.config)} and tensors {list(kinds)}"
        )
    value = entry.tensors["value"]
    if kinds["value"] != code or np.shape(value) != shape:
        held = f"{np.asarray(value).dtype} {np.shape(value)}"
        raise ContainerError(f"'value' is {held} where the weight is {entry.dtype} {shape}")
    return [code]


def _checked_layout(row: Any) -> _Layout:
    if type(row) is not list or len(row) not in (1, 4):
        raise ContainerError("a layout is not a list of 1 or 4")
    if type(row[0]) is not int or not 0 <= row[0] < len(_NAMES):
        raise ContainerError(f"a layout has the unknown weight dtype {reprlib.repr(row[0])}")
    if len(row) == 1:
        return _Layout(_NAMES[row[0]], None, {}, {})
    _, algorithm, config, kinds = row
    if type(algorithm) is not str or not algorithm:
        raise ContainerError(f"the algorithm is not a name but {reprlib.repr(algorithm)}")
    for name, kind in plain_map(kinds, "tensor kinds").items():
        if type(kind) is not int or not (0 <= kind < len(_NAMES) or kind in (_BYTES, _STRINGS)):
            raise ContainerError(f"tensor {name!r} has the unknown dtype {reprlib.repr(kind)}")
    if list(kinds) != sorted(kinds):
        raise ContainerError("tensors are out of order")
    return _Layout(_NAMES[row[0]], algorithm, plain_map(config, "config"), kinds)


def _kind(name: str, tensor: Any) -> int:
    if isinstance(tensor, bytes):
        return _BYTES
    if isinstance(tensor, (list, tuple)) and all(isinstance(string, bytes) for string in tensor):
        return _STRINGS
    if isinstance(tensor, (np.ndarray, np.generic)) and tensor.dtype.name in _CODES:
        checked_shape(list(tensor.shape), f"shape of {name!r}")
        return _CODES[tensor.dtype.name]
    held = f"an array of {tensor.dtype}" if isinstance(tensor, np.ndarray) else type(tensor).__name__
    raise ContainerError(
        f"tensor {name!r} is {held}; give bytes, a list of bytes, or an array of {', '.join(_NAMES)}"
    )


def _check_counts(entries: int, tensors: int) -> None:
    if entries > MAX_ENTRIES or tensors > MAX_TENSORS:
        raise ContainerError(f"more than {MAX_ENTRIES:,} entries or {MAX_TENSORS:,} tensors")


def _inflation_bound(deflated: int) -> int:
    return min(MAX_HEADER, 1024 + MAX_INFLATION * deflated)


def _ourselves() -> str:
    try:
        return f"lambdapress {importlib.metadata.version('lambdapress')}"
    except importlib.metadata.PackageNotFoundError:
        return "lambdapress (not installed)"
