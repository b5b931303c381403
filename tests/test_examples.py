"""The examples in docstrings run and show what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import lambdapress.framework as framework

ROOT = Path(__file__).parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples() -> list[str]:
    rooms = ("framework", "algorithms", "tasks", "sweeps")
    paths = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    found = [path for path in paths if ">>>" in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found]


def names() -> dict[str, Any]:
    """What examples take for granted: the public face, a plain `model`, and an `algorithm` that trains."""
    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.Input((4,)), tf.keras.layers.Dense(3, name="head")]
    own = {"tf": tf, "model": tf.keras.Sequential(layers), "algorithm": framework.algorithms.build("epr")}
    return {**{name: getattr(framework, name) for name in framework.__all__}, **own}


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_of_a_module_show_what_they_say(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported = importlib.import_module(f"lambdapress.{module}")
    tests = [test for test in doctest.DocTestFinder().find(imported) if test.examples]
    assert tests
    for test in tests:
        for name, value in names().items():
            test.globs.setdefault(name, value)
        report: list[str] = []
        outcome = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
        assert outcome.failed == 0, "".join(report)


@pytest.mark.parametrize("name", [n for n in framework.__all__ if inspect.isfunction(getattr(framework, n))])
def test_every_function_of_the_face_has_an_example(name):
    assert ">>>" in (inspect.getdoc(getattr(framework, name)) or "")
