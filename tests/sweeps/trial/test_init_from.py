"""Tests trials that start from a file: the files that they take, and their identity."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lambdapress.sweeps.gin.bindings import ConfigError
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import plan as plan_sweep
from lambdapress.sweeps.results.schema import main_value, read_result
from lambdapress.sweeps.trial.run import run_trial
from lambdapress.sweeps.trial.trial import Trial


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Returns the directory of a trial that trained for a few epochs."""
    directory = tmp_path_factory.mktemp("source")
    settings = "digits.epochs = 4\ntrial.deterministic = False\n"
    result = run_trial(Trial("digits", "none", 0.0, 0, settings), directory)
    assert result["status"] == "ok" and main_value(result) > 0.9
    return directory


def plan(path: Path, *bindings: str) -> Trial:
    """Plans a trial that hardly trains."""
    short = ["digits.epochs = 1", "digits.learning_rate = 1e-6", "trial.deterministic = False"]
    sweep = Sweep(["digits"], ["epr"], [0.01], [0])
    (trial,) = plan_sweep(sweep, [*short, f"trial.init_from = {str(path)!r}", *bindings]).trials
    return trial


def test_training_starts_from_what_another_trial_ended_with(source, tmp_path):
    trial = plan(source)
    result = run_trial(trial, tmp_path / "tuned")
    assert result["status"] == "ok" and main_value(result) > 0.9
    (source / "copy.lpz").write_bytes((source / "model.lpz").read_bytes())
    again = plan(source / "copy.lpz")
    assert again.identity != trial.identity and hash_in(again) == hash_in(trial)


@pytest.mark.parametrize("algorithm", ["lossless", "uniform"])
def test_a_network_that_was_trained_is_compressed_as_it_is(source, tmp_path, algorithm):
    sweep = Sweep(["digits"], [algorithm], {"uniform": [0.03]}, [0])
    bindings = [f"trial.init_from = {str(source)!r}", "trial.train = False", "trial.deterministic = False"]
    (trial,) = plan_sweep(sweep, bindings).trials
    result = run_trial(trial, tmp_path)
    assert result["status"] == "ok", result["error"]
    before = read_result(source / "result.json")
    assert abs(main_value(result) - main_value(before)) <= (0 if algorithm == "lossless" else 0.02)
    assert result["size_bytes"] < 0.9 * before["size_bytes"] and result["train_seconds"] == 0
    assert not (tmp_path / "checkpoint").exists()


def hash_in(trial: Trial) -> str:
    found = re.search(r"init_from_sha256 = [\\\s]*'([0-9a-f]{64})'", trial.config)
    assert found, trial.config
    return found[1]


def test_the_content_counts_for_the_identity(source, tmp_path):
    path = tmp_path / "model.lpz"
    path.write_bytes((source / "model.lpz").read_bytes())
    before = plan(path)
    assert plan(path).identity == before.identity
    path.write_bytes(path.read_bytes() + b" ")
    assert plan(path).identity != before.identity
    result = run_trial(before, tmp_path / "trial")
    assert result["status"] == "failed"
    assert "is not what it was when the trial was planned" in result["error"]


def test_a_hash_that_is_given_stays(source):
    given = "0" * 64
    assert hash_in(plan(source, f"trial.init_from_sha256 = {given!r}")) == given


@pytest.mark.parametrize(
    "binding, message",
    [
        ("trial.init_from = 'nowhere'", "trial.init_from: There is nothing at 'nowhere'"),
        ("trial.init_from = 3", "init_from = 3 has the wrong type"),
        ("trial.lmbda_warmup = 7", "trial.lmbda_warmup is 7"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_is_trained(source, binding, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        plan(source, binding)


def test_a_file_of_another_model_fails_the_trial_by_name(source, tmp_path):
    trial = plan_sweep(
        Sweep(["lenet300_100"], ["none"], [], [0]), [f"trial.init_from = {str(source)!r}"]
    ).trials[0]
    result = run_trial(trial, tmp_path)
    assert result["status"] == "failed" and "is not of this model" in result["error"]
    assert "fc_3/kernel" in result["error"]
