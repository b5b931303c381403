"""Tests λ that a sweep adds where its curves have gaps."""

from __future__ import annotations

import pytest

from lambdapress.framework import Compressible
from lambdapress.sweeps import Sweep, run_sweep
from lambdapress.sweeps.execution import sweep as execution
from lambdapress.sweeps.plan.plan import plan
from lambdapress.tasks.digits import Digits

SHORT = ["digits.epochs = 1", "digits.batch_size = 256"]


def sweep(**more) -> Sweep:
    return Sweep(["digits"], ["none", "uniform"], [0.01, 3.0], [0, 1], **more)


@pytest.mark.parametrize("refine", [-1, 1.5, True, 1000])
def test_mistakes_are_named(refine):
    with pytest.raises(ValueError, match=r"sweep.refine is .*; give how many λ to add, at most 100"):
        sweep(refine=refine)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("refined")
    return out, run_sweep(sweep(refine=2, start="previous"), out, executor="here", gin=SHORT)


def test_each_curve_gets_its_own_lmbdas_for_all_seeds(finished):
    _, frame = finished
    assert set(frame["status"]) == {"ok"}
    counts = frame[frame["algorithm"] == "uniform"].groupby("lmbda")["seed"].count()
    assert len(counts) == 4 and set(counts) == {2}
    assert counts.index[0] == 0.01 and counts.index[-1] == 3.0
    assert len(frame[frame["algorithm"] == "none"]) == 2


def test_the_sweep_s_own_trials_stay_what_they_are(finished):
    """An added λ starts from the next smaller one of the sweep's own, and none starts from it."""
    _, frame = finished
    own = {trial.identity for trial in plan(sweep(start="previous"), SHORT).trials}
    assert own <= set(frame["identity"])
    added = frame[~frame["identity"].isin(own)]
    assert len(added) == 4 and set(added["parent"]) <= own
    parents = frame.set_index("identity")["lmbda"]
    assert {parents[parent] for parent in added["parent"]} == {0.01}


def test_a_rerun_adds_the_same_and_runs_nothing(finished, monkeypatch):
    out, frame = finished
    before = set(frame["identity"])
    started = []
    monkeypatch.setattr(execution, "run_jobs", lambda jobs, *_: started.extend(jobs))
    again = run_sweep(sweep(refine=2, start="previous"), out, executor="here", gin=SHORT)
    assert set(again["identity"]) == before and not started
    fewer = run_sweep(sweep(refine=1, start="previous"), out, executor="here", gin=SHORT)
    assert set(fewer["identity"]) < before and len(fewer) == len(before) - 2


def test_what_failed_is_retried_once(tmp_path, monkeypatch):
    """Each added λ is a run of its own; a trial that fails again is not tried in every one of them."""
    tried = []
    train = Digits.train

    def fail(self, model, **arguments):
        tried.append(model.name)
        if isinstance(model, Compressible) and float(model.lmbda) == 3.0:
            raise RuntimeError("as asked for")
        train(self, model, **arguments)

    monkeypatch.setattr(Digits, "train", fail)
    one = Sweep(["digits"], ["uniform"], [0.01, 0.1, 3.0], refine=2)
    frame = run_sweep(one, tmp_path, executor="here", gin=SHORT)
    assert len(tried) == 5 and list(frame["status"]).count("failed") == 1
    run_sweep(one, tmp_path, executor="here", gin=SHORT, retry_failed=True)
    assert len(tried) == 6
