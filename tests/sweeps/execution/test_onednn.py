"""Tests that a trial has oneDNN's kernels or not as it wants, and that its result says so."""

from __future__ import annotations

import os

import pytest

from lambdapress.framework.surgery.private import uses_onednn
from lambdapress.sweeps import run_sweep
from lambdapress.sweeps.execution.job import ExecutionError
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import plan
from lambdapress.sweeps.results.provenance import environment
from lambdapress.sweeps.worker_process import ONEDNN, Death

SHORT = ["digits.epochs = 1", "digits.batch_size = 600"]


def test_a_trial_knows_what_it_wants_and_nothing_said_changes_no_identity():
    wants = {"trial.onednn": [False, True, None]}
    off, on, either = plan(Sweep(["digits"], ["none"], grid=wants), SHORT).trials
    assert (off.onednn, on.onednn, either.onednn) == (False, True, None)
    assert len({off.identity, on.identity, either.identity}) == 3
    (silent,) = plan(Sweep(["digits"], ["none"]), SHORT).trials
    assert silent.onednn is None and "onednn" not in silent.config


def test_one_worker_runs_trials_with_and_without(tmp_path, monkeypatch):
    monkeypatch.setenv(ONEDNN, "1")
    wants = {"trial.onednn": [False, None]}
    frame = run_sweep(Sweep(["digits"], ["none"], grid=wants), tmp_path, gin=SHORT, workers=1)
    assert set(frame["status"]) == {"ok"}, frame["error"].tolist()
    found = {row["gin:trial.onednn"]: row["environment:onednn"] for _, row in frame.iterrows()}
    assert found == {False: "off", None: "on"}
    assert os.environ[ONEDNN] == "1"


def test_a_process_that_has_other_kernels_does_not_run_the_trial(tmp_path):
    now = uses_onednn()
    sweep = Sweep(["digits"], ["none"], grid={"trial.onednn": [not now]})
    with pytest.raises(
        ExecutionError, match=f"trial.onednn = {not now}, .*TF_ENABLE_ONEDNN_OPTS={int(not now)}"
    ):
        run_sweep(sweep, tmp_path, gin=SHORT, executor="here")
    assert not list(tmp_path.rglob("result.json"))
    frame = run_sweep(
        Sweep(["digits"], ["none"], grid={"trial.onednn": [now]}), tmp_path, gin=SHORT, executor="here"
    )
    assert frame["status"].tolist() == ["ok"]


def test_the_environment_says_what_is_in_use():
    assert environment()["onednn"] == ("on" if uses_onednn() else "off")


def test_a_death_without_onednn_does_not_suspect_it(monkeypatch):
    monkeypatch.delenv(ONEDNN, raising=False)
    assert "oneDNN" in str(Death.of(-6, "free(): invalid pointer"))
    assert "oneDNN" not in str(Death.of(-6, "free(): invalid pointer", onednn=False))
