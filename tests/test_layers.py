"""Who may import whom: the arrows of docs/architecture.md, read from there and checked on every import."""

from __future__ import annotations

import ast
import graphlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
Arrows = dict[str, set[str]]

# Private parts of Keras and TensorFlow, and the one room that may import them; TFC has one door.
PRIVATE = ("keras.src", "keras.protobuf", "tensorflow.python", "tf_keras")
PRIVATE_ROOM, TFC_DOOR = "framework/surgery", "framework/entropy.py"


def arrows_below(heading: str) -> Arrows:
    """From the line `a → b, c → d; e → b` below a heading: what each room may import, all the way down."""
    section = PAGE.partition(f"\n{heading}\n")[2]
    lines = [line for line in re.split(r"\n#", section)[0].splitlines() if line.startswith("    ")]
    text = " ".join(lines)
    assert "→" in text, f"no arrows below {heading!r}"
    direct: Arrows = {}
    for clause in text.split(";"):
        floors = [[room.strip() for room in floor.split(",")] for floor in clause.split("→")]
        for above, below in itertools.pairwise(floors):
            for room in above:
                direct.setdefault(room, set()).update(below)
    rooms = set(direct).union(*direct.values())
    order = list(graphlib.TopologicalSorter({room: direct.get(room, ()) for room in rooms}).static_order())
    reachable: Arrows = {}
    for room in order:
        below = direct.get(room, set())
        reachable[room] = below.union(*(reachable[other] for other in below))
    return reachable


OUTER = arrows_below("## Rooms and arrows")
INNER = {room: arrows_below(f"## {room}/") for room in ("framework", "sweeps")}


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, dotted path) of each import in a module of `package`, at any depth of the code.

    A relative path is resolved against the root of the package: `from ..framework import forms` in
    `tasks/digits.py` gives `("framework", "forms")`. What is imported for type checkers alone is left out.
    """
    tree = ast.parse(source)
    for node in [node for node in ast.walk(tree) if isinstance(node, ast.If)]:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, ("absolute", *alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level == 0:
                for alias in node.names:
                    yield node.lineno, ("absolute", *module, alias.name)
            else:
                up = node.level - 1
                base = package[: len(package) - up] if up <= len(package) else ("..",)
                for alias in node.names:
                    yield node.lineno, (*base, *module, alias.name)


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def inner_room(module: tuple[str, ...]) -> str | None:
    """The inner room of a module, or its own name if it stands beside them; None for an outer room's face."""
    return module[1] if len(module) > 1 else None


def violations(source: str, path: Path) -> list[str]:
    """What is wrong with the imports of the module at `path` (relative to the root), one line each."""
    package, room = path.parent.parts, path.parts[0]
    found = []
    for line, target in imports(source, package):
        where = f"{path.as_posix()}:{line}"
        if target[0] == "absolute":
            dotted = ".".join(target[1:])
            if target[1] == "lambdapress" or target[1] in OUTER:
                found.append(f"{where}: import {dotted} relatively")
            if target[1] == "tensorflow_compression" and path.as_posix() != TFC_DOOR:
                found.append(f"{where}: only {TFC_DOOR} imports tensorflow_compression")
            if f"{dotted}.".startswith(tuple(f"{name}." for name in PRIVATE)):
                if path.parent.as_posix() != PRIVATE_ROOM:
                    found.append(f"{where}: only {PRIVATE_ROOM} imports {dotted}")
        elif target[0] != room and target[0] not in OUTER.get(room, set()) | {"gin_configs"}:
            found.append(f"{where}: {room} may not import {'.'.join(target)}")
        elif target[0] == room and room in INNER:
            own, other = inner_room(module_of(path)), inner_room(target)
            allowed = INNER[room].get(own or "", set()) | {own}
            known = set(INNER[room])
            if own in known and other in known and other not in allowed:
                found.append(f"{where}: {room}/{own} may not import {'.'.join(target)}")
    return found


def graph(sources: dict[Path, str]) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """Which module imports which, of those in `sources`, wherever in the code."""
    modules = {module_of(path): path for path in sources}
    edges: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for module, path in modules.items():
        targets = {target for _, target in imports(sources[path], path.parent.parts)}
        # `from .a import b` is an import of module a.b where there is one, or else of a.
        hit = {target if target in modules else target[:-1] for target in targets}
        edges[module] = {target for target in hit if target in modules and target != module}
    return edges


def circle(sources: dict[Path, str]) -> list[str]:
    """The modules of a circle of imports, or nothing."""
    try:
        graphlib.TopologicalSorter(graph(sources)).prepare()
    except graphlib.CycleError as error:
        return [".".join(module) for module in error.args[1]]
    return []


def modules() -> list[Path]:
    return sorted(path.relative_to(ROOT) for room in OUTER for path in (ROOT / room).rglob("*.py"))


def read_all() -> dict[Path, str]:
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in modules()}


def test_the_document_has_the_rooms_in_order():
    assert OUTER["sweeps"] == {"tasks", "algorithms", "framework"}
    assert OUTER["tasks"] == OUTER["algorithms"] == {"framework"}


@pytest.mark.parametrize("room", INNER)
def test_the_document_names_every_inner_room_and_every_module_beside_them(room: str):
    there = {path.stem for path in (ROOT / room).iterdir() if path.is_dir() or path.suffix == ".py"}
    assert set(INNER[room]) == there - {"__init__", "__pycache__"}


def test_no_room_holds_more_than_about_ten_modules():
    for folder in {path.parent for path in modules()} - {Path("algorithms"), Path("tasks")}:
        assert len([path for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"]) <= 10, folder


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.as_posix())
def test_imports_follow_the_arrows(path: Path):
    assert violations((ROOT / path).read_text(encoding="utf-8"), path) == []


def test_no_two_modules_import_each_other():
    assert circle(read_all()) == []


@pytest.mark.parametrize(
    "path, source",
    [
        ("framework/a.py", "from ..algorithms import epr"),
        ("framework/a.py", "from .. import tasks"),
        ("framework/a.py", "def late():\n    from ..sweeps.cli.main import main"),
        ("tasks/a.py", "from ..algorithms.epr import EPR"),
        ("algorithms/a.py", "from ..tasks import digits"),
        ("tasks/inner/a.py", "from ...sweeps import grid"),
        ("sweeps/a.py", "from lambdapress.framework import forms"),
        ("sweeps/a.py", "import framework.forms"),
        ("sweeps/a.py", "from ...elsewhere import thing"),
        ("algorithms/a.py", "import tensorflow_compression as tfc"),
        ("framework/forms/a.py", "from tensorflow_compression.python import ops"),
        ("framework/export/a.py", "from keras.src.engine import node"),
        ("tasks/a.py", "import tensorflow.python.framework.config"),
        # Inner rooms.
        ("framework/surgery/a.py", "from ..forms.plain import to_plain"),
        ("framework/surgery/a.py", "def late():\n    from ..forms import compress"),
        ("framework/container/a.py", "from ..surgery.clone import clone"),
        ("framework/forms/a.py", "from ..files.lpz import save"),
        ("framework/algorithm.py", "from .forms import rate"),
        ("sweeps/trial/a.py", "from ..execution.job import Job"),
        ("sweeps/results/a.py", "from ..report import tables"),
        ("sweeps/gin/a.py", "from ...sweeps.plan.definition import Sweep"),
        ("sweeps/environment.py", "from .gin import files"),
    ],
)
def test_an_import_against_the_arrows_is_found(path: str, source: str):
    assert len(violations(source, Path(path))) == 1


@pytest.mark.parametrize(
    "path, source",
    [
        ("sweeps/a.py", "from ..tasks import digits\nfrom ..framework.forms.plain import to_plain"),
        ("tasks/a.py", "import tensorflow as tf\nfrom ..framework import task"),
        ("tasks/inner/a.py", "from .. import digits\nfrom ...framework import task"),
        ("framework/entropy.py", "import tensorflow_compression as tfc"),
        ("framework/surgery/a.py", "from keras.src.engine import node\nfrom .clone import clone"),
        ("framework/export/a.py", "from ..surgery.clone import clone\nfrom ..registry import Registry"),
        ("sweeps/cli/a.py", "from ..results.schema import read_result\nfrom . import options"),
    ],
)
def test_an_import_along_the_arrows_is_let_through(path: str, source: str):
    assert violations(source, Path(path)) == []


@pytest.mark.parametrize(
    "path, line",
    [
        ("framework/forms/plain.py", "def late():\n    from .compress import to_compressed\n"),
        ("framework/registry.py", "from . import task\n"),
        ("algorithms/links.py", "from .chain import Chain\n"),
        ("sweeps/execution/job.py", "from .sweep import run_sweep\n"),
    ],
)
def test_a_planted_circle_is_found(path: str, line: str):
    sources = read_all()
    sources[Path(path)] += f"\n{line}"
    assert ".".join(module_of(Path(path))) in circle(sources)


def test_the_framework_names_no_algorithm_task_or_sweep():
    """Names that are English words count where they stand in quotes or before a dot."""
    rooms = (("algorithms", "algorithms"), ("tasks", "tasks"), ("sweeps", "sweeps"))
    names = {path.stem for _, kind in rooms for path in (ROOT / "gin_configs" / kind).glob("*.gin")}
    words = {"chain", "clustering", "digits", "embeddings", "half", "lossless", "none", "pruning", "text"}
    plain = "|".join(sorted(names - words - {"uniform"}))
    quoted = "|".join(sorted(names - {"embeddings", "none", "text"}))
    pattern = re.compile(rf"\b({plain})\b|[\"'`]({quoted})[\"'`]|\b({quoted})\.[a-z_]+ = ")
    for path, source in read_all().items():
        if path.parts[0] == "framework":
            assert not (found := pattern.search(source)), f"{path}: {found[0]}"
