"""Tests the messages about running and finished trials."""

from __future__ import annotations

import io
import os
import time

import pytest

from lambdapress.sweeps.execution import progress
from lambdapress.sweeps.trial.run import blank_result
from lambdapress.sweeps.trial.trial import PROGRESS, Trial

TRIAL = Trial("digits", "epr", 0.5, 1, "")
TRAIN = {"stage": "train", "epoch": 2, "epochs": 4, "step": 5, "steps": 10, "loss": 0.25}
ACCURACY = {"direction": "higher", "unit": "%", "value": {"validation": 0.6, "test": 0.5}}
OUTCOME = {
    "size_bytes": 1234,
    "metric_name": "accuracy",
    "metrics": {"accuracy": ACCURACY},
    "train_seconds": 2.0,
}
DONE = {**blank_result(TRIAL, 1), "status": "ok", **OUTCOME}
FAILED = {**DONE, "status": "failed", "error": "Traceback\n  x\nOops: y"}


def test_what_is_written_is_read_until_it_is_over_or_stale(tmp_path):
    writer = progress.Writer(tmp_path)
    assert progress.read(tmp_path) is None
    writer({"stage": "build"})
    assert progress.read(tmp_path) == {"stage": "build"}
    writer(TRAIN)  # a new stage is always written
    assert progress.read(tmp_path) == TRAIN
    writer({**TRAIN, "epoch": 3})  # too soon
    assert progress.read(tmp_path) == TRAIN
    old = time.time() - progress.STALE_SECONDS - 1
    os.utime(tmp_path / PROGRESS, (old, old))
    assert progress.read(tmp_path) is None
    writer.close()
    writer.close()
    assert not (tmp_path / PROGRESS).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": 3}', "\xff"])
def test_a_progress_file_that_makes_no_sense_is_ignored(tmp_path, text):
    (tmp_path / PROGRESS).write_text(text, encoding="latin-1")
    assert progress.read(tmp_path) is None


def test_fractions():
    assert progress.fraction({"stage": "build"}) == 0
    assert progress.fraction(TRAIN) == pytest.approx(1.5 / 4)
    assert progress.fraction({"stage": "compress"}) == 1
    assert progress.fraction({"stage": "train"}) == 0
    assert progress.fraction({**TRAIN, "steps": 0}) == 0.25


def test_a_line_a_finished_trial(tmp_path, capsys):
    with progress.Lines({tmp_path / "a": TRIAL, tmp_path / "b": TRIAL}, total=5) as watch:
        watch.finished(TRIAL, tmp_path / "a", DONE)
        watch.finished(TRIAL, tmp_path / "b", FAILED)
    assert capsys.readouterr().out.splitlines() == [
        "[4/5] digits epr λ=0.5 seed=1  1,234 bytes  accuracy 0.5000  2.0 s",
        "[5/5] digits epr λ=0.5 seed=1  failed: Oops: y",
    ]


def test_bars_for_the_sweep_and_for_each_trial_that_runs(tmp_path, monkeypatch):
    directories = [tmp_path / name for name in "ab"]
    for directory in directories:
        directory.mkdir()
    watch = progress.Bars(dict.fromkeys(directories, TRIAL), total=3)
    output = io.StringIO()
    watch._bars.console.file = output
    watch._bars.console._force_terminal = True
    with watch:
        progress.Writer(directories[0])(TRAIN)
        watch.look()
        assert [task.description for task in watch._bars.tasks] == ["[bold]sweep", str(TRIAL)]
        assert watch._bars.tasks[1].completed == pytest.approx(1.5 / 4)
        watch.finished(TRIAL, directories[0], DONE)
        assert len(watch._bars.tasks) == 1 and watch._bars.tasks[0].completed == 2
    assert "1,234 bytes" in output.getvalue() and "2 of 3 trials" in output.getvalue()
