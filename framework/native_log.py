"""What native code prints, where nobody asked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def dropped_stderr() -> Iterator[None]:
    """Drops what native code writes to the process's standard error; Python's own exceptions come through."""
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
