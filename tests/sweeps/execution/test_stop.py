"""Tests `sweep.stop`: what cannot win stops, what can is what it would be without, and results say which."""

from __future__ import annotations

import dataclasses
import json
import logging
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from lambdapress.framework.task import tasks
from lambdapress.framework.training import checkpoint
from lambdapress.sweeps.cli.run import _report
from lambdapress.sweeps.execution.sweep import run_plan, states
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import Plan, plan
from lambdapress.sweeps.report.plot import draw
from lambdapress.sweeps.report.tables import render
from lambdapress.sweeps.results.comparison import compare
from lambdapress.sweeps.results.summary import summarise
from lambdapress.sweeps.results.traces import Finished, Stop, read_trace
from lambdapress.sweeps.trial import callbacks
from lambdapress.sweeps.trial.run import run_trial
from lambdapress.sweeps.trial.trial import Trial
from lambdapress.tasks.digits import Digits

RATES = {"learning_rate": [3e-3, 1e-5]}  # the second learns next to nothing


@tasks.register("restless")
@dataclasses.dataclass(frozen=True)
class Restless(Digits):
    """Small, for speed; has layers that are random or have weights that are not trained.

    Attributes:
      draws: whether its evaluation and its training draw random numbers from every source there is.
    """

    draws: bool = False

    def build_model(self):
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.InputLayer((8, 8, 1)),
                layers.Flatten(),
                layers.Dropout(0.1),
                layers.BatchNormalization(),
                layers.Dense(10),
            ]
        )

    def evaluate(self, model, split="test"):
        if self.draws:
            random.random(), np.random.random()
            tf.random.normal([3]), tf.random.uniform([2], seed=3)
            tf.keras.layers.Dropout(0.5)(tf.ones([4]), training=True)
        return super().evaluate(model, split)

    def train(self, model, callbacks=(), checkpoint_dir=None):
        """Trains with noise after each epoch, if it draws."""

        def noise(epoch, logs):
            drawn = random.random() + np.random.random() + float(tf.random.normal([]))
            model.layers[-2].gamma.assign_add(tf.fill([64], 0.01 * drawn))

        if self.draws:
            callbacks = [*callbacks, tf.keras.callbacks.LambdaCallback(on_epoch_end=noise)]
        super().train(model, callbacks, checkpoint_dir)


def planned(stop: str | None = "dominated", algorithms=("none", "epr"), task="restless", **more) -> Plan:
    lmbdas = {"epr": more.pop("lmbdas", [1.0])}
    gin = [f"{task}.epochs = 4", f"{task}.batch_size = 64"]
    if "grid" in more:
        more["grid"] = {f"{task}.{name}": values for name, values in more["grid"].items()}
    more.setdefault("stop_settings", {"bytes": 0.1} if stop else None)  # of four epochs, what differs little
    return plan(Sweep([task], algorithms, lmbdas, stop=stop, **more), gin)


def file(out: Path, trial: Trial, name: str = "model.lpz") -> bytes:
    return (out / trial.directory_name / name).read_bytes()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of digits over a good and a bad learning rate, in a worker process."""
    out = tmp_path_factory.mktemp("digits")
    made = planned(grid=RATES, task="digits")
    return out, made, run_plan(made, out, workers=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The same of a small task, in this process."""
    out = tmp_path_factory.mktemp("small")
    made = planned(grid=RATES)
    return out, made, run_plan(made, out, executor="here")


def of(frame, made: Plan, rate: float, algorithm: str = "epr"):
    trials = [t for t in made.trials if rate in t.overrides.values() and t.algorithm == algorithm]
    return frame.set_index("identity").loc[[trial.identity for trial in trials]], trials


def test_what_cannot_win_is_stopped_and_what_can_is_not(swept):
    out, made, frame = swept
    good, (best,) = of(frame, made, 3e-3)
    bad, _ = of(frame, made, 1e-5)
    assert list(good["status"]) == ["ok"] and list(bad["status"]) == ["stopped"]
    (row,) = (row for _, row in bad.iterrows())
    reason = (
        r"After 1 of 4 epochs it had [\d,]+ bytes and accuracy 0\.\d{4} on validation; "
        rf"{re.escape(best.directory_name)} had [\d,]+ and 0\.\d{{4}} after 1 of 4\."
    )
    assert re.fullmatch(reason, row["error"])
    assert row["all_epochs"] == 1 and 0 < row["all_train_seconds"] == row["train_seconds"]
    assert np.isnan(row["size_bytes"]) and np.isnan(row["metric"])
    assert not (Path(row["directory"]) / "model.lpz").exists()
    assert not (Path(row["directory"]) / "checkpoint").exists()


def test_baselines_run_to_their_end_however_bad(swept):
    _, made, frame = swept
    rows, _ = of(frame, made, 1e-5, "none")
    assert list(rows["status"]) == ["ok"]


def test_stopped_trials_are_shown_and_are_in_no_mean(swept):
    out, made, frame = swept
    rows = summarise(frame)
    stopped = rows[rows["n_stopped"] > 0]
    assert list(stopped["n"]) == [0] and list(stopped["n_failed"]) == [0]
    assert not stopped["pareto"].any() and stopped["size_bytes"].isna().all()
    assert list(stopped["failures"]) == [""]
    for style in ("terminal", "markdown"):
        table = render(rows, style)
        assert "stopped" in table and "Stopped trials: 1" in table and "Failed trials" not in table
        assert table.count("After 1 of 4 epochs") == 1
    (axes,) = draw(frame).axes
    assert axes.get_title(loc="right") == "1 trial stopped"
    without = frame[frame["status"] == "ok"]
    kept = [name for name in summarise(without).columns if name not in ("n_stopped", "stops")]
    finished = rows[rows["n"] > 0].reset_index(drop=True)
    assert finished[kept].equals(summarise(without)[kept]), "the others' numbers are those without them"


def test_a_sweep_with_stopped_trials_has_succeeded(swept, tmp_path, capsys):
    _report(swept[2], tmp_path)
    assert "1 of 4 trials stopped; without sweep.stop they run to their end." in capsys.readouterr().out
    assert "After 1 of 4 epochs" in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_curves_are_compared_without_stopped_trials(swept):
    _, _, frame = swept
    other = frame.assign(algorithm=frame["algorithm"].replace("epr", "rpe"), identity=frame["identity"] + "b")
    both = [frame[frame["algorithm"] == "epr"], other[other["algorithm"] == "rpe"]]
    compared = compare(pd.concat(both, ignore_index=True), "epr")
    assert len(compared) == 1 and "1e-05" not in compared["overrides"].iloc[0]


def test_means_over_the_seeds_that_did_better_are_said_to_be_such(swept):
    _, _, frame = swept
    one = frame[(frame["algorithm"] == "epr") & (frame["status"] == "ok")].iloc[:1]
    other = one.assign(seed=1, identity="b", status="stopped", error="After 1 of 4 epochs …", directory="b")
    assert "stopped trials are in no mean" in render(summarise(pd.concat([one, other], ignore_index=True)))
    assert "stopped trials are in no mean" not in render(summarise(one))


def test_a_trial_that_is_not_stopped_is_the_same_without_and_has_the_same_identity(small, tmp_path):
    out, made, frame = small
    plain = planned(None, grid={"learning_rate": [3e-3]})
    run_plan(plain, tmp_path, executor="here")
    for trial in plain.trials:
        assert trial in made.trials
        for name in ("model.lpz", "epochs.csv"):
            assert file(tmp_path, trial, name) == file(out, trial, name), name
        assert not (tmp_path / trial.directory_name / "trace.json").exists()
        assert (out / trial.directory_name / "trace.json").exists() == (trial.algorithm != "none")


def test_a_stopped_trial_runs_again_only_where_nothing_stops(small, tmp_path):
    out, made, frame = small
    copy = shutil.copytree(out, tmp_path / "copy")
    assert sorted(states(made, copy).values()) == ["ok", "ok", "ok", "stopped"]
    before = {path: path.read_bytes() for path in copy.rglob("result.json")}
    run_plan(made, copy, executor="here")
    run_plan(made, copy, executor="here", retry_failed=True)
    assert {path: path.read_bytes() for path in copy.rglob("result.json")} == before, "nothing runs unasked"

    plain = planned(None, grid=RATES)
    assert plain.trials == made.trials
    assert sorted(states(plain, copy).values()) == ["ok", "ok", "ok", "to run"]
    frame = run_plan(plain, copy, executor="here")
    assert list(frame["status"]) == ["ok"] * 4


def test_a_child_of_a_stopped_trial_is_blocked_until_its_parent_runs(tmp_path, small):
    out, made, frame = small
    _, (best,) = of(frame, made, 3e-3)
    champion(out / best.directory_name, tmp_path / "champion")
    chain = planned(algorithms=["epr"], start="previous", lmbdas=[0.2, 1.0])
    frame = run_plan(chain, tmp_path, executor="here").set_index("identity")
    first, second = (frame.loc[trial.identity] for trial in chain.trials)
    assert (first["status"], second["status"]) == ("stopped", "blocked")
    assert second["error"].startswith("It starts from restless epr λ=0.2 seed=0, which stopped: After 1 of 4")
    assert list(states(chain, tmp_path).values()) == ["stopped", "blocked"]
    plain = planned(None, algorithms=["epr"], start="previous", lmbdas=[0.2, 1.0])
    assert list(states(plain, tmp_path).values()) == ["to run", "to run"]


def test_trials_after_as_many_others_are_compared(tmp_path, small):
    """What began from a trained model is further at any share of its own training."""
    out, made, frame = small
    _, (best,) = of(frame, made, 3e-3)
    best_dir = champion(out / best.directory_name, tmp_path / "champion", trials_before=1)
    chain = planned(algorithms=["epr"], start="previous", lmbdas=[0.2, 1.0])
    frame = run_plan(chain, tmp_path, executor="here").set_index("identity")
    assert [frame.loc[trial.identity, "status"] for trial in chain.trials] == ["ok", "stopped"]
    assert best_dir.name in frame.loc[chain.trials[1].identity, "error"]


def champion(source: Path, target: Path, **changes) -> Path:
    """A finished trial that was better than any other from the first epoch on."""
    shutil.copytree(source, target)
    path = target / "trace.json"
    known = json.loads(path.read_text())
    known["points"] = {str(done): [1.0, 1.0] for done in range(1, known["epochs"])}
    known["of"] |= changes
    path.write_text(json.dumps(known))
    result = json.loads((target / "result.json").read_text())
    (target / "result.json").write_text(json.dumps({**result, "identity": "a" * 16}))
    return target


def trial(algorithm: str = "epr", gin: str = "", task: str = "restless") -> Trial:
    lines = [f"{task}.epochs = 2", f"{task}.batch_size = 256", *filter(None, [gin])]
    return Trial(task, algorithm, 0.5, 0, "\n".join(lines) + "\n")


@pytest.fixture
def beside(small, tmp_path):
    """A folder for a trial, and what makes a champion stand beside it."""
    out, made, frame = small
    _, (best,) = of(frame, made, 3e-3)
    return tmp_path / "trial", lambda **changes: champion(
        out / best.directory_name, tmp_path / "best", **changes
    )


def status(directory: Path, which: Trial | None = None, **settings) -> str:
    return run_trial(which or trial(), directory, stop=Stop(**settings))["status"]


def test_nothing_stops_before_its_share(beside):
    directory, place = beside
    place()
    assert status(directory) == "stopped"
    assert status(directory, after=0.6) == "ok", "half of its training is not enough"


def test_trials_without_a_result_of_today_are_not_compared(beside, caplog):
    directory, place = beside
    best = place()

    def listed() -> list[str]:
        return [name for name, _ in Finished(directory)]

    assert listed() == [best.name] and not list(Finished(best)), "not with itself"
    path = best / "result.json"
    result = json.loads(path.read_text())
    for change in (
        {"status": "failed", "error": "x"},
        {"status": "stopped", "error": "x"},
        {"code": dict.fromkeys(result["code"], "0" * 16)},
    ):
        path.write_text(json.dumps({**result, **change}))
        assert listed() == [], change
    path.unlink()
    waiting = Finished(directory)
    assert list(waiting) == []
    path.write_text(json.dumps(result))
    assert len(list(waiting)) == 1, "it has finished meanwhile"
    (best / "trace.json").unlink()
    assert listed() == [] and not caplog.text, "it was not asked for"
    (best / "trace.json").write_text("{")
    assert listed() == []
    assert "trace.json" in caplog.text and "Nothing is compared with it" in caplog.text


def test_a_larger_lmbda_is_not_stopped_by_a_better_metric(tmp_path):
    """Trials along one curve, the best metric first, without any margin."""
    curve = planned(algorithms=["epr"], lmbdas=[0.02, 5.0], stop_settings={"bytes": 0, "metric": 0})
    frame = run_plan(curve, tmp_path, executor="here")
    assert list(frame["status"]) == ["ok", "ok"]
    small, large = (read_trace(tmp_path / t.directory_name) for t in curve.trials)
    assert small and large
    assert all(large.points[n][0] < small.points[n][0] for n in large.points)
    assert any(large.points[n][1] < small.points[n][1] for n in large.points), "and has a worse metric"


def test_what_decides_its_size_at_the_end_is_not_compared(beside, caplog):
    directory, place = beside
    place()
    with caplog.at_level(logging.WARNING):
        assert status(directory, trial("uniform")) == "ok"
    assert "is not stopped: uniform has no size before training ends" in caplog.text
    assert read_trace(directory) is None


@pytest.mark.parametrize("algorithm", ["epr", "power_law", "half"])
def test_the_size_so_far_is_that_of_the_file(tmp_path, algorithm):
    """After the last but one of many short epochs: about the size of the file, whatever unit the rate has."""
    gin = "restless.epochs = 6\n"
    result = run_trial(trial(algorithm, gin), tmp_path / "trial", stop=Stop())
    assert result["status"] == "ok"
    trace = read_trace(tmp_path / "trial")
    assert trace is not None and sorted(trace.points) == [1, 2, 3, 4, 5] and trace.epochs == 6
    assert trace.points[5][0] == pytest.approx(result["size_bytes"], rel=0.25)
    assert trace.constant == pytest.approx(0.1, abs=0.05)


def test_where_nothing_is_held_out_the_test_split_decides(tmp_path):
    assert status(tmp_path / "trial", trial(gin="restless.validation_examples = 0")) == "ok"
    trace = read_trace(tmp_path / "trial")
    assert trace is not None and trace.of["split"] == "test"


@pytest.mark.parametrize("draws", [False, True])
def test_measuring_changes_nothing_in_the_training(tmp_path, draws):
    gin = f"restless.draws = {draws}\nrestless.epochs = 3\ntrial.lmbda_warmup = 0.5"
    one = trial(gin=gin)
    results = [run_trial(one, tmp_path / "on", stop=Stop()), run_trial(one, tmp_path / "off")]
    assert [result["error"] for result in results] == [None, None]
    for name in ("model.lpz", "epochs.csv"):
        assert (tmp_path / "on" / name).read_bytes() == (tmp_path / "off" / name).read_bytes(), name
    assert read_trace(tmp_path / "on") is not None


class Killed(BaseException):
    """Stands for the end of the process: no trial takes it for its own."""


def test_a_trial_that_is_killed_goes_on_with_its_trace(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    monkeypatch.setattr(callbacks, "REPORT_SECONDS", 0)
    one = trial(gin="restless.epochs = 5")

    def report(state):
        if state.get("epoch") == 3:
            raise Killed

    with pytest.raises(Killed):
        run_trial(one, tmp_path / "killed", report, stop=Stop())
    before = read_trace(tmp_path / "killed")
    assert before is not None and sorted(before.points) == [1, 2]
    assert run_trial(one, tmp_path / "calm", stop=Stop())["status"] == "ok"
    damaged = shutil.copytree(tmp_path / "killed", tmp_path / "damaged")
    (damaged / "trace.json").write_text("{}")
    for name in ("killed", "damaged"):
        # The calm one is a finished trial beside them by now, no better and no worse.
        assert run_trial(one, tmp_path / name, stop=Stop())["status"] == "ok"
        for content in ("trace.json", "model.lpz", "epochs.csv"):
            assert (tmp_path / name / content).read_bytes() == (tmp_path / "calm" / content).read_bytes()


def test_one_graph_evaluates_all_epochs(monkeypatch):
    """And gives what `evaluate` gives, also where a subclass has an `evaluate` of its own."""
    task = Digits()
    model = task.build_model()
    prepare, times = Digits._prepare, []
    monkeypatch.setattr(Digits, "_prepare", lambda self, *a: times.append(a) or prepare(self, *a))
    evaluate = task.evaluator(model, "validation")
    for _ in range(3):
        found = evaluate()
        assert len(times) == 1
        model.set_weights([weight * 0.5 + 0.01 for weight in model.get_weights()])
    assert evaluate().values != found.values
    assert evaluate().values == task.evaluate(model, "validation").values and len(times) == 2
