"""Writes files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

PathLike = str | os.PathLike[str]
"""A path as users give it."""


def write_atomically(path: PathLike, data: bytes, durable: bool = True) -> int:
    """Writes a file and returns its length in bytes.

    At every moment `path` holds either its old content or all of `data`. A killed writer leaves at most a
    hidden `.*.tmp` beside it, which nothing reads.

    Args:
      path: of the file; its folder exists.
      data: to write.
      durable: whether to wait for the disk, so that the file survives a power cut.

    Raises:
      OSError: when the file system refuses.
    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1]
    temporary = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}{suffix}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        folder = os.path.dirname(path) or "."
        if isinstance(error, FileNotFoundError) and not os.path.isdir(folder):
            raise FileNotFoundError(f"There is no folder {folder!r} to write {path!r} in.") from None
        raise
    return len(data)


def write_json(path: PathLike, value: Mapping[str, Any], durable: bool = True) -> int:
    """Writes JSON as `write_atomically` does, and returns its length in bytes.

    Raises:
      ValueError: for NaN and infinities, which JSON lacks.
      OSError: when the file system refuses.
    """
    return write_atomically(path, json.dumps(value, indent=1, allow_nan=False).encode(), durable)
