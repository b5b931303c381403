"""Every task and algorithm there is, by name, the user's own among them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
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


_imported: list[str] = []


def import_own(name: str) -> None:
    """Imports a module of the user's, which registers tasks and algorithms.

    Trials that are planned from here on import it, too, in whichever process they run: see `imported`.

    Args:
      name: of a module or package, such as `my_package.algorithms`, or the path of a `.py` file. A file is
        imported by its name, its folder being put at the end of `sys.path`, which worker processes inherit.

    Raises:
      ValueError: where it cannot be imported; the message has the reason.
    """
    path = Path(name).resolve() if name.endswith(".py") else None
    module = path.stem if path else name
    if path and not path.is_file():
        raise ValueError(f"--import {name!r}: there is no such file.")
    if path and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever the user's module raises
        raise ValueError(f"--import {name!r} failed: {type(error).__name__}: {error}") from error
    if path and Path(found.__file__ or "").resolve() != path:
        raise ValueError(f"--import {name!r}: {module!r} is {found.__file__} already; rename the file.")
    if module not in _imported:
        _imported.append(module)


def imported() -> tuple[str, ...]:
    """The modules that `import_own` has imported, sorted: the order of options identifies no trial."""
    return tuple(sorted(_imported))
