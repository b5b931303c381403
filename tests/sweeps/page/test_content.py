"""Tests what a report collects, and what it leaves out."""

from __future__ import annotations

import json

from made_results import made_sweep, result, write

from lambdapress.sweeps.page import details as details_of
from lambdapress.sweeps.page.comparisons import MOST_CURVES
from lambdapress.sweeps.page.content import content


def test_all_of_it_is_json_and_columns_have_one_length(tmp_path):
    found = content(made_sweep(tmp_path, 40))
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    columns = {name: values for name, values in found["trials"].items() if name != "metrics"}
    assert {len(values) for values in [*columns.values(), *found["trials"]["metrics"].values()]} == {40}
    assert found["left_out"] == 0 and len(found["details"]) == 40


def test_the_most_telling_details_stay_where_not_all_fit(tmp_path, monkeypatch):
    folder = made_sweep(tmp_path, 65)
    whole = content(folder)
    size = len(json.dumps(whole["details"]))
    monkeypatch.setattr(details_of, "MOST_CHARACTERS", size // 3)
    found = content(folder)
    assert 0 < found["left_out"] < 65 and len(found["details"]) == 65 - found["left_out"]
    columns = found["trials"]
    baselines = [one for one, base in zip(columns["identity"], columns["baseline"], strict=True) if base]
    assert set(baselines) <= set(found["details"])


def test_of_many_curves_the_telling_ones_are_compared(tmp_path):
    found = content(made_sweep(tmp_path, 2 + 2 * 5 * 2 * (MOST_CURVES // 2 + 5), seeds=2))
    names = {row["name"] for one in found["comparisons"] for row in one["rows"]}
    assert len({curve["label"] for curve in found["curves"]}) > MOST_CURVES
    assert "power_law" in names and len(names) <= MOST_CURVES


def test_a_metric_that_only_some_trials_have_can_be_chosen(tmp_path):
    made_sweep(tmp_path, 6)
    late = result("made", "epr", 5.0, 0, "e" * 16)
    late["metrics"]["top_5"] = {"direction": "higher", "unit": "%", "value": {"test": 0.99}}
    write(tmp_path, late)
    metrics = content(tmp_path)["tasks"]["made"]["metrics"]
    assert set(metrics) == {"accuracy", "nll", "top_5"}
    assert metrics["top_5"] == {"direction": "higher", "unit": "%", "splits": ["test"]}
    assert metrics["nll"]["direction"] == "lower"


def test_a_benchmarked_trial_has_a_latency(tmp_path):
    for number, text in enumerate(
        (
            "format,b1_median\ntflite,0.004\ntflite,0.002\nsaved,\n",
            "format\nx\n",
            "b1_median\nnan\n-1\n1e999\n",
        )
    ):
        trial = write(tmp_path, result("made", "epr", float(number), 0, f"{number:016x}"))
        (trial / "benchmark.csv").write_text(text)
    assert content(tmp_path)["latencies"] == {f"{0:016x}": 0.002}
