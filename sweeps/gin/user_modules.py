"""Imports the user's own modules, and identifies their code by a hash."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

from ...framework import registry
from .registries import load_all
from .source_hash import source_hash

_imported: list[str] = []


def import_own(name: str) -> None:
    """Imports a user's module, which registers tasks and algorithms.

    Trials that are planned afterwards and use its tasks or algorithms also import it, in the process that
    runs them: see `imported`.

    Args:
      name: name of a module or package, such as `my_package.algorithms`, or the path of a `.py` file. A file
        is imported by its name; its folder is added to the end of `sys.path`, which worker processes inherit.

    Raises:
      ValueError: if it cannot be imported; the message has the reason.
    """
    path = Path(name).resolve() if name.endswith(".py") else None
    module = path.stem if path else name
    if path and not path.is_file():
        raise ValueError(f"--import {name!r}: there is no such file.")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"--import {name!r}: {module!r} is no name of a Python module; rename the file.")
    if path and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    load_all()  # ours first: where a name is taken twice, the user's module is the one that fails
    try:
        imported_module = importlib.import_module(module)
    except Exception as error:  # the user's module may raise anything
        raise ValueError(f"--import {name!r} failed: {type(error).__name__}: {error}") from error
    if path and Path(imported_module.__file__ or "").resolve() != path:
        raise ValueError(
            f"--import {name!r}: {module!r} is {imported_module.__file__} already; rename the file."
        )
    if module not in _imported:
        _imported.append(module)


def imported() -> tuple[str, ...]:
    """Returns the names of the modules that `import_own` has imported.

    They are sorted, so that the order of options does not change a trial's identity.
    """
    return tuple(sorted(_imported))


def registered_by(module: str) -> set[str] | None:
    """Returns the names of the tasks and algorithms that a module, or a module inside it, defines.

    None for a module that registers nothing: it is unknown what it does. Other things that it registers
    (executors, export formats) change no trial.
    """
    names_by_kind = registry.registered_by(module)
    return names_by_kind.get("task", set()) | names_by_kind.get("algorithm", set()) if names_by_kind else None


def code_hash(module: str) -> str:
    """Returns the SHA-256 of a module's code in hexadecimal digits; ignores comments and blank lines.

    For a package, it covers all of its `.py` files.

    Raises:
      ValueError: for a module without a source file.
    """
    source = Path(getattr(importlib.import_module(module), "__file__", None) or "")
    if source.suffix != ".py":
        raise ValueError(f"{module!r} has no source file, by which its trials could be told apart.")
    return source_hash(sorted(source.parent.rglob("*.py")) if source.name == "__init__.py" else [source])


def check_code(planned: Mapping[str, str]) -> None:
    """Checks that modules have the code that they had when their trial was planned.

    Args:
      planned: the hash of each module's code at that time, by name.

    Raises:
      ValueError: for a module whose code has changed.
    """
    for module, wanted in planned.items():
        if code_hash(module) != wanted:
            raise ValueError(
                f"The code of {module!r} is not what it was when the trial was planned. Run the same command "
                "again: its trials are those of the code as it is now."
            )
