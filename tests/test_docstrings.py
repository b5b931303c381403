"""Checks docstrings: a function's first line begins with a verb, and no first line is a headless relative."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("framework", "algorithms", "tasks", "sweeps")
HEADLESS = {"as", "how", "of", "what", "where", "whether", "which", "whoever", "whatever", "who"}
PATHS = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def first_lines(source: str) -> Iterator[tuple[str, ast.AST, str]]:
    """Yields (place, node, first line) of each docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), node, text.partition("\n")[0]


def is_property(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", ())
    return any("property" in ast.unparse(decorator) for decorator in decorators)


def is_command(node: ast.AST) -> bool:
    """Whether it is a command of the command line, whose docstring is its help text."""
    return any("command(" in ast.unparse(d) for d in getattr(node, "decorator_list", ()))


def wrong(source: str) -> list[str]:
    found = []
    for place, node, line in first_lines(source):
        word = re.split(r"\W", line.lstrip("`"))[0]
        if word.lower() in HEADLESS:
            found.append(f"{place}: {line}")
        elif isinstance(node, ast.FunctionDef) and not is_property(node) and not is_command(node):
            if not (word[:1].isupper() and word.endswith("s")):
                found.append(f"{place}: {line}")
        if not re.search(r"[.:]$", line) and "\n" not in line and len(line) < 60:
            found.append(f"{place}: {line} (no end)")
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_first_lines_say_what_something_does(path: Path):
    assert wrong(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line", ["What a task is.", "The mask at a point.", "Whether it is so.", "Of a weight, its bits."]
)
def test_a_line_that_must_be_decoded_is_found(line: str):
    assert wrong(f'def f():\n    """{line}"""\n')
    assert not wrong(f'def f():\n    """Returns {line[0].lower()}{line[1:]}"""\n')
