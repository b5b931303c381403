"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Union

Path = Union[str, "os.PathLike[str]"]


def write_atomically(path: Path, data: bytes, durable: bool = True) -> int:
    """Writes a file and returns its length in bytes.

    `path` holds what it held before, or all of `data`, at every moment. A killed writer leaves at most a
    hidden `.*.tmp` beside it, which nothing reads.

    Args:
      path: where to; its folder exists.
      data: to write.
      durable: whether to wait for the disk, which a power cut calls for.

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
