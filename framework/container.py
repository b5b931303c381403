"""The `.lpz` file: a model's stored weights as one byte string, and back, safe from strangers.

    magic, version, flags, CRC-32, header length | header (msgpack, maybe deflated) | tensors, back to back

`docs/container.md` has the layout byte by byte. The length of the file is the size that a sweep
reports, so the header is terse: positions instead of keys, one table of what entries have in common,
and no length that follows from a shape.

Reading (`container_reader.py`) believes nothing: a damaged file and one made by a hostile writer end alike,
in a `ContainerError`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

import numpy as np

from .atomic import write_atomically
from .container_format import (
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
from .container_reader import parse
from .untrusted import ContainerError, check_path, packed, plain_map

ARTEFACT = "model.lpz"
"""The container in a trial's folder, by which that is known."""


def tensor_ranges(contents: Contents) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    """Where in the container each tensor's bytes are: by path and name, (offset, length) pairs.

    One pair; for a list of byte strings, one a string.
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
    """What the container `data` holds.

    Allocates the tensors, the header (at most 1 MiB) and the objects made from it.

    Args:
      data: a whole container.
      name: what messages call it, such as the file's path.

    Raises:
      ContainerError: when `data` is anything but a sound container.
    """
    try:
        return parse(memoryview(data))
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
        data = file.read(PRELUDE)
        if data.startswith(MAGIC):  # no need to load gigabytes of something else
            file.seek(0)
            data = file.read()
    return unpack(data, name=path)


def _extent(tensor: Tensor, shape: tuple[int, ...]) -> Any:
    """What a reader must be told to know how many bytes `tensor` takes; None: shaped as the weight."""
    if isinstance(tensor, bytes):
        return len(tensor)
    if isinstance(tensor, (list, tuple)):
        return [len(string) for string in tensor]
    own = list(np.shape(tensor))
    return None if own == list(shape) else own
