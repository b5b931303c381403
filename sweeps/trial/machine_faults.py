"""Tells faults of the machine, such as a full disk, from faults of a trial."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_CODES = (
    errno.ENOSPC,  # disk full
    errno.EDQUOT,  # quota used up
    errno.EFBIG,  # limit on the size of files
    errno.EROFS,  # read-only file system
    errno.EIO,
    errno.EMFILE,  # too many open files, in this process …
    errno.ENFILE,  # … and in all
)
_TEXTS = tuple(os.strerror(code) for code in _CODES)


def is_of_the_machine(error: BaseException) -> bool:
    """Tells whether an error, or one that caused it, says that the machine has no room or is broken.

    TensorFlow's errors have the system's words, but no code.
    """
    return any(
        one.errno in _CODES
        if isinstance(one, OSError) and one.errno is not None
        else type(one).__module__.startswith("tensorflow") and any(text in str(one) for text in _TEXTS)
        for one in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
