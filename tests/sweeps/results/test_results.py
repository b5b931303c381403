"""Tests results: reading, refusals, and summaries."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from lambdapress.sweeps.results.frames import error_line, load_results
from lambdapress.sweeps.results.schema import ResultError
from lambdapress.sweeps.results.summary import summarise

TRACEBACK = """Traceback (most recent call last):
  File "trial.py", line 3, in run
    raise FloatingPointError("loss is NaN")
FloatingPointError: loss is NaN
at epoch 3
"""


def record(algorithm="epr", lmbda=1.0, seed=0, size=1000, metric=0.9, error=None, **changes):
    """Makes a result as a trial writes it, with invented numbers in the right shape and units."""
    found = {
        "schema": 1,
        "identity": f"{changes.get('task', 'digits')}-{algorithm}-{lmbda}-{seed}-{changes.get('overrides')}",
        "task": "digits",
        "algorithm": algorithm,
        "lmbda": lmbda,
        "seed": seed,
        "status": "failed" if error else "ok",
        "error": error,
        "metric_name": "accuracy",
        "metric": None if error else metric,
        "metric_compressible": None if error else metric,
        "size_bytes": None if error else size,
        "float_bytes": None if error else 100_000,
        "ratio": None if error else 100_000 / size,
        "estimated_bytes": None if error else 0.9 * size,
        "num_params": None if error else 25_000,
        "train_seconds": None if error else 2.0 + seed,
        "compress_seconds": None if error else 0.1,
        "evaluate_seconds": None if error else 0.2,
        "overrides": {},
        "versions": {"tensorflow": "2.14.1"},
        "attempts": 2 if error else 1,
    }
    found.update(changes)
    return found


def write(directory, *records):
    for i, content in enumerate(records):
        trial = directory / f"trial{i}"
        trial.mkdir(parents=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (trial / "result.json").write_text(text)
    return directory


def test_one_row_a_trial_over_several_sweeps_and_other_files(tmp_path):
    write(tmp_path / "a", record(seed=0), record(seed=1, error=TRACEBACK))
    write(tmp_path / "b" / "deeper", record(algorithm="none", size=100_100))
    (tmp_path / "a" / "trial0" / "result.json.part").write_text("{")
    (tmp_path / "unfinished").mkdir()
    frame = load_results(tmp_path)
    assert list(frame["algorithm"]) == ["epr", "epr", "none"]
    assert list(frame["status"]) == ["ok", "failed", "ok"]
    assert frame["directory"][1] == str(tmp_path / "a" / "trial1")
    assert frame["size_bytes"].dtype == np.float64 and math.isnan(frame["size_bytes"][1])
    assert frame["seed"].dtype.kind == "i" and frame["version:tensorflow"][0] == "2.14.1"
    assert load_results(tmp_path / "a" / "trial0").shape[0] == 1


def test_overrides_become_columns(tmp_path):
    write(
        tmp_path,
        record(overrides={"digits.epochs": 3, "epr.rates": [1, 2]}),
        record(overrides={"digits.epochs": 3, "epr.groups": "layer"}),
        record(overrides={}),
    )
    frame = load_results(tmp_path)
    by_text = frame.set_index("overrides")
    assert by_text.loc["{}", "gin:digits.epochs"] is None
    assert sorted(map(repr, frame["gin:digits.epochs"])) == ["3", "3", "None"]
    assert set(frame["gin:epr.rates"]) == {"[1, 2]", None}
    assert summarise(frame).shape[0] == 3


@pytest.mark.parametrize(
    "name, value",
    [
        ("schema", 2),
        ("schema", True),
        ("identity", ""),
        ("task", "a\x1b[31m"),
        ("algorithm", None),
        ("lmbda", "1"),
        ("lmbda", -1.0),
        ("lmbda", True),
        ("seed", 0.5),
        ("status", "running"),
        ("status", []),
        ("error", "but the status is ok"),
        ("metric_name", 3),
        ("metric", 1.5),
        ("metric", None),
        ("metric_compressible", "0.9"),
        ("size_bytes", 0),
        ("size_bytes", 10.5),
        ("size_bytes", 10**30),
        ("float_bytes", None),
        ("ratio", 7.0),
        ("estimated_bytes", "many"),
        ("num_params", -3),
        ("train_seconds", None),
        ("overrides", []),
        ("overrides", {"": 1}),
        ("versions", {"tensorflow": 2}),
        ("attempts", 0),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path, name, value):
    write(tmp_path, record(seed=1), {**record(), name: value})
    with pytest.raises(ResultError, match=f"trial1.*{name}"):
        load_results(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        json.dumps(record())[:-20],
        json.dumps(record()).replace("0.9,", "NaN,"),
        json.dumps(record()).replace("0.9,", "-Infinity,"),
        json.dumps(record()).replace("2.0", "1e999"),
        json.dumps(record()).replace('"seed": 0', '"seed": 0, "seed": 1'),
        json.dumps(record(overrides={"a.b": 5})).replace("5", "[" * 900 + "]" * 900),
        json.dumps(record(overrides={"a.b": 5})).replace("5", "[" * 90_000),
        json.dumps(record()).replace('"seed": 0', '"seed": ' + "9" * 9000),
        json.dumps(record()) + " " * 2_000_000,
        json.dumps({**record(), "extra": 1}),
        json.dumps({name: value for name, value in record().items() if name != "ratio"}),
        json.dumps(record(error=TRACEBACK, status="failed")).replace(json.dumps(TRACEBACK), "null"),
        "\ud800",
    ],
    ids=lambda text: ascii(text)[:12],
)
def test_a_broken_file_is_named(tmp_path, text):
    write(tmp_path, record(seed=1))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "result.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ResultError, match="broken"):
        load_results(tmp_path)


def test_every_truncation_is_refused(tmp_path):
    whole = json.dumps(record()).encode()
    write(tmp_path, record())
    for length in range(0, len(whole), 7):
        (tmp_path / "trial0" / "result.json").write_bytes(whole[:length])
        with pytest.raises(ResultError, match="trial0"):
            load_results(tmp_path)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    (tmp_path / "trial").mkdir()
    os.mkfifo(tmp_path / "trial" / "result.json")
    with pytest.raises(ResultError, match="regular file"):
        load_results(tmp_path)
    (tmp_path / "trial" / "result.json").unlink()
    (tmp_path / "trial" / "result.json").mkdir()
    with pytest.raises(ResultError, match="regular file"):
        load_results(tmp_path)


def test_one_identity_twice_names_both_files(tmp_path):
    write(tmp_path / "a", record())
    write(tmp_path / "b", record())
    with pytest.raises(ResultError, match=r"(?s)b.*result\.json.*a.*result\.json"):
        load_results(tmp_path)


def test_nothing_there_says_what_to_run(tmp_path):
    with pytest.raises(ResultError, match="lambdapress sweep"):
        load_results(tmp_path)
    with pytest.raises(ResultError, match="no directory.*lambdapress sweep"):
        load_results(tmp_path / "missing")


def test_summary_is_the_mean_and_students_interval(tmp_path):
    sizes, metrics = [900, 1000, 1150], [0.90, 0.93, 0.91]
    write(
        tmp_path,
        *[record(seed=i, size=s, metric=m) for i, (s, m) in enumerate(zip(sizes, metrics, strict=True))],
    )
    (row,) = summarise(load_results(tmp_path)).to_dict("records")
    assert (row["n"], row["n_failed"]) == (3, 0)
    assert row["size_bytes"] == pytest.approx(np.mean(sizes))
    for name, values in [("size_bytes", sizes), ("metric", metrics), ("train_seconds", [2, 3, 4])]:
        low, high = scipy.stats.t.interval(0.95, 2, np.mean(values), scipy.stats.sem(values))
        assert row[f"{name}_ci"] == pytest.approx((high - low) / 2)
    assert row["ratio"] == pytest.approx(np.mean([100_000 / size for size in sizes]))
    assert row["estimated_bytes"] == pytest.approx(0.9 * np.mean(sizes))


def test_one_seed_has_no_interval_and_no_baseline_no_drop(tmp_path):
    (row,) = summarise(load_results(write(tmp_path, record(estimated_bytes=None)))).to_dict("records")
    assert row["size_bytes"] == 1000
    for name in ("size_bytes_ci", "metric_ci", "baseline_metric", "metric_drop", "estimated_bytes"):
        assert math.isnan(row[name])


def test_baseline_pareto_and_hypervolume_stay_within_a_task(tmp_path):
    write(
        tmp_path,
        record("none", 0.0, seed=0, size=101_000, metric=0.97),
        record("none", 0.0, seed=1, size=101_000, metric=0.99),
        record("epr", 1.0, size=1_000, metric=0.95),
        record("epr", 2.0, size=2_000, metric=0.94),
        record("power_law", 1.0, size=1_000, metric=0.90),
        record("epr", 1.0, task="other", size=500, metric=0.99),
    )
    summary = summarise(load_results(tmp_path)).set_index(["task", "algorithm", "lmbda"])
    assert list(summary.index)[0] == ("digits", "none", 0.0)
    assert summary["baseline_metric"]["digits"].tolist() == pytest.approx([0.98] * 4)
    # Of the seed that both have, 0, whose baseline is 0.97.
    assert summary["metric_drop"][("digits", "epr", 1.0)] == pytest.approx(0.02)
    assert math.isnan(summary["baseline_metric"][("other", "epr", 1.0)])
    assert summary["pareto"].to_dict() == {
        ("digits", "none", 0.0): True,
        ("digits", "epr", 1.0): True,
        ("digits", "epr", 2.0): False,
        ("digits", "power_law", 1.0): False,
        ("other", "epr", 1.0): True,
    }
    assert summary["hypervolume"][("digits", "epr", 2.0)] == pytest.approx(0.95 * 2)
    assert summary["hypervolume"][("digits", "power_law", 1.0)] == pytest.approx(0.90 * 2)
    assert summary["hypervolume"][("digits", "none", 0.0)] == 0


def test_a_baseline_is_the_one_of_the_same_settings(tmp_path):
    """A grid over epochs: no network has the mean of all baselines."""
    short, long = {"digits.epochs": 1}, {"digits.epochs": 9}
    write(
        tmp_path,
        record("none", 0.0, size=101_000, metric=0.80, overrides=short),
        record("none", 0.0, size=101_000, metric=0.98, overrides=long),
        record("epr", metric=0.79, overrides={**short, "epr.init_step": 0.1}),
        record("epr", metric=0.97, overrides={**long, "epr.init_step": 0.1}),
        record("epr", metric=0.5, overrides={"digits.epochs": 5}),
    )
    summary = summarise(load_results(tmp_path))
    drops = {row["metric"]: row["metric_drop"] for _, row in summary.iterrows() if row["algorithm"] == "epr"}
    assert drops[0.79] == pytest.approx(0.01) and drops[0.97] == pytest.approx(0.01)
    assert math.isnan(drops[0.5])


def test_failed_trials_keep_their_row_and_spoil_no_mean(tmp_path):
    write(
        tmp_path,
        record(seed=0),
        record(seed=1, error=TRACEBACK),
        record(lmbda=9.0, error="worker died"),
    )
    part, whole = summarise(load_results(tmp_path)).to_dict("records")
    assert (part["n"], part["n_failed"], part["size_bytes"]) == (1, 1, 1000)
    assert part["failures"] == f"{tmp_path / 'trial1'}: FloatingPointError: loss is NaN"
    assert (whole["n"], whole["n_failed"], whole["pareto"]) == (0, 1, False)
    assert math.isnan(whole["size_bytes"])
    only = summarise(load_results(tmp_path / "trial2"))
    assert only["n"].tolist() == [0] and only["hypervolume"].tolist() == [0]


def test_unlike_trials_are_not_averaged_as_seeds(tmp_path):
    write(tmp_path, record(), record(identity="trained otherwise"))
    with pytest.raises(ResultError, match="trial0.*trial1.*one at a time"):
        summarise(load_results(tmp_path))
    with pytest.raises(ResultError, match="no rows"):
        summarise(load_results(tmp_path).iloc[:0])


@pytest.mark.parametrize(
    "error, wanted",
    [
        (TRACEBACK, "FloatingPointError: loss is NaN"),
        (
            TRACEBACK + "\nDuring handling of it:\n\n" + TRACEBACK.replace("NaN", "inf"),
            "FloatingPointError: loss is inf",
        ),
        ("killed by signal 9\nmore", "killed by signal 9"),
        ("  bad \x1b[31m", "bad  [31m"),
        ("Traceback (most recent call last):", "Traceback (most recent call last):"),
    ],
)
def test_error_line(error, wanted):
    assert error_line(error) == wanted


def test_reading_results_needs_no_tensorflow():
    code = (
        "import sys; from lambdapress.sweeps.results import frames, pareto; "
        "from lambdapress.sweeps.report import plot, tables; "
        "names = ('tensorflow', 'gin', 'matplotlib.pyplot', 'lambdapress.framework.algorithm'); "
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
