"""Tests trials that store a trained model with other steps: by a sweep, and from a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lambdapress.framework import load, size_report
from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.execution.sweep import run_plan, states
from lambdapress.sweeps.gin.bindings import ConfigError
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import plan
from lambdapress.sweeps.plan.recorded import recorded, requantise_plan
from lambdapress.sweeps.results.frames import load_results
from lambdapress.tasks.digits import Digits

SHORT = ["digits.epochs = 2", "digits.batch_size = 64"]


def sweep(**more) -> Sweep:
    arguments = {"lmbdas": [0.3], "requantise": [1.5, 3], **more}
    return Sweep(["digits"], ["none", "epr", "pruning"], **arguments)


def test_each_model_with_steps_gets_its_rows_and_others_stay_the_same():
    with_factors, without = plan(sweep(), SHORT), plan(sweep(requantise=()), SHORT)
    added = [trial for trial in with_factors.trials if "trial.requantise" in trial.overrides]
    assert [trial for trial in with_factors.trials if trial not in added] == list(without.trials)
    assert [(t.algorithm, t.overrides["trial.requantise"]) for t in added] == [("epr", 1.5), ("epr", 3.0)]
    for trial in added:
        assert trial.parent in without.trials and trial.parent.lmbda == trial.lmbda
        assert "trial.requantise = " in trial.config


@pytest.mark.parametrize(
    "more, message",
    [
        ({"requantise": [0]}, "sweep.requantise has 0; a factor of the steps is above 0"),
        ({"requantise": [1]}, "and not 1, which is the trained model itself"),
        ({"requantise": [True]}, "sweep.requantise has True"),
        ({"requantise": [2, 2.0]}, "sweep.requantise has 2"),
        ({"requantise": [float("nan")]}, "sweep.requantise has nan"),
    ],
)
def test_mistakes_are_named(more, message):
    with pytest.raises(ValueError, match=message):
        sweep(**more)


def test_a_sweep_without_steps_is_refused():
    with pytest.raises(ConfigError, match="no algorithm of this sweep has steps"):
        plan(Sweep(["digits"], ["none", "pruning"], [0.1], requantise=[2]), SHORT)


def test_it_is_only_for_trials_that_start_from_others(tmp_path):
    planned = plan(Sweep(["digits"], ["epr"], [0.1]), [*SHORT, "trial.requantise = 2.0"])
    (row,) = run_plan(planned, tmp_path, executor="here").itertuples()
    assert row.status == "failed" and "set sweep.requantise" in row.error


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, object]:
    out = tmp_path_factory.mktemp("requantise")
    return out, run_plan(plan(sweep(start="previous", lmbdas=[0.1, 0.3]), SHORT), out, executor="here")


def test_coarser_steps_give_smaller_files_that_are_read_back(finished):
    out, frame = finished
    assert set(frame["status"]) == {"ok"}
    rows = frame[(frame["algorithm"] == "epr") & (frame["lmbda"] == 0.3)].set_index("gin:trial.requantise")
    sizes = [rows.loc[factor, "size_bytes"] for factor in (1.5, 3.0)]
    (trained,) = rows[rows.index.isna()].itertuples()
    assert trained.size_bytes > sizes[0] > sizes[1]
    for factor, size in zip((1.5, 3.0), sizes, strict=True):
        row = rows.loc[factor]
        path = Path(row["directory"]) / "model.lpz"
        assert path.stat().st_size == size == size_report(path).size_bytes
        found = Digits().evaluate(load(path, Digits().build_model()), "validation")
        assert found.values["accuracy"] == row["validation"]
        assert row["train_seconds"] == 0 and row["all_epochs"] == trained.all_epochs
        assert row["parent"] == trained.identity


def test_from_a_folder_it_plans_what_the_sweep_plans(finished):
    out, frame = finished
    planned = plan(sweep(start="previous", lmbdas=[0.1, 0.3]), SHORT)
    for trial in planned.trials:
        assert recorded(out / trial.directory_name) == trial
    parent = next(t for t in planned.trials if t.algorithm == "epr" and t.lmbda == 0.3)
    again = requantise_plan(out / parent.directory_name, [1.5, 3])
    assert set(states(again, out).values()) == {"ok"} and len(again.trials) == 3
    assert set(again.trials) <= set(planned.trials)


def test_the_command_adds_rows(finished, tmp_path):
    out, frame = finished
    shutil.copytree(out, tmp_path / "copy")
    rows = frame[(frame["algorithm"] == "epr") & frame["gin:trial.requantise"].isna()]
    folder = tmp_path / "copy" / Path(rows["directory"].iloc[0]).name
    result = CliRunner().invoke(main, ["requantise", str(folder), "--steps", "1,1.4"])
    assert result.exit_code == 0, result.output
    assert "none" in result.output and "drop" in result.output  # beside the baseline
    after = load_results(tmp_path / "copy")
    assert sorted(after["gin:trial.requantise"].dropna().unique()) == [1.4, 1.5, 3.0]
    assert len(after) == len(frame) + 1


@pytest.mark.parametrize("steps", ["", "a", "0", "-1"])
def test_the_command_refuses_other_factors(finished, steps):
    out, frame = finished
    result = CliRunner().invoke(main, ["requantise", frame["directory"].iloc[0], "--steps", steps])
    assert result.exit_code == 2 and "steps" in result.output


def test_folders_that_were_changed_are_refused(finished, tmp_path):
    out, frame = finished
    row = frame[(frame["algorithm"] == "epr") & (frame["lmbda"] == 0.1)].iloc[0]
    copy = tmp_path / Path(row["directory"]).name
    shutil.copytree(row["directory"], copy)
    with pytest.raises(ConfigError, match="whose folder is not beside it"):
        recorded(copy)
    baseline = frame[frame["algorithm"] == "none"].iloc[0]
    other = tmp_path / Path(baseline["directory"]).name
    shutil.copytree(baseline["directory"], other)
    (other / "config.gin").write_text("digits.epochs = 9\n")
    with pytest.raises(ConfigError, match="are not those of the trial"):
        recorded(other)
    record = json.loads((other / "result.json").read_text())
    (other / "result.json").write_text(json.dumps({**record, "parent": record["identity"]}))
    with pytest.raises(ConfigError, match="whose folder is not beside it"):
        recorded(other)  # from itself


def test_without_what_was_learned_a_trial_is_blocked(tmp_path):
    planned = plan(Sweep(["digits"], ["epr"], [0.1], requantise=[2]), [*SHORT, "trial.keep_trained = False"])
    frame = run_plan(planned, tmp_path, executor="here")
    assert sorted(frame["status"]) == ["blocked", "ok"]
    assert "trial.keep_trained = True" in frame[frame["status"] == "blocked"]["error"].iloc[0]
