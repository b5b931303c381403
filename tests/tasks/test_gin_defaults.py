"""Tests that the gin file of each task that Keras trains states its defaults."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gin
import pytest

import lambdapress.tasks
from lambdapress.framework.task import tasks
from lambdapress.tasks.keras_task import KerasTask

CONFIGS = Path(lambdapress.tasks.__file__).parent.parent / "gin_configs" / "tasks"
# What a task's gin file binds is part of its trials' identities. What came later is not bound there, so that
# finished trials keep theirs.
LATER = {"schedule", "warmup", "optimizer", "momentum", "weight_decay", "label_smoothing", "precision"}
NAMES = [
    name
    for name in tasks.names()
    if issubclass(tasks.get(name), KerasTask) and tasks.get(name).__module__.startswith("lambdapress.tasks.")
]


@pytest.mark.parametrize("name", NAMES)
def test_the_gin_file_states_the_defaults(name):
    lines = (CONFIGS / f"{name}.gin").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ") and all(line.startswith(f"{name}.") for line in lines[1:])
    assert {line.partition(" ")[0].partition(".")[2] for line in lines[1:]} == {
        field.name for field in dataclasses.fields(tasks.get(name)) if field.name not in {"data_dir", *LATER}
    }
    gin.parse_config(lines)
    assert tasks.build(name) == tasks.get(name)()


def test_what_came_later_can_be_bound():
    gin.parse_config(
        "digits.precision = 'mixed_bfloat16'\ndigits.schedule = 'one_cycle'\ndigits.warmup = 0.2"
    )
    task = tasks.build("digits")
    assert (task.precision, task.schedule, task.warmup) == ("mixed_bfloat16", "one_cycle", 0.2)
