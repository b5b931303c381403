"""Packs a model's stored weights into one `.lpz` file, and reads such files safely.

    magic, version, flags, CRC-32, header length | header (msgpack, maybe deflated) | tensors, back to back

`docs/container.md` describes the layout byte by byte. The length of the file is the size that a sweep
reports, so the header is short: positions instead of keys, one table of what entries have in common, and no
length that follows from a shape.

The reader (`reader.py`) trusts nothing: for a damaged file and for a malicious one alike it raises a
`ContainerError`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..atomic import write_atomically
from .format import (
    DEFAULT_NAME,
    DEFLATED,
    DICTIONARY,
    MAGIC,
    MAX_HEADER,
    PRELUDE,
    SUFFIX,
    VERSION,
    Contents,
    Entry,
    Tensor,
    check_counts,
    chunks_of,
    inflation_bound,
    layout_of,
    size_of,
)
from .header import ContainerError, check_path, packed, plain_map
from .reader import parse


def tensor_ranges(contents: Contents) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    """Returns where each tensor's bytes lie in the container, as (offset, length) pairs by path and name.

    A tensor has one pair, or, if it is a list of byte strings, one for each string.
    """
    ranges, offset = {}, contents.overhead_bytes
    for entry in contents.entries:
        for name, value in entry.tensors.items():
            parts = []
            for part in value if isinstance(value, (list, tuple)) else [value]:
                parts.append((offset, size_of(part)))
                offset += parts[-1][1]
            ranges[entry.path, name] = tuple(parts)
    return ranges


def pack(entries: Iterable[Entry], metadata: Mapping[str, Any] | None = None) -> bytes:
    """Returns the container that holds `entries`; equal entries in equal order give equal bytes.

    Args:
      entries: at most 16,384, each path once.
      metadata: facts about the whole, of the types that `Entry.config` takes; at most 64 KiB packed.

    Raises:
      ContainerError: for an entry that cannot be stored; the message names it and the reason.
    """
    layouts: dict[bytes, int] = {}
    paths: set[str] = set()
    table, rows, payload, tensors = [], [], [], 0
    for entry in entries:
        try:
            check_path(entry.path, paths)
            layout = layout_of(entry)
            index = layouts.setdefault(packed(layout), len(layouts))
            if index == len(table):
                table.append(layout)
            fields: list[Any] = [entry.path, index, list(entry.shape)]
            for name in sorted(entry.tensors) if entry.algorithm is not None else ():
                fields.append(_extent(entry.tensors[name], entry.shape))
            rows += [packed(field) for field in fields]
            for name in sorted(entry.tensors):
                payload += chunks_of(entry.tensors[name])
            tensors += len(entry.tensors)
        except ContainerError as error:
            raise ContainerError(f"entry {entry.path!r}: {error}") from None
    check_counts(len(paths), tensors)
    head = packed(plain_map({} if metadata is None else metadata, "metadata"), "metadata")
    header = b"".join([head, packed(table, "layout table"), *rows])
    if len(header) > MAX_HEADER:
        raise ContainerError(f"the header takes {len(header):,} bytes, more than {MAX_HEADER:,}")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    deflated = deflate.compress(header) + deflate.flush()
    flags = 0
    if len(deflated) < len(header) <= inflation_bound(len(deflated)):
        header, flags = deflated, DEFLATED
    lead = MAGIC + bytes([VERSION, flags])
    body = b"".join([packed(len(header)), header, *payload])
    return lead + zlib.crc32(body, zlib.crc32(lead)).to_bytes(4, "little") + body


def unpack(data: bytes, name: str = "the container") -> Contents:
    """Returns the contents of the container `data`.

    Allocates the tensors, the header (at most 1 MiB) and the objects made from it.

    Args:
      data: a whole container.
      name: the container's name in messages, such as the file's path.

    Raises:
      ContainerError: if `data` is not an intact container.
    """
    try:
        return parse(memoryview(data))
    except ContainerError as error:
        raise ContainerError(f"{name}: {error}") from None


def write(
    path: str | os.PathLike[str], entries: Iterable[Entry], metadata: Mapping[str, Any] | None = None
) -> int:
    """Writes a container atomically (see `write_atomically`) and returns its length in bytes.

    Raises:
      ContainerError: as `pack`; also if `path` is a folder.
      OSError: when the file system refuses.
    """
    data = pack(entries, metadata)
    path = os.fspath(path)
    if os.path.isdir(path):
        raise ContainerError(f"{path} is a folder; name a file in it, such as {DEFAULT_NAME}")
    return write_atomically(path, data)


def read(path: str | os.PathLike[str]) -> Contents:
    """Returns the contents of the container at `path`.

    Raises:
      FileNotFoundError: if there is no such file.
      ContainerError: if it is a folder or not an intact container.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise ContainerError(f"{path} is a folder, not an {SUFFIX} file")
    with open(path, "rb") as file:
        data = file.read(PRELUDE)
        if data.startswith(MAGIC):  # no need to load gigabytes of something else
            file.seek(0)
            data = file.read()
    return unpack(data, name=path)


def _extent(tensor: Tensor, shape: tuple[int, ...]) -> Any:
    """Returns what tells a reader how many bytes `tensor` takes; None where it has the weight's shape."""
    if isinstance(tensor, bytes):
        return len(tensor)
    if isinstance(tensor, (list, tuple)):
        return [len(string) for string in tensor]
    tensor_shape = list(np.shape(tensor))
    return None if tensor_shape == list(shape) else tensor_shape
