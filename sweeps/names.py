"""Every task and algorithm there is, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..framework.algorithm import Algorithm
    from ..framework.registry import Registry
    from ..framework.task import Task


def registries() -> tuple[Registry[Task], Registry[Algorithm]]:
    """The registries of tasks and of algorithms, filled: importing those rooms registers what is in them."""
    for room in ("tasks", "algorithms"):
        importlib.import_module(f"...{room}", __name__)
    from ..framework.algorithm import algorithms
    from ..framework.task import tasks

    return tasks, algorithms
