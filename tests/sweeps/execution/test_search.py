"""Tests a search over hyper-parameters, with real trials."""

from __future__ import annotations

import json

import pytest

from lambdapress.sweeps import Sweep, run_sweep
from lambdapress.sweeps.execution import sweep as execution
from lambdapress.sweeps.report.plot import draw
from lambdapress.sweeps.report.tables import render
from lambdapress.sweeps.results.comparison import compare
from lambdapress.sweeps.results.curve_files import curves
from lambdapress.sweeps.results.frames import load_results
from lambdapress.sweeps.results.summary import summarise

SHORT = ["digits.epochs = 1", "digits.batch_size = 256"]
SEARCH = {
    "digits.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
    "uniform.per_channel": [False, True],
}


def sweep(**more) -> Sweep:
    arguments = {"search": SEARCH, "search_trials": 5, "start": "baseline", **more}
    return Sweep(["digits"], ["none", "uniform"], [0.01, 3.0], **arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("searched")
    return out, run_sweep(sweep(), out, executor="here", gin=SHORT)


def test_every_setting_runs_from_the_baseline(finished):
    _, frame = finished
    assert set(frame["status"]) == {"ok"}
    added = frame[frame["gin:digits.learning_rate"].notna()]
    assert len(added) == 5 and len(frame) == 1 + 2 + 5
    [baseline] = frame[frame["algorithm"] == "none"]["identity"]
    assert set(added["parent"]) == {baseline}


def test_a_rerun_proposes_the_same_and_a_longer_one_goes_on(finished, monkeypatch):
    out, frame = finished
    started = []
    monkeypatch.setattr(execution, "run_jobs", lambda jobs, *_: started.extend(jobs))
    again = run_sweep(sweep(), out, executor="here", gin=SHORT)
    assert set(again["identity"]) == set(frame["identity"]) and not started
    shorter = run_sweep(sweep(search_trials=4), out, executor="here", gin=SHORT)
    assert set(shorter["identity"]) < set(frame["identity"]) and not started


def test_a_lost_result_is_run_again_to_the_same_settings(finished):
    """The results are the search's only memory: nothing else is kept beside them."""
    out, frame = finished
    first = frame[frame["gin:digits.learning_rate"].notna()].iloc[0]
    path = out / first["directory"].rpartition("/")[2] / "result.json"
    path.unlink()
    again = run_sweep(sweep(), out, executor="here", gin=SHORT)
    assert set(again["identity"]) == set(frame["identity"])
    assert (
        again.set_index("identity")["size_bytes"].to_dict()
        == frame.set_index("identity")["size_bytes"].to_dict()
    )


def test_all_that_it_tried_is_one_curve(finished):
    out, _ = finished
    frame = load_results(out)
    summary = summarise(frame)
    text = render(summary, "markdown")
    assert "rate=0.0" in text and "channel=true" in text and "sweep.search" not in text
    [row] = compare(frame, "uniform").to_dict("records")
    assert json.loads(row["overrides"]) == {"sweep.search": True, "sweep.start": "baseline"}
    names = [curve["name"] for curve in curves(summary) if curve["name"].startswith("uniform")]
    assert len(names) == 2
    figure = draw(frame)
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert sum(label.startswith("uniform") for label in labels) == 2
