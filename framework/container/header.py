"""Checks header objects from an untrusted file: their size, type and bounds, before they are used.

The same checks run before writing, so that a reader accepts everything that a writer makes.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

import msgpack

from ..errors import LambdapressError

# Bounds on what a reader allocates, independent of what a header claims.
MAX_OBJECT = 2**16  # bytes of one header object: the metadata, the layout table, one entry's field
MAX_PATH = 1024  # bytes in UTF-8
MAX_RANK = 32
MAX_ELEMENTS = 2**40
MAX_NESTING = 8


class ContainerError(LambdapressError, ValueError):
    """A value cannot be stored, or a file is not an intact container; the message says why."""


class Fields:
    """Reads the msgpack objects of a header in turn; measures each before it is built."""

    def __init__(self, data: bytes):
        self._data = data
        self._scan = msgpack.Unpacker(max_buffer_size=max(len(data), 1))
        self._scan.feed(data)
        self.position = 0

    def more(self) -> bool:
        """Tells whether an object is left."""
        return self.position < len(self._data)

    def take(self, what: str) -> Any:
        """Returns the next object; `what` describes it in messages."""
        start = self.position
        try:
            self._scan.skip()
            self.position = self._scan.tell()
            if self.position - start > MAX_OBJECT:
                raise ContainerError(f"the header's {what} takes more than {MAX_OBJECT:,} bytes")
            return msgpack.unpackb(
                self._data[start : self.position],
                strict_map_key=True,
                object_pairs_hook=_unique,
                ext_hook=_no_extension,
            )
        except msgpack.OutOfData:
            raise ContainerError(f"the header ends inside the {what}") from None
        except ContainerError:
            raise
        except (ValueError, msgpack.UnpackException) as error:
            reason = str(error) or type(error).__name__
            raise ContainerError(f"the header is not msgpack at the {what} ({reason})") from None


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ContainerError("the header gives a key twice")
    return unique


def _no_extension(code: int, data: bytes) -> None:
    raise ContainerError(f"the header holds the msgpack extension type {code}")


def packed(value: Any, what: str = "field") -> bytes:
    """Packs `value` into a msgpack object that `Fields.take` accepts."""
    try:
        data: bytes = msgpack.packb(value)  # pyright: ignore[reportAssignmentType]
    except UnicodeEncodeError as error:
        raise ContainerError(f"{what}: text that is not valid Unicode ({error.reason})") from None
    if len(data) > MAX_OBJECT:
        raise ContainerError(f"{what} takes {len(data):,} bytes in the header, more than {MAX_OBJECT:,}")
    return data


def checked_shape(shape: Any, what: str) -> tuple[int, ...]:
    """Returns `shape` as a tuple; raises ContainerError if it is not a list of sizes of a possible array."""
    if type(shape) is not list or not all(type(axis) is int and axis >= 0 for axis in shape):
        raise ContainerError(f"{what} is not a list of sizes but {reprlib.repr(shape)}")
    # Zeros count as 1: numpy refuses an empty array, too, if its other axes are too long.
    if len(shape) > MAX_RANK or math.prod(max(axis, 1) for axis in shape) > MAX_ELEMENTS:
        raise ContainerError(
            f"{what} {reprlib.repr(shape)} is beyond {MAX_RANK} axes or {MAX_ELEMENTS:,} elements"
        )
    return tuple(shape)


def checked_size(size: Any, what: str) -> int:
    """Returns `size`; raises ContainerError if it is not an integer of at least zero."""
    if type(size) is not int or size < 0:
        raise ContainerError(f"{what} is not a size but {reprlib.repr(size)}")
    return size


def check_path(path: Any, known: set[str]) -> None:
    """Adds `path` to `known`; raises ContainerError if it is not a short text, or known already."""
    if type(path) is not str or not path or len(path.encode("utf-8", "replace")) > MAX_PATH:
        raise ContainerError(f"a path is not a text of 1 to {MAX_PATH:,} bytes but {reprlib.repr(path)}")
    if path in known:
        raise ContainerError(f"the path {path!r} is given twice; each weight is stored once")
    known.add(path)


def text_keys(mapping: Any, what: str) -> list[str]:
    """Returns the sorted keys of `mapping`; raises ContainerError if it is no mapping with text keys."""
    if not isinstance(mapping, Mapping) or not all(type(key) is str for key in mapping):
        raise ContainerError(f"{what} is not a mapping with text keys but {reprlib.repr(mapping)}")
    return sorted(mapping)


def plain_map(mapping: Any, what: str, depth: int = 0) -> dict[str, Any]:
    """Copies a mapping of plain values, with sorted keys and with lists instead of tuples.

    Raises:
      ContainerError: for other values, and for those that are nested too deeply.
    """
    return {key: _plain(mapping[key], what, depth + 1) for key in text_keys(mapping, what)}


def _plain(value: Any, what: str, depth: int) -> Any:
    if depth > MAX_NESTING:
        raise ContainerError(f"{what} is nested more than {MAX_NESTING} deep")
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, what, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return plain_map(value, what, depth)
    raise ContainerError(
        f"{what} holds {reprlib.repr(value)} of type {type(value).__name__}; "
        "give str, int (64 bits), float, bool, None, or lists and mappings of these"
    )
