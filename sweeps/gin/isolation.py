"""Isolates a piece of work from gin's global config."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import gin
from gin import config as gin_config


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Empties gin's global config in a with-block, and restores the caller's afterwards.

    Gin has no public way to do so. A process has only one config: do not use this in several threads at once.
    """
    names = ("_CONFIG", "_IMPORTS", "_OPERATIVE_CONFIG", "_SINGLETONS")
    kept = {name: copy.copy(getattr(gin_config, name)) for name in names}
    locked = gin.config_is_locked()
    gin.clear_config()
    try:
        yield
    finally:
        gin.clear_config()
        for name, value in kept.items():
            getattr(gin_config, name).update(value)
        gin_config._set_config_is_locked(locked)
