"""Modules of the user's that register tasks and algorithms: imported, and known by what their code says."""

from __future__ import annotations

import hashlib
import importlib
import io
import sys
import tokenize
from collections.abc import Mapping
from pathlib import Path

from .names import registries

_imported: list[str] = []


def import_own(name: str) -> None:
    """Imports a module of the user's, which registers tasks and algorithms.

    Trials that are planned from here on and use what it registers import it, too, in whichever process they
    run: see `imported`.

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
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"--import {name!r}: {module!r} is no name of a Python module; rename the file.")
    if path and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    registries()  # ours come first, so that a name that is taken is found where the user's module takes it
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


def registered_by(module: str) -> set[str]:
    """The tasks and algorithms whose classes a module, or a module inside it, defines."""
    return {
        name
        for registry in registries()
        for name in registry.names()
        if f"{registry.get(name).__module__}.".startswith(f"{module}.")
    }


def code_hash(module: str) -> str:
    """The SHA-256 of a module's code in hexadecimal digits; comments and blank lines do not count.

    Of a package it is that of all its `.py` files.

    Raises:
      ValueError: for a module without a source file.
    """
    source = Path(getattr(importlib.import_module(module), "__file__", None) or "")
    if source.suffix != ".py":
        raise ValueError(f"{module!r} has no source file, by which its trials could be told apart.")
    files = sorted(source.parent.rglob("*.py")) if source.name == "__init__.py" else [source]
    digest = hashlib.sha256()
    for file in files:
        for token in tokenize.tokenize(io.BytesIO(file.read_bytes()).readline):
            if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING):
                digest.update(f"{tokenize.tok_name[token.type]} {token.string}\0".encode())
    return digest.hexdigest()


def check_code(planned: Mapping[str, str]) -> None:
    """Raises ValueError where a module's code is not what it was when its trial was planned."""
    for module, wanted in planned.items():
        if code_hash(module) != wanted:
            raise ValueError(
                f"The code of {module!r} is not what it was when the trial was planned. Run the same command "
                "again: its trials are those of the code as it is now."
            )
