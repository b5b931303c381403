"""Tests model cards and trackers, read back by their own readers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.results.records import RECORDS, write_records
from lambdapress.sweeps.results.schema import ResultError
from lambdapress.sweeps.sharing.card import card
from lambdapress.sweeps.sharing.track import TrackError, track

sys.path.insert(0, str(Path(__file__).parents[1] / "page"))
from made_results import made_sweep, result, write  # noqa: E402


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    folder = write(tmp_path, result("made", "epr", 1.0, 3, "a" * 16))
    labels = np.arange(200) % 4
    predicted = np.where(np.arange(200) < 10, 0, labels)
    write_records(folder / RECORDS, {"label": labels, "predicted": predicted})
    return folder


def test_the_hubs_own_reader_takes_the_card(trial):
    from huggingface_hub import ModelCard

    read = ModelCard(card(trial, base_model="keras-io/thing", datasets=["ylecun/mnist"]))
    read.validate  # noqa: B018  it asks the hub; what it checks is checked below
    data = read.data
    assert data.base_model == "keras-io/thing" and data.datasets == ["ylecun/mnist"]
    assert data.tags == ["lambdapress", "compression", "epr"]
    values = {(one.metric_type, one.metric_name): one.metric_value for one in data.eval_results}
    assert values["accuracy", "accuracy (test)"] == pytest.approx(0.976, abs=0.01)
    assert ("size_bytes", "bytes of the whole file") in values


def test_the_card_says_what_it_is_and_what_is_not_known(trial):
    text = card(trial)
    assert "λ = 1, seed 3" in text and "| 0 | 50 | 100.00 |" in text
    assert "no base model was named" in text and "trial_model" in text
    assert "(" in text.partition("accuracy")[2]


def test_a_cards_texts_are_escaped(tmp_path):
    evil = "x`<script>alert(1)</script>|\n# head"
    folder = write(tmp_path, result(evil.replace("\n", " "), "<b>", 1.0, 0, "b" * 16))
    text = card(folder, name="---\nevil: [")
    from huggingface_hub import ModelCard

    read = ModelCard(text)
    assert read.data.model_name == "---\nevil: ["
    assert "\n# head" not in text and "<b>" not in read.text.replace("`<b>`", "")


def test_a_trial_without_a_model_has_no_card(tmp_path):
    lost = {**result("made", "epr", 1.0, 0, "c" * 16), "status": "failed", "metrics": None, "error": "no"}
    with pytest.raises(ResultError, match="has no model: its trial failed"):
        card(write(tmp_path, lost))


def test_the_command_prints_and_writes(trial, tmp_path):
    printed = CliRunner().invoke(main, ["card", str(trial)])
    out = tmp_path / "README.md"
    written = CliRunner().invoke(main, ["card", str(trial), "--out", str(out), "--name", "n"])
    assert printed.exit_code == written.exit_code == 0
    assert printed.output.startswith("---\n") and out.read_text(encoding="utf-8").startswith("---\n")


def test_mlflow_has_each_trial_once(tmp_path):
    from mlflow import MlflowClient

    folder = made_sweep(tmp_path / "sweep", 7)
    address = f"sqlite:///{tmp_path}/mlflow.db"
    assert [new for _, new in track(folder, "mlflow", address)] == [True] * 7
    write(folder, result("made", "epr", 42.0, 0, "d" * 16))
    assert sorted(new for _, new in track(folder, "mlflow", address)) == [False] * 7 + [True]
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("sweep")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 8
    [run] = [run for run in runs if run.data.tags["lambdapress.identity"] == "d" * 16]
    assert run.data.params["lmbda"] == "42.0" and run.data.metrics["accuracy/test"] < 1
    assert run.info.status == "FINISHED"


def test_wandb_has_each_trial_once_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = made_sweep(tmp_path / "sweep", 3)
    assert [new for _, new in track(folder, "wandb", str(tmp_path / "w"))] == [True] * 3
    assert [new for _, new in track(folder, "wandb", str(tmp_path / "w"))] == [False] * 3
    assert len(list((tmp_path / "w" / "wandb").glob("offline-run-*"))) == 3


def test_tensorboard_has_each_trial_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = made_sweep(tmp_path / "sweep", 3)
    board = tmp_path / "board"
    assert [new for _, new in track(folder, "tensorboard", str(board))] == [True] * 3
    assert [new for _, new in track(folder, "tensorboard", str(board))] == [False] * 3
    events = EventAccumulator(str(next(board.iterdir())), size_guidance={"tensors": 0}).Reload()
    assert "accuracy/test" in events.Tags()["tensors"]


def test_mistakes_and_refusals_are_named(tmp_path, monkeypatch):
    folder = made_sweep(tmp_path / "sweep", 1)
    with pytest.raises(TrackError, match="--address is missing"):
        list(track(folder, "tensorboard"))
    with pytest.raises(TrackError, match="mlflow refused .*results are untouched"):
        list(track(folder, "mlflow", "nonsense://x"))
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrackError, match=r"pip install 'lambdapress\[wandb\]'"):
        list(track(folder, "wandb"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultError, match="No trial below .* has finished"):
        list(track(tmp_path / "empty", "tensorboard", "x"))
