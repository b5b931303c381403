"""Suppresses unwanted output of native code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def dropped_stderr() -> Iterator[None]:
    """Drops everything written to the process's standard error; Python's exceptions are raised as usual."""
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
