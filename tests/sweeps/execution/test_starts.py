"""Tests trials that start from others: plans with edges, what is carried over, and failures on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lambdapress.framework import load, to_plain
from lambdapress.sweeps.execution.executor import run_jobs
from lambdapress.sweeps.execution.here import Here
from lambdapress.sweeps.execution.job import Job
from lambdapress.sweeps.execution.progress import Watcher
from lambdapress.sweeps.execution.sweep import run_plan, states
from lambdapress.sweeps.gin.bindings import ConfigError
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import Plan, plan
from lambdapress.sweeps.report.tables import render
from lambdapress.sweeps.results.summary import summarise
from lambdapress.sweeps.trial.trial import Trial
from lambdapress.tasks.digits import Digits

ALGORITHMS = ["epr", "none", "uniform"]
SHORT = ["digits.epochs = 2", "digits.batch_size = 256"]


def planned(start: str, lmbdas: object = (0.1, 2.0, 0.5), algorithms: object = ALGORITHMS, **more) -> Plan:
    sweep = Sweep(["digits"], algorithms, lmbdas, more.pop("seeds", [0, 1]), start=start, **more)
    return plan(sweep, SHORT)


def edges(plan: Plan) -> dict[str, str | None]:
    return {str(trial): str(trial.parent) if trial.parent else None for trial in plan.trials}


def test_from_scratch_there_are_no_edges_and_the_same_identities():
    assert set(edges(planned("scratch")).values()) == {None}
    assert planned("scratch") == plan(Sweep(["digits"], ALGORITHMS, (0.1, 2.0, 0.5), [0, 1]), SHORT)


def test_each_trial_of_a_seed_starts_from_its_baseline():
    found = edges(planned("baseline"))
    assert len(found) == 14
    for child, parent in found.items():
        seed = child.rpartition(" ")[2]
        assert parent == (None if "none" in child else f"digits none λ=0 {seed}")


def test_each_trial_starts_from_the_next_smaller_lmbda():
    found = edges(planned("previous", algorithms=["epr", "none"], seeds=[3]))
    assert found == {
        "digits none λ=0 seed=3": None,
        "digits epr λ=0.1 seed=3": "digits none λ=0 seed=3",
        "digits epr λ=0.5 seed=3": "digits epr λ=0.1 seed=3",
        "digits epr λ=2 seed=3": "digits epr λ=0.5 seed=3",
    }
    assert edges(planned("previous", algorithms=["epr"], seeds=[3]))["digits epr λ=0.1 seed=3"] is None


@pytest.mark.parametrize("start", ["baseline", "previous"])
def test_parents_come_first_and_count_towards_the_identity(start):
    trials = planned(start).trials
    for index, trial in enumerate(trials):
        assert trial.parent is None or trial.parent in trials[:index]
    alone = {(t.algorithm, t.lmbda, t.seed): t.identity for t in planned("scratch").trials}
    for trial in trials:
        same = trial.identity == alone[trial.algorithm, trial.lmbda, trial.seed]
        assert same == (trial.parent is None)


def test_a_parent_s_settings_count_towards_its_children_s_identities():
    one, other = (
        plan(Sweep(["digits"], ["none", "epr"], [1.0], start="baseline"), [f"digits.epochs = {n}"]).trials[1]
        for n in (2, 3)
    )
    same = Trial(one.task, one.algorithm, one.lmbda, one.seed, one.config, parent=other.parent)
    assert same.identity != one.identity


def test_epochs_of_their_own():
    trials = planned("baseline", start_epochs=1, seeds=[0], grid={"digits.batch_size": [64, 128]}).trials
    for trial in trials:
        epochs, said = (1, True) if trial.parent else (2, False)
        assert f"digits.epochs = {epochs}" in trial.config
        assert (trial.overrides.get("digits.epochs") == 1) == said
        assert trial.overrides.get("sweep.start") == ("baseline" if said else None)
        if trial.parent:
            assert trial.parent.overrides["digits.batch_size"] == trial.overrides["digits.batch_size"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"start": "before"}, "sweep.start is 'before'; give one of scratch, baseline, previous"),
        ({"start": "baseline", "algorithms": ["epr"]}, "add 'none' to sweep.algorithms"),
        ({"start": "scratch", "start_epochs": 3}, "set sweep.start, too"),
        ({"start": "previous", "start_epochs": 0}, "sweep.start_epochs has 0"),
        ({"start": "previous", "start_epochs": {"digits": True}}, "sweep.start_epochs has True"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises((ValueError, ConfigError), match=message):
        planned(**arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Plan, object]:
    out = tmp_path_factory.mktemp("starts")
    sweep = Sweep(
        ["digits"], ["uniform", "epr", "none"], {"epr": [0.02, 1.0], "uniform": [0.1]}, start="previous"
    )
    made = plan(sweep, ["digits.epochs = 4", "digits.batch_size = 64"])
    return out, made, run_plan(made, out, executor="here")


def test_results_say_what_came_before(finished):
    out, made, frame = finished
    rows = {identity: row for identity, row in frame.set_index("identity").iterrows()}
    for trial in made.trials:
        row, parent = rows[trial.identity], trial.parent
        assert row["status"] == "ok" and row["parent"] == (parent.identity if parent else None)
        before = rows[parent.identity] if parent else {"all_epochs": 0, "all_train_seconds": 0.0}
        assert row["all_epochs"] == before["all_epochs"] + 4
        assert row["all_train_seconds"] == pytest.approx(before["all_train_seconds"] + row["train_seconds"])
    table = render(summarise(frame), "markdown")
    assert "epochs in all" in table and "start=previous" in table


def test_a_curve_begins_where_its_parent_ended(finished):
    """Four epochs from the baseline are better than four from scratch, for the same λ."""
    out, made, frame = finished
    scratch = plan(Sweep(["digits"], ["epr"], [0.02]), ["digits.epochs = 4", "digits.batch_size = 64"])
    alone = run_plan(scratch, out / "scratch", executor="here")
    child = frame[(frame["algorithm"] == "epr") & (frame["lmbda"] == 0.02)]
    assert child["metric"].iloc[0] > alone["metric"].iloc[0]


def test_without_training_a_child_is_its_parent(tmp_path):
    """Latents and steps are those of the parent's file, bit for bit."""
    gin = ["digits.epochs = 1", "digits.batch_size = 256"]
    made = plan(Sweep(["digits"], ["epr"], [0.1, 0.2], start="previous"), gin)
    parent, child = made.trials
    idle = Trial(
        child.task,
        child.algorithm,
        child.lmbda,
        child.seed,
        child.config + "\ntrial.train = False\n",
        {},
        parent,
    )
    results = run_jobs(
        [Job(t, tmp_path / t.directory_name) for t in (parent, idle)], Here(None, 2), Watcher({}, 2)
    )
    assert [result["status"] for result in results.values()] == ["ok", "ok"]
    plain = Digits().build_model()
    models = [to_plain(load(tmp_path / t.directory_name / "model.lpz", plain)) for t in (parent, idle)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_children_of_a_failed_trial_are_blocked_until_it_is_retried(tmp_path, monkeypatch):
    made = plan(Sweep(["digits"], ["none", "epr"], [0.1, 0.5], start="previous"), SHORT)
    train = Digits.train

    def fail(self, model, **arguments):
        raise RuntimeError("as asked for")

    monkeypatch.setattr(Digits, "train", fail)
    frame = run_plan(made, tmp_path, executor="here").set_index("identity")
    found = [frame.loc[trial.identity] for trial in made.trials]
    assert [row["status"] for row in found] == ["failed", "blocked", "blocked"]
    assert found[1]["error"].startswith(
        "It starts from digits none λ=0 seed=0, which failed: RuntimeError: as asked"
    )
    assert found[2]["error"].startswith(
        "It starts from digits epr λ=0.1 seed=0, which blocked: It starts from"
    )
    assert "which failed: RuntimeError" in render(summarise(frame.reset_index()))
    assert list(states(made, tmp_path).values()) == ["failed", "blocked", "blocked"]

    monkeypatch.setattr(Digits, "train", train)
    again = run_plan(made, tmp_path, executor="here")
    assert sorted(again["status"]) == ["blocked", "blocked", "failed"], "nothing runs unasked"
    again = run_plan(made, tmp_path, executor="here", retry_failed=True)
    assert list(again["status"]) == ["ok", "ok", "ok"]


def test_a_child_waits_for_a_parent_that_another_runs(tmp_path):
    """Whoever runs the parent: the child starts once that has its result."""
    made = plan(Sweep(["digits"], ["none", "uniform"], [0.1], start="baseline"), SHORT)
    parent, child = made.trials
    seen = []

    class Watching(Here):
        def submit(self, job):
            seen.append(job.trial)
            super().submit(job)

    jobs = [Job(t, tmp_path / t.directory_name) for t in (child, parent)]  # in the wrong order
    run_jobs(jobs, Watching(None, 2), Watcher({}, 2))
    assert seen == [parent, child]


def test_what_started_from_older_code_is_of_older_code(tmp_path, monkeypatch):
    made = plan(Sweep(["digits"], ["none", "uniform"], [0.1], start="baseline"), SHORT)
    run_plan(made, tmp_path, executor="here")
    assert list(states(made, tmp_path).values()) == ["ok", "ok"]
    path = tmp_path / made.trials[0].directory_name / "result.json"
    text = path.read_text()
    assert '"lambdapress.algorithms.none"' in text or "algorithms/none.py" in text
    import json

    record = json.loads(text)
    record["code"] = {name: "0" * len(value) for name, value in record["code"].items()}
    path.write_text(json.dumps(record))
    assert list(states(made, tmp_path).values()) == ["stale", "stale"]
