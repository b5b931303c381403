"""Tests that a trial stores what its task's training ends with, wherever the task sets the weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lambdapress.framework import CompressionWarning, load, to_plain
from lambdapress.framework.task import tasks
from lambdapress.sweeps.execution.sweep import run_sweep
from lambdapress.sweeps.gin.isolation import isolated
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.tasks.digits import Digits


@tasks.register("ends_elsewhere")
@dataclasses.dataclass(frozen=True)
class EndsElsewhere(Digits):
    """Digits whose training sets the weights after `fit`, as averages and best epochs do."""

    epochs: int = 1

    def train(self, model, callbacks=(), checkpoint_dir=None):
        super().train(model, callbacks, checkpoint_dir)
        for variable in model.trainable_variables:
            variable.assign(wave(variable.shape))


def wave(shape) -> np.ndarray:
    return np.sin(np.arange(np.prod(shape))).reshape(shape).astype(np.float32)


def test_the_last_update_comes_after_the_tasks_training(tmp_path):
    """The indices of a codebook belong to the weights that are stored, not to those that `fit` left."""
    with isolated():
        frame = run_sweep(Sweep(["ends_elsewhere"], ["clustering"], [0.001]), tmp_path, executor="here")
    assert frame["status"].tolist() == ["ok"], frame["error"].tolist()
    stored = to_plain(load(Path(frame["directory"][0]) / "model.lpz", Digits().build_model()))
    assert len(stored.weights) == 8
    for weight in stored.weights:
        np.testing.assert_allclose(weight, wave(weight.shape), atol=0.1)


def test_a_trial_without_training_says_where_lmbda_has_no_influence(tmp_path):
    sweep = Sweep(["digits"], ["power_law"], [0.1, 1.0])
    with isolated(), pytest.warns(CompressionWarning, match="power_law takes its steps from training"):
        frame = run_sweep(sweep, tmp_path, executor="here", gin=["trial.train = False"])
    assert frame["status"].tolist() == ["ok", "ok"] and frame["size_bytes"].nunique() == 1
