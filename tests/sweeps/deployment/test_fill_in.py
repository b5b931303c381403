"""Tests that finished trials get the metrics that they lack, without training and without losing anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import filelock
import pytest
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.deployment.fill_in import FillInError, fill_in, unfilled
from lambdapress.sweeps.execution.sweep import run_sweep
from lambdapress.sweeps.gin.isolation import isolated
from lambdapress.sweeps.results.frames import load_results
from lambdapress.sweeps.results.records import RECORDS, read_records
from lambdapress.sweeps.results.schema import read_result
from lambdapress.sweeps.trial.trial import LOCK

GOLDEN = Path(__file__).parents[2] / "golden" / "trial"  # of schema 1: one metric on the test split


@pytest.fixture
def trial(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "runs" / "trial"))


def test_an_old_trial_gets_all_that_its_task_measures_now(trial):
    before = json.loads((trial / "result.json").read_text())
    model = (trial / "model.lpz").read_bytes()
    assert fill_in(trial)
    record = read_result(trial / "result.json")
    assert set(record["metrics"]) == {"accuracy", "top_5", "nll"}
    for metric in record["metrics"].values():
        assert set(metric["value"]) == {"validation", "test"} == set(metric["constant"])
    assert record["metrics"]["accuracy"]["value"]["test"] == before["metric"]
    kept = ("identity", "size_bytes", "train_seconds", "versions", "attempts")
    assert all(record[name] == before[name] for name in kept)
    assert (trial / "model.lpz").read_bytes() == model
    records = read_records(trial / RECORDS)
    assert (records["label"] == records["predicted"]).mean() == before["metric"]
    assert not fill_in(trial), "there is nothing more to add"


def test_only_the_metric_that_is_asked_for(trial):
    assert unfilled(trial.parent, "top_5") == [trial]
    assert fill_in(trial, "top_5")
    assert set(read_result(trial / "result.json")["metrics"]) == {"accuracy", "top_5"}
    assert unfilled(trial.parent, "top_5") == [] and unfilled(trial.parent) == [trial]
    assert load_results(trial.parent, "top_5")["metric"][0] > 0.9


def test_what_no_longer_fits_is_refused_and_nothing_changes(trial):
    record = json.loads((trial / "result.json").read_text())
    (trial / "result.json").write_text(json.dumps({**record, "metric": 0.5}))
    before = (trial / "result.json").read_text()
    with pytest.raises(FillInError, match="measures accuracy = .* on test where the result says 0.5"):
        fill_in(trial)
    (trial / "result.json").write_text(json.dumps(record))
    with pytest.raises(FillInError, match="'digits' does not measure 'top_6' .did you mean 'top_5'"):
        fill_in(trial, "top_6")
    with filelock.FileLock(trial / LOCK), pytest.raises(FillInError, match="another process is at work"):
        fill_in(trial)
    assert json.loads(before)["metric"] == 0.5 and not (trial / RECORDS).exists()
    assert json.loads((trial / "result.json").read_text()) == record


def test_the_command_takes_folders_and_files_and_says_which_is_which(trial):
    def invoke(*arguments):
        return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])

    assert "completed 1 of 1 results" in invoke(trial.parent).output
    assert "completed 0 of 1 results" in invoke(trial.parent).output
    shown = invoke(trial / "model.lpz", "--task", "digits").output
    assert "accuracy" in shown and "on validation" in shown and "10,400 bytes" in shown
    assert "--task names its task" in invoke(trial / "model.lpz").output
    assert "for a file" in invoke(trial.parent, "--task", "digits").output


def test_a_native_death_costs_one_trial_and_is_told(trial, tmp_path, monkeypatch):
    """A folder's other trials are evaluated, whichever of them comes first."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    sweep = tmp_path / "fragile.gin"
    sweep.write_text(
        "import fragile_task\nsweep.tasks = ['fragile']\nsweep.algorithms = ['none']\nfragile.fault = ''\n"
    )
    with isolated():
        frame = run_sweep(sweep, trial.parent / "a", executor="here")
    config = Path(frame["directory"][0]) / "config.gin"
    text = config.read_text()
    assert "fragile.fault = ''" in text
    config.write_text(text.replace("fragile.fault = ''", "fragile.fault = 'native evaluation'"))
    result = json.loads((config.parent / "result.json").read_text())
    ran = CliRunner().invoke(main, ["evaluate", str(trial.parent)])
    assert ran.exit_code == 1, ran.output
    assert "completed 1 of 2 results; 1 could not be evaluated" in ran.output
    assert f"{config.parent}: the process died by SIGABRT: free(): invalid pointer" in ran.output
    assert set(read_result(trial / "result.json")["metrics"]) == {"accuracy", "top_5", "nll"}
    assert json.loads((config.parent / "result.json").read_text()) == result
