"""Who may import whom: the arrows of docs/architecture.md, read from there and checked on every import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def floors() -> list[set[str]]:
    """The rooms, top floor first, from the line `a → b, c → d` under the heading "Rooms and arrows"."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    line = next(line for line in text.partition("## Rooms and arrows")[2].splitlines() if "→" in line)
    return [{room.strip() for room in floor.split(",")} for floor in line.split("→")]


FLOORS = floors()
ROOMS = set.union(*FLOORS)


def may_import(room: str) -> set[str]:
    """`room` itself and every room on the floors below it."""
    height = next(i for i, floor in enumerate(FLOORS) if room in floor)
    return {room}.union(*FLOORS[height + 1 :])


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(line, `absolute` or `relative`, dotted path) of each import in a module of `package`, at any depth.

    A relative path is resolved against the root of the package: `from ..framework import forms` in
    `tasks/digits.py` gives `("framework", "forms")`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, "absolute", tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level == 0:
                yield node.lineno, "absolute", module
            else:
                base = (
                    package[: len(package) - (node.level - 1)] if node.level <= len(package) + 1 else ("..",)
                )
                for alias in node.names:
                    yield node.lineno, "relative", (*base, *module, alias.name)


def violations(source: str, path: Path) -> list[str]:
    """What is wrong with the imports of the module at `path` (relative to the root), one line each."""
    package = path.parent.parts
    room = package[0]
    found = []
    for line, kind, target in imports(source, package):
        where = f"{path.as_posix()}:{line}"
        if kind == "absolute":
            if target[0] == "lambdapress" or target[0] in ROOMS:
                found.append(f"{where}: import {'.'.join(target)} relatively")
            if target[0] == "tensorflow_compression" and path.as_posix() != "framework/entropy.py":
                found.append(f"{where}: only framework/entropy.py imports tensorflow_compression")
        elif target[0] not in may_import(room) | {"gin_configs"}:
            found.append(f"{where}: {room} may not import {'.'.join(target)}")
    return found


def modules() -> list[Path]:
    return sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def test_the_document_names_the_rooms_in_order():
    assert FLOORS == [{"sweeps"}, {"tasks", "algorithms"}, {"framework"}]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.as_posix())
def test_imports_follow_the_arrows(path: Path):
    assert violations((ROOT / path).read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    "path, source",
    [
        ("framework/a.py", "from ..algorithms import epr"),
        ("framework/a.py", "from .. import tasks"),
        ("framework/a.py", "def late():\n    from ..sweeps.cli import main"),
        ("tasks/a.py", "from ..algorithms.epr import EPR"),
        ("algorithms/a.py", "from ..tasks import digits"),
        ("tasks/inner/a.py", "from ...sweeps import grid"),
        ("sweeps/a.py", "from lambdapress.framework import forms"),
        ("sweeps/a.py", "import framework.forms"),
        ("sweeps/a.py", "from ...elsewhere import thing"),
        ("algorithms/a.py", "import tensorflow_compression as tfc"),
        ("framework/forms.py", "from tensorflow_compression.python import ops"),
    ],
)
def test_an_import_against_the_arrows_is_found(path: str, source: str):
    assert len(violations(source, Path(path))) == 1


@pytest.mark.parametrize(
    "path, source",
    [
        (
            "sweeps/a.py",
            "from ..tasks import digits\nfrom ..framework.forms import to_plain\nfrom . import grid",
        ),
        ("tasks/a.py", "import tensorflow as tf\nfrom ..framework import task"),
        ("tasks/inner/a.py", "from .. import digits\nfrom ...framework import task"),
        ("framework/entropy.py", "import tensorflow_compression as tfc"),
    ],
)
def test_an_import_along_the_arrows_is_let_through(path: str, source: str):
    assert violations(source, Path(path)) == []
