"""Says where, with what and by which code a trial was run, and whether that code is still the same."""

from __future__ import annotations

import ast
import functools
import os
import platform
import socket
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ..gin.source_hash import source_hash

_ROOT = Path(__file__).parents[2]  # of the package
_PACKAGE = __name__.partition(".")[0]
_PARTS = ("algorithms", "framework/entropy.py")  # the code of an algorithm, and what it codes with


def versions() -> dict[str, str]:
    """Returns the versions of Python, TensorFlow, NumPy and this package, on which results depend."""

    def version(distribution: str) -> str:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return "not installed"

    names = ("tensorflow", "tensorflow-compression", "tf-models-official", "numpy", _PACKAGE)
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def environment() -> dict[str, Any]:
    """Describes this machine and process: host, processor, GPU, threads, oneDNN, the package's git commit."""
    import tensorflow as tf

    from ...framework.surgery.private import uses_onednn

    details = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "host": socket.gethostname() or "unknown",
        "processor": _processor(),
        "gpu": ", ".join(details) or "none",
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or len(_cores()),
        "onednn": "on" if uses_onednn() else "off",
        "git_commit": _git_commit(),
    }


def _cores() -> Any:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = next(line for line in lines if line.startswith("model name"))
        return named.partition(":")[2].strip() or platform.machine()
    except (OSError, StopIteration, UnicodeDecodeError):
        return platform.processor() or platform.machine() or "unknown"


@functools.cache
def _git_commit() -> str:
    """Returns the commit of the package's checkout, `-dirty` where files differ from it; else `none`."""
    if not (_ROOT / ".git").exists():
        return "none"
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "unknown"


def code_of(modules: Iterable[str]) -> dict[str, str]:
    """Returns the hash of the package's own code that algorithms consist of, by file.

    That is their modules, the modules of `algorithms/` and the entropy coder, as far as they import them.
    Modules of others are left out: those are part of a trial's identity (`gin/user_modules.py`).

    Args:
      modules: names of the modules that define the algorithms.
    """
    waiting = [file for name in modules if (file := _file_of(name)) is not None]
    found: dict[str, str] = {}
    while waiting:
        file = waiting.pop()
        if file not in found and file.startswith(_PARTS):
            found[file] = _hash(file)
            waiting += _imports(file)
    return dict(sorted(found.items()))


def changed(code: Mapping[str, str]) -> list[str]:
    """Returns the files of `code_of` that are no longer what they were when a result was made."""
    return [file for file, old in code.items() if _hash(file) != old]


@functools.cache
def _hash(file: str) -> str:
    """Returns 16 digits of the hash of a file's code; empty for a path elsewhere, or of no file."""
    path = _ROOT / file
    if not file.startswith(_PARTS) or ".." in file or path.suffix != ".py" or not path.is_file():
        return ""
    return source_hash([path], docstrings=False)[:16]


def _file_of(module: str) -> str | None:
    package, _, rest = module.partition(".")
    file = rest.replace(".", "/") + ".py"
    return file if package == _PACKAGE and (_ROOT / file).is_file() else None


@functools.cache
def _imports(file: str) -> list[str]:
    """Returns the package's files that a file imports; inside the package, imports are relative."""
    parts = file.removesuffix(".py").split("/")
    found = []
    for node in ast.walk(ast.parse((_ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*parts[: len(parts) - node.level], *(node.module or "").split(".")]
            names = [base, *([*base, alias.name] for alias in node.names)]
            found += ["/".join(filter(None, name)) + ".py" for name in names]
    return [name for name in found if (_ROOT / name).is_file()]
