"""Tests the commands export and benchmark, which turn a trial's folder into files that run."""

from __future__ import annotations

import csv
import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner

from lambdapress.framework.export.formats import all_measured, formats, make_format
from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.deployment.benchmark import BenchmarkError, benchmark, time_file
from lambdapress.sweeps.deployment.runtime import Served
from lambdapress.sweeps.deployment.table import render
from lambdapress.sweeps.deployment.trial_model import size_of, trial_model


@pytest.fixture(scope="module")
def trial(tmp_path_factory) -> Path:
    """Trains the task `digits` for one epoch, and returns the trial's folder."""
    out = tmp_path_factory.mktemp("runs")
    command = "train --task digits --algorithm power_law --lmbda 0.5 --out".split()
    ran = CliRunner().invoke(main, [*command, str(out), "--gin", "digits.epochs = 1"])
    assert ran.exit_code == 0, ran.output
    (folder,) = out.iterdir()
    return folder


def test_every_format_says_of_every_test_image_what_the_model_says(trial, tmp_path):
    with trial_model(trial) as (task, model):
        accuracy = task.evaluate(model).values["accuracy"]
        images = tf.constant(task.load("test").images, tf.float32) / task.max_value
        expected = tf.argmax(model(images), -1)
        for form in all_measured():
            path = tmp_path / form.file_name
            form.write(model, path)
            served = Served(path, model)
            said = tf.argmax(tf.function(lambda x, served=served: served(x))(images), -1)
            assert np.sum(said != expected) == 0, form
            assert task.evaluate(served).values["accuracy"] == accuracy


def test_export_writes_where_it_says(trial, tmp_path):
    run = CliRunner().invoke
    arguments = ["export", str(trial), "--format"]
    ran = run(main, [*arguments, "tflite", "--decode", "before", "--out", str(tmp_path / "a" / "m.tflite")])
    assert ran.exit_code == 0 and (tmp_path / "a" / "m.tflite").is_file(), ran.output
    card = (tmp_path / "a" / "m.tflite.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and "Interpreter('m.tflite')" in card
    ran = run(main, [*arguments, "savedmodel"])
    assert ran.exit_code == 0 and (trial / "model_during" / "saved_model.pb").is_file(), ran.output
    assert f"{size_of(trial / 'model_during'):,} bytes" in ran.output
    ran = run(main, [*arguments, "savedmodel"])
    assert ran.exit_code == 2 and "is there already" in ran.output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["--format", "tflite", "--decode", "once"],
            "no tflite that decodes 'once' (available: before, during)",
        ),
        (["--format", "tflite", "--sparse-kernels"], "for tflite that decodes 'before', got tflite 'during'"),
        (
            ["--format", "tflitee"],
            "Unknown export format 'tflitee' (did you mean 'tflite'? available: savedmodel, tflite)",
        ),
    ],
)
def test_export_tells_what_there_is(trial, arguments, message):
    ran = CliRunner().invoke(main, ["export", str(trial), *arguments])
    assert ran.exit_code == 2 and message in " ".join(ran.output.split())


def test_a_folder_that_is_no_trial_s(tmp_path):
    ran = CliRunner().invoke(main, ["export", str(tmp_path), "--format", "tflite"])
    assert ran.exit_code == 2 and "no finished trial's folder: it has no model.lpz" in ran.output


def test_the_benchmark_measures_every_file(trial, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    arguments = [
        "benchmark",
        str(trial),
        "--csv",
        "--seconds",
        "0.05",
        "--format",
        "tflite",
        "--sparse-kernels",
    ]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0, ran.stderr
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    assert rows[0]["format"] == "container" and int(rows[0]["bytes"]) == (trial / "model.lpz").stat().st_size
    assert [(row["format"], row["decode"]) for row in rows[1:]] == [
        ("tflite", "before"),
        ("tflite", "during"),
        ("tflite", "during, ops=select"),
        ("tflite", "before, sparse_kernels"),
    ]
    assert len({row["metric"] for row in rows}) == 1
    for row in rows[1:]:
        assert float(row["b1_median"]) > 0 and float(row["b32_p95"]) >= float(row["b32_median"])
        assert row["decode"] != "before" or float(row["b1_ratio"]) == 1


def test_a_saved_model_is_measured(trial, tmp_path):
    with trial_model(trial) as (_, model):
        make_format("savedmodel", "during").write(model, tmp_path / "m")
    measured = time_file(tmp_path / "m", threads=1, seconds=0.05, form="savedmodel")
    assert measured["load_seconds"] > 0 and measured["peak_bytes"] > 0 and measured["b32_first"] > 0
    with pytest.raises(BenchmarkError, match="Measuring missing with 1 threads failed"):
        time_file(tmp_path / "missing", threads=1, seconds=0.05, form="savedmodel")


@pytest.fixture
def register(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Returns a function that registers the format in a module of this name and code, for one test."""
    monkeypatch.setattr(formats, "_classes", dict(formats._classes))
    monkeypatch.syspath_prepend(str(tmp_path))

    def register(module: str, code: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        monkeypatch.delitem(sys.modules, module, raising=False)
        importlib.import_module(module)

    return register


FRAGILE = """
import os
from lambdapress.framework import formats

@formats.register("fragile")
class Fragile(formats.get("tflite")):
    suffix = ".fragile"

    @staticmethod
    def open(path, threads=None):
        os.write(2, b"free(): invalid next size (fast)\\n")
        os.abort()
"""


@pytest.mark.parametrize("evaluate", [False, True])
def test_a_file_whose_process_dies_has_a_row_that_says_so(evaluate, trial, register, monkeypatch):
    """The other files are measured as if it were not there."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    register("fragile_format", FRAGILE)
    both = [formats.get("fragile")(decode="before"), make_format("tflite", "before")]
    _, fragile, sound = benchmark(trial, both, 0.05, evaluate=evaluate).to_dict("records")
    assert "Evaluating model_before.fragile failed" in fragile["error"]
    assert "ended by SIGABRT: free(): invalid next size (fast) (" in fragile["error"]
    assert fragile["bytes"] > 0 and sound["b1_median"] > 0
    assert not evaluate or 0 < sound["metric"] <= 1


LYING = """
from lambdapress.framework import formats

@formats.register("lying")
class Lying(formats.get("tflite")):
    suffix = ".lying"

    @staticmethod
    def open(path, threads=None):
        predict, specs = formats.get("tflite").open(path, threads)
        return lambda inputs: {name: 1.05 * value for name, value in predict(inputs).items()}, specs
"""


def test_a_file_that_computes_something_else_is_not_measured(trial, register, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    register("lying_format", LYING)
    both = [formats.get("lying")(decode="during"), make_format("tflite", "during")]
    _, lying, sound = benchmark(trial, both, 0.05, evaluate=False).to_dict("records")
    assert "model_during.lying computes something else than the model: it differs by 5%" in lying["error"]
    assert lying["b1_median"] != lying["b1_median"] and sound["b1_median"] > 0
    assert 0 <= sound["difference"] < 1e-4


def test_a_table_shows_what_could_not_be_exported():
    frame = pd.DataFrame(
        [
            {
                "format": "tflite",
                "decode": "before",
                "threads": 1,
                "bytes": 5,
                "b1_median": 0.001,
                "b1_ratio": 1.0,
            },
            {"format": "tflite", "decode": "during", "error": "it has no Betainc"},
        ]
    )
    for style in ("terminal", "markdown"):
        shown = render(frame, style)
        assert "1.00×" in shown and "tflite during: it has no Betainc" in shown


def test_the_benchmark_measures_the_metric_that_is_asked_for(trial):
    with trial_model(trial) as (task, model):
        values = task.evaluate(model).values
    for metric, name in ((None, "accuracy"), ("nll", "nll")):
        (container,) = benchmark(trial, [], metric=metric).to_dict("records")
        assert container["metric"] == pytest.approx(values[name], rel=1e-5)
    with pytest.raises(BenchmarkError, match="'digits' does not measure it .did you mean 'nll'"):
        benchmark(trial, [], metric="nlll")
