"""Reads the entries of an `.lpz` file and trusts nothing in it.

The checksum is compared before anything is interpreted. Each header object is measured before it is built.
Each size is compared with the bytes that are there.
"""

from __future__ import annotations

import importlib.metadata
import math
import zlib

import numpy as np

from .format import (
    BYTES,
    CRC,
    DEFLATED,
    DICTIONARY,
    DTYPES,
    MAGIC,
    MAX_HEADER,
    NAMES,
    PRELUDE,
    STRINGS,
    SUFFIX,
    VERSION,
    Contents,
    Entry,
    Layout,
    Tensor,
    check_counts,
    checked_layout,
    inflation_bound,
)
from .header import ContainerError, Fields, check_path, checked_shape, checked_size, plain_map


def parse(data: memoryview) -> Contents:
    """Reads a whole container; raises ContainerError if it is not an intact one."""
    header, payload_at = _open(data)
    fields = Fields(header)
    metadata = plain_map(fields.take("metadata"), "metadata")
    table = fields.take("layout table")
    if type(table) is not list:
        raise ContainerError("the layout table is not a list")
    layouts = [checked_layout(layout) for layout in table]
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
        check_counts(len(entries), tensors)
    if payload.left:
        raise ContainerError(f"{payload.left:,} bytes too many after the last tensor")
    return Contents(tuple(entries), metadata, len(data), payload_at)


def _open(data: memoryview) -> tuple[bytes, int]:
    """Compares the checksum; returns the inflated header and the offset at which the payload starts."""
    if data[:4] != MAGIC:
        starts = f"starts with {bytes(data[:8])!r}" if data else "is empty"
        raise ContainerError(f"not an {SUFFIX} file ({starts})")
    if len(data) <= PRELUDE:
        raise ContainerError(f"cut short after {len(data)} bytes; copy or download it again")
    if data[4] != VERSION:
        advice = "install a newer release" if data[4] > VERSION else "the file is damaged"
        raise ContainerError(
            f"written in format version {data[4]}; "
            f"this is {_ourselves()}, which reads version {VERSION}: {advice}"
        )
    if zlib.crc32(data[PRELUDE:], zlib.crc32(data[: CRC.start])) != int.from_bytes(data[CRC], "little"):
        raise ContainerError(
            "checksum does not match: the file is damaged or cut short; copy or download it again"
        )
    flags = data[5]
    if flags & ~DEFLATED:
        raise ContainerError(
            f"unknown flags {flags:#04x}; this is {_ourselves()}, which knows {DEFLATED:#04x}"
        )
    lead = Fields(bytes(data[PRELUDE : PRELUDE + 9]))
    length = checked_size(lead.take("header length"), "header length")
    start = PRELUDE + lead.position
    if length > len(data) - start:
        raise ContainerError(f"the header claims {length:,} bytes where {len(data) - start:,} are left")
    header = bytes(data[start : start + min(length, MAX_HEADER + 1)])
    bound = inflation_bound(length) if flags & DEFLATED else MAX_HEADER
    if flags & DEFLATED:
        inflate = zlib.decompressobj(-15, DICTIONARY)
        try:
            header = inflate.decompress(header, bound + 1)
        except zlib.error as error:
            raise ContainerError(f"the header does not inflate ({error})") from None
        if len(header) <= bound and (not inflate.eof or inflate.unused_data):
            raise ContainerError("the deflated header is cut short, or other bytes follow in it")
    if len(header) > bound:
        raise ContainerError(f"the header takes more than {bound:,} bytes, which no writer makes")
    return header, start + length


def _read_entry(path: str, fields: Fields, layouts: list[Layout], payload: _Payload) -> Entry:
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
        if kind == BYTES:
            tensors[name] = bytes(payload.take(checked_size(extent, name), name))
        elif kind == STRINGS:
            if type(extent) is not list:
                raise ContainerError(f"lengths of {name!r} are not a list")
            sizes = [checked_size(size, name) for size in extent]
            tensors[name] = tuple(bytes(payload.take(size, name)) for size in sizes)
        else:
            tensor_shape = shape if extent is None else checked_shape(extent, f"shape of {name!r}")
            tensors[name] = payload.array(NAMES[kind], tensor_shape, name)
    return Entry(path, shape, layout.dtype, layout.algorithm, layout.config, tensors)


class _Payload:
    """Reads the tensors' bytes in turn."""

    def __init__(self, data: memoryview):
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int, name: str) -> memoryview:
        if size > self.left:
            raise ContainerError(f"{name!r} claims {size:,} bytes where {self.left:,} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def array(self, dtype: str, shape: tuple[int, ...], name: str) -> np.ndarray:
        width = DTYPES[dtype].itemsize
        raw = np.frombuffer(self.take(math.prod(shape) * width, name), f"<u{width}")
        if dtype == "bool" and raw.size and raw.max() > 1:
            raise ContainerError(f"{name!r} has a boolean that is neither 0 nor 1")
        # The copy is aligned and writeable, and keeps no reference to the file's bytes.
        return raw.astype(f"=u{width}").view(DTYPES[dtype]).reshape(shape)


def _ourselves() -> str:
    try:
        return f"lambdapress {importlib.metadata.version('lambdapress')}"
    except importlib.metadata.PackageNotFoundError:
        return "lambdapress (not installed)"
