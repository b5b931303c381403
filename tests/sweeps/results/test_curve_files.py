"""Tests curves as JSON: ours are read back, others' stand beside ours, and wrong files are refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.results.curve_files import SIZES, curves_text, read_curves
from lambdapress.sweeps.results.frames import complete
from lambdapress.sweeps.results.published import beside
from lambdapress.sweeps.results.schema import ResultError
from lambdapress.sweeps.results.summary import summarise
from lambdapress.sweeps.trial.run import blank_result
from lambdapress.sweeps.trial.trial import Trial

RNG = np.random.default_rng(0)
THEIRS = {
    "name": "their-net",
    "description": "Inference (ans)",
    "results": {
        "size_bytes": [4000, 2500.5, 900],
        "accuracy": [0.981, 0.975, 0.9],
        "psnr": [31.2, 30.1, 28.8],
        "encoding_time": [0.1, 0.2, None],
    },
}


def trial(algorithm="epr", lmbda=1.0, seed=0, task="digits", **more):
    return {
        "task": task,
        "algorithm": algorithm,
        "overrides": "{}",
        "lmbda": lmbda,
        "seed": seed,
        "status": "ok",
        "error": None,
        "metric_name": "accuracy",
        "direction": "higher",
        "unit": "%",
        "metric": RNG.random(),
        "size_bytes": RNG.uniform(100, 1e6),
        "ratio": 9.0,
        **more,
    }


def curve_of(**more):
    """Makes trials of one curve with three λ, of three seeds each."""
    return [trial(lmbda=lmbda, seed=seed, **more) for lmbda in (0.5, 1.0, 20.0) for seed in range(3)]


def summary_of(*rows):
    return summarise(complete(pd.DataFrame(list(rows))))


def parsed(text):
    def refuse(literal):
        raise AssertionError(f"{literal} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "theirs.json"


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def points(frame):
    """Lists a frame's points, by task and algorithm and in the order of size."""
    columns = ["task", "algorithm", "metric_name", "size_bytes", "metric"]
    return sorted(frame[columns].itertuples(index=False, name=None))


def test_one_curve_is_an_object_as_compressais_tools_read_it():
    summary = summary_of(*curve_of())
    curve = parsed(curves_text(summary))
    assert curve["name"] == "epr" and "digits" in curve["description"] and curve["task"] == "digits"
    assert curve["metric"] == {"name": "accuracy", "direction": "higher", "unit": "%", "split": "test"}
    results = curve["results"]
    assert all(isinstance(values, list) and len(values) == 3 for values in results.values())
    assert results["size_bytes"] == sorted(results["size_bytes"]) and results["n"] == [3, 3, 3]
    by_size = summary.sort_values("size_bytes")
    for name, column in {"size_bytes": "size_bytes", "accuracy": "metric", "lmbda": "lmbda"}.items():
        assert results[name] == by_size[column].tolist()


def test_several_curves_are_a_list_with_one_object_each():
    rows = [*curve_of(), *curve_of(algorithm="power_law"), *curve_of(overrides='{"epr.rates": [1, 2]}')]
    curves = parsed(curves_text(summary_of(*rows, *curve_of(task="mnist"))))
    assert sorted((curve["task"], curve["name"]) for curve in curves) == [
        ("digits", "epr"),
        ("digits", 'epr {"epr.rates": [1, 2]}'),
        ("digits", "power_law"),
        ("mnist", "epr"),
    ]


def test_numbers_that_are_not_known_are_null():
    curve = parsed(curves_text(summary_of(*curve_of(), trial(lmbda=9.0, validation=0.5))))
    assert sorted(curve["results"]["validation"], key=str) == [0.5, None, None, None]
    assert curve["results"]["coded_bytes"] == [None] * 4


def perplexities():
    return [
        trial(
            lmbda=lmbda, metric=RNG.uniform(1, 1e4), metric_name="ppl", direction="lower", unit="", task="t"
        )
        for lmbda in (1.0, 2.0, 3.0)
    ]


@pytest.mark.parametrize("several", [False, True])
def test_curves_are_read_back_with_the_same_sizes_and_metrics(path, several):
    rows = [*curve_of(algorithm="power_law"), *curve_of(task="mnist"), *perplexities()] if several else []
    summary = summary_of(*curve_of(), *rows)
    back = read_curves(written(path, curves_text(summary)), summary)
    assert points(back) == points(summary) and len(back) == (12 if several else 3)
    assert set(back["source"]) == {"theirs.json"}


def test_lambdas_whose_trials_all_failed_are_left_out_and_spoil_no_reading(path):
    failed = {"metric": math.nan, "size_bytes": math.nan, "status": "failed", "error": "it died"}
    summary = summary_of(trial(lmbda=1.0), trial(lmbda=2.0), trial(lmbda=50.0, metric_name=None, **failed))
    assert summary["n"].tolist() == [1, 1, 0]
    text = curves_text(summary)
    assert len(parsed(text)["results"]["lmbda"]) == 2
    assert points(read_curves(written(path, text), summary)) == points(summary[summary["n"] > 0])


def test_a_file_without_a_task_is_of_the_only_task_and_is_refused_for_two(path):
    written(path, THEIRS)
    read = read_curves(path, summary_of(*curve_of()))
    assert list(read["size_bytes"]) == [4000, 2500.5, 900] and list(read["metric"]) == [0.981, 0.975, 0.9]
    assert set(read["task"]) == {"digits"} and set(read["algorithm"]) == {"their-net"}
    with pytest.raises(ResultError, match=r"theirs\.json.*'their-net'.*task.*digits, mnist"):
        read_curves(path, summary_of(*curve_of(), *curve_of(task="mnist")))
    written(path, {**THEIRS, "task": "mnist"})
    assert set(read_curves(path, summary_of(*curve_of(), *curve_of(task="mnist")))["task"]) == {"mnist"}
    with pytest.raises(ResultError, match=r"theirs\.json.*'mnist'.*digits"):
        read_curves(path, summary_of(*curve_of()))


@pytest.mark.parametrize("name", SIZES)
def test_sizes_may_have_any_of_their_names(path, name):
    written(path, {"name": "x", "results": {name: [10, 20], "accuracy": [0.5, 0.6]}})
    assert list(read_curves(path, summary_of(*curve_of()))["size_bytes"]) == [10, 20]


def results(**changes):
    """Returns their file with other results; None leaves some out."""
    changed = {**THEIRS["results"], **changes}
    return {**THEIRS, "results": {name: values for name, values in changed.items() if values is not None}}


WRONG = {
    "empty file": ("", "JSON"),
    "cut": (json.dumps(THEIRS)[:-9], "JSON"),
    "NaN": (json.dumps(THEIRS).replace("0.975", "NaN"), "NaN"),
    "Infinity": (json.dumps(THEIRS).replace("0.975", "Infinity"), "Infinity"),
    "1e999": (json.dumps(THEIRS).replace("0.975", "1e999"), "accuracy"),
    "many digits": (json.dumps(THEIRS).replace("4000", "4" * 400), "size_bytes"),
    "deep": ("[" * 100_000, "JSON"),
    "no curve": ([], "no curve"),
    "number": (3, "name"),
    "null": (None, "name"),
    "list in a list": ([[THEIRS]], "name"),
    "one of two": ([THEIRS, {"name": "other"}], "'other'.*results"),
    "no name": ({"results": THEIRS["results"]}, "name"),
    "name is a number": ({**THEIRS, "name": 3}, "name"),
    "blank name": ({**THEIRS, "name": " "}, "name"),
    "task is a list": ({**THEIRS, "task": ["digits"]}, "task"),
    "no results": ({"name": "their-net"}, "'their-net'.*results"),
    "results are a list": ({**THEIRS, "results": [1, 2]}, "results"),
    "results are empty": ({**THEIRS, "results": {}}, "results"),
    "no metric": (results(accuracy=None), "'accuracy'.*psnr"),
    "no sizes": (results(size_bytes=None), "'size_bytes'.*psnr"),
    "lengths": (results(accuracy=[0.5, 0.6]), "different lengths"),
    "empty lists": (results(accuracy=[], size_bytes=[]), "numbers"),
    "strings": (results(accuracy=["0.9", "0.8", "0.7"]), "'accuracy'.*numbers"),
    "string": (results(size_bytes="123"), "'size_bytes'.*numbers"),
    "booleans": (results(accuracy=[True, True, False]), "'accuracy'.*numbers"),
    "nulls": (results(accuracy=[0.9, None, 0.8]), "'accuracy'.*numbers"),
    "nested": (results(size_bytes=[[1], [2], [3]]), "'size_bytes'.*numbers"),
    "object": (results(size_bytes={"0": 1, "1": 2, "2": 3}), "'size_bytes'.*numbers"),
    "negative sizes": (results(size_bytes=[4000, -2500, 900]), "'size_bytes'.*above 0"),
    "no bytes": (results(size_bytes=[4000, 0, 900]), "'size_bytes'.*above 0"),
}


@pytest.mark.parametrize("content, message", WRONG.values(), ids=WRONG)
def test_wrong_files_are_named_with_what_is_wrong(path, content, message):
    with pytest.raises(ResultError, match=rf"(?s)theirs\.json.*{message}"):
        read_curves(written(path, content), summary_of(*curve_of()))


def test_what_is_no_file_is_named(path):
    with pytest.raises(ResultError, match=r"theirs\.json"):
        read_curves(path, summary_of(*curve_of()))
    path.mkdir()
    with pytest.raises(ResultError, match=r"theirs\.json"):
        read_curves(path, summary_of(*curve_of()))


def test_their_points_stand_below_ours_which_stay_as_they_are(path):
    summary = summary_of(
        trial("none", 0.0, ratio=1.0), *curve_of(**{"gin:epr.groups": "layer"}), *perplexities()
    )
    both = beside(summary, read_curves(written(path, {**THEIRS, "task": "digits"}), summary))
    ours, theirs = both[both["source"] == ""], both[both["source"] != ""]
    pd.testing.assert_frame_equal(
        ours[summary.columns].reset_index(drop=True), summary, check_dtype=False, check_exact=True
    )
    assert set(theirs["source"]) == {"theirs.json"} and set(theirs["algorithm"]) == {"their-net"}
    assert list(theirs["size_bytes"]) == [4000, 2500.5, 900] and set(theirs["n"]) == {0}
    assert not theirs["pareto"].any() and theirs["metric_drop"].isna().all()
    assert list(both["task"]) == ["digits"] * 7 + ["t"] * 3


def finished(lmbda, size, accuracy, algorithm="epr"):
    """Makes a result as a trial writes it, with invented numbers."""
    value = {"direction": "higher", "unit": "%", "value": {"test": accuracy}, "constant": {"test": 0.1}}
    return {
        **blank_result(Trial("digits", algorithm, lmbda, 0, ""), 1),
        "status": "ok",
        "metric_name": "accuracy",
        "metrics": {"accuracy": value},
        "metric_compressible": accuracy,
        "size_bytes": size,
        "float_bytes": 100_000,
        "ratio": 100_000 / size,
        "num_params": 25_000,
        "train_seconds": 2.0,
        "compress_seconds": 0.1,
        "evaluate_seconds": 0.2,
    }


@pytest.fixture
def runs(tmp_path):
    directory = tmp_path / "runs"
    for result in (finished(1.0, 5000, 0.98), finished(9.0, 700, 0.91), finished(50.0, 90, 0.4)):
        (directory / result["identity"]).mkdir(parents=True)
        (directory / result["identity"] / "result.json").write_text(json.dumps(result))
    return directory


def command(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_the_table_is_written_as_json(runs):
    done = command("table", runs, "--json")
    assert done.exit_code == 0
    found = parsed(done.stdout)["results"]
    assert (found["size_bytes"], found["accuracy"]) == ([90, 700, 5000], [0.4, 0.91, 0.98])


def test_the_table_shows_their_curves_beside_ours(runs, path):
    alone, done = command("table", runs), command("table", runs, "--against", written(path, THEIRS))
    assert done.exit_code == 0 and "their-net" in done.stdout and "theirs.json" in done.stdout
    assert "97.50" in done.stdout and "97.50" not in alone.stdout and "their" not in alone.stdout
    for accuracy in ("98.00", "91.00", "40.00"):
        assert accuracy in done.stdout and accuracy in alone.stdout


def test_a_table_of_ours_can_be_set_beside_itself(runs, path):
    written(path, command("table", runs, "--json").stdout)
    assert command("table", runs, "--against", path).stdout.count("91.00") == 2


def test_the_plot_shows_their_curves_beside_ours(runs, path, tmp_path):
    done = command("plot", runs, "--against", written(path, THEIRS), "--out", tmp_path / "with")
    assert done.exit_code == 0 and done.stdout.split() == [
        str(tmp_path / "with" / name) for name in ("tradeoff.png", "tradeoff.svg")
    ]
    assert (tmp_path / "with" / "tradeoff.png").read_bytes().startswith(b"\x89PNG")
    assert command("plot", runs, "--out", tmp_path / "without").exit_code == 0
    texts = [(tmp_path / name / "tradeoff.svg").read_text() for name in ("with", "without")]
    assert ["their-net, theirs.json" in text for text in texts] == [True, False]


@pytest.mark.parametrize("name", ["table", "plot"])
def test_the_commands_name_a_wrong_file(runs, path, name):
    done = command(name, runs, "--against", written(path, results(accuracy=None)))
    assert done.exit_code == 2 and "theirs.json" in done.output and "'accuracy'" in done.output
    assert not list(runs.glob("tradeoff*"))
