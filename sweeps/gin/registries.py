"""Returns the registries of tasks and algorithms, the user's own included (`user_modules.py`).

TensorFlow is imported only when a registry is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...framework.algorithm import Algorithm
    from ...framework.registry import Registry
    from ...framework.task import Task


def load_all() -> None:
    """Imports every task and algorithm, so that gin knows all of them."""
    from ...framework import algorithms, tasks

    tasks.load_plugins()
    algorithms.load_plugins()


def tasks() -> Registry[Task]:
    """Returns the registry of tasks; gin knows all of them, and all algorithms."""
    from ...framework import tasks

    load_all()
    return tasks


def algorithms() -> Registry[Algorithm]:
    """Returns the registry of algorithms; gin knows all of them, and all tasks."""
    from ...framework import algorithms

    load_all()
    return algorithms
