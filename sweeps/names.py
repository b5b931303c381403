"""Every task and algorithm there is, by name, the user's own among them (`own.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..framework.algorithm import Algorithm
    from ..framework.registry import Registry
    from ..framework.task import Task


def registries() -> tuple[Registry[Task], Registry[Algorithm]]:
    """The registries of tasks and of algorithms, filled, so that gin knows all of them too."""
    from ..framework import algorithms, tasks

    tasks.load_plugins()
    algorithms.load_plugins()
    return tasks, algorithms
