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

from lambdapress.sweeps.gin.source_hash import source_hash
from lambdapress.sweeps.report.tables import render
from lambdapress.sweeps.results.frames import load_results
from lambdapress.sweeps.results.provenance import changed, code_of
from lambdapress.sweeps.results.schema import ResultError, error_line, read_result
from lambdapress.sweeps.results.summary import summarise

TRACEBACK = """Traceback (most recent call last):
  File "trial.py", line 3, in run
    raise FloatingPointError("loss is NaN")
FloatingPointError: loss is NaN
at epoch 3
"""


def accuracy(test, **more):
    return {"direction": "higher", "unit": "%", "value": {"test": test, **more}, "constant": {"test": 0.1}}


def record(algorithm="epr", lmbda=1.0, seed=0, size=1000, metric=0.9, error=None, **changes):
    """Makes a result as a trial writes it, with invented numbers in the right shape and units."""
    found = {
        "schema": 2,
        "identity": f"{changes.get('task', 'digits')}-{algorithm}-{lmbda}-{seed}-{changes.get('overrides')}",
        "task": "digits",
        "algorithm": algorithm,
        "lmbda": lmbda,
        "seed": seed,
        "status": "failed" if error else "ok",
        "error": error,
        "metric_name": "accuracy",
        "metrics": None if error else {"accuracy": accuracy(metric)},
        "metric_compressible": None if error else metric,
        "size_bytes": None if error else size,
        "coded_bytes": None if error else size - 50,
        "float_bytes": None if error else 100_000,
        "ratio": None if error else 100_000 / size,
        "estimated_bytes": None if error else 0.9 * size,
        "bits_per_weight": None if error else 8 * size / 25_000,
        "num_params": None if error else 25_000,
        "nonzeros": None if error else 2_000,
        "multiply_adds": None,
        "weight_bytes": None if error else {"fc/kernel": size - 50},
        "train_seconds": None if error else 2.0 + seed,
        "compress_seconds": None if error else 0.1,
        "evaluate_seconds": None if error else 0.2,
        "overrides": {},
        "versions": {"tensorflow": "2.14.1"},
        "environment": {"host": "h", "processor": "p", "gpu": "none", "threads": 2},
        "code": {},
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
        ("schema", 3),
        ("schema", 0),
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
        ("metrics", None),
        ("metrics", []),
        ("metrics", {}),
        ("metrics", {"accuracy": {**accuracy(0.9), "direction": "up"}}),
        ("metrics", {"accuracy": {**accuracy(0.9), "unit": 3}}),
        ("metrics", {"accuracy": {**accuracy(0.9), "value": {}}}),
        ("metrics", {"accuracy": {**accuracy(0.9), "value": {"test": "0.9"}}}),
        ("metrics", {"nll": accuracy(0.9)}),
        ("environment", []),
        ("code", {"x": 3}),
        ("weight_bytes", {"w": -1}),
        ("nonzeros", 1.5),
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
        json.dumps(record()) + " " * 5_000_000,
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
    # A constant answer has 0.1, so a useful model has 0.1 + 0.9·0.88.
    assert summary["hypervolume_reference"]["digits"].tolist() == pytest.approx([0.892] * 4)
    assert summary["hypervolume"][("digits", "epr", 2.0)] == pytest.approx((0.95 - 0.892) * 2)
    assert summary["hypervolume"][("digits", "power_law", 1.0)] == pytest.approx((0.90 - 0.892) * 2)
    assert summary["hypervolume"][("digits", "none", 0.0)] == 0
    assert math.isnan(summary["hypervolume"][("other", "epr", 1.0)])  # no baseline, no reference


def test_small_useless_models_add_no_hypervolume(tmp_path):
    good = [record("none", 0.0, size=100_100, metric=0.99), record("epr", 1.0, size=2_000, metric=0.98)]
    write(tmp_path / "a", *good)
    write(tmp_path / "b", *good, record("epr", 9.0, size=90, metric=0.6))
    areas = [summarise(load_results(tmp_path / name))["hypervolume"].max() for name in "ab"]
    assert areas[0] == pytest.approx(areas[1], rel=1e-9) and areas[0] > 0


def chosen_record(algorithm, lmbda, size, validation, test, **more):
    metrics = {"accuracy": accuracy(test, validation=validation)}
    return record(algorithm, lmbda, size=size, metrics=metrics, **more)


def test_points_are_chosen_on_validation_and_reported_on_test(tmp_path):
    write(
        tmp_path,
        chosen_record("none", 0.0, 100_100, 0.99, 0.98),
        chosen_record("epr", 1.0, 1_000, 0.95, 0.90),
        chosen_record("epr", 2.0, 2_000, 0.94, 0.97),  # lucky on test: not chosen
    )
    summary = summarise(load_results(tmp_path)).set_index(["algorithm", "lmbda"])
    assert set(summary["chosen_on"]) == {"validation"} and set(summary["split"]) == {"test"}
    assert summary["pareto"].to_dict() == {("none", 0.0): True, ("epr", 1.0): True, ("epr", 2.0): False}
    assert summary["metric"][("epr", 2.0)] == 0.97 and summary["validation"][("epr", 2.0)] == 0.94
    assert summary["hypervolume"][("epr", 1.0)] == pytest.approx((0.90 - 0.892) * 2)


def test_one_trial_without_validation_has_the_task_chosen_on_test(tmp_path):
    write(tmp_path, chosen_record("epr", 1.0, 1_000, 0.95, 0.90), record("epr", 2.0, size=900, metric=0.96))
    summary = summarise(load_results(tmp_path))
    assert set(summary["chosen_on"]) == {"test"} and list(summary["pareto"]) == [False, True]


def perplexity(value):
    values = {"validation": value, "test": value}
    measured = {"direction": "lower", "unit": "", "value": values, "constant": {"test": 250.0}}
    return {"ppl": measured, "accuracy": accuracy(0.5)}


def test_lower_is_better_where_the_metric_says_so(tmp_path):
    write(
        tmp_path,
        *(
            record(a, lmbda, size=size, metric_name="ppl", metrics=perplexity(p))
            for a, lmbda, size, p in [
                ("none", 0.0, 100_100, 200.0),
                ("epr", 1.0, 10_000, 203.0),
                ("epr", 2.0, 20_000, 204.0),
                ("epr", 3.0, 1_000, 230.0),
            ]
        ),
    )
    summary = summarise(load_results(tmp_path)).set_index(["algorithm", "lmbda"])
    assert list(summary["pareto"]) == [True, True, False, True]
    assert summary["metric_drop"].to_dict()[("epr", 1.0)] == pytest.approx(3)  # worse by 3
    assert summary["hypervolume_reference"].iloc[0] == pytest.approx(205)
    assert summary["hypervolume"][("epr", 1.0)] == pytest.approx(2 * 1)
    other = summarise(load_results(tmp_path, "accuracy"))
    assert set(other["metric"]) == {0.5} and set(other["direction"]) == {"higher"}
    with pytest.raises(ResultError, match="no metric 'pll'.*did you mean 'ppl'.*evaluate DIR --metric pll"):
        load_results(tmp_path, "pll")


def test_fields_of_others_are_kept(tmp_path):
    frame = load_results(write(tmp_path, {**record(), "energy_joules": 3.5, "note": {"a": 1}}))
    assert frame["energy_joules"][0] == 3.5
    assert read_result(tmp_path / "trial0" / "result.json")["note"] == {"a": 1}


def old_record(**changes):
    new = "metrics environment code coded_bytes bits_per_weight nonzeros multiply_adds weight_bytes".split()
    old = {name: value for name, value in record().items() if name not in new}
    return {**old, "schema": 1, "metric": 0.9, **changes}


def test_schema_1_still_reads(tmp_path):
    write(tmp_path, old_record(), {**old_record(seed=1, identity="x"), "metric": 0.8})
    frame = load_results(tmp_path)
    assert list(frame["metric"]) == [0.9, 0.8] and frame["validation"].isna().all() and frame["stale"].all()
    (row,) = summarise(frame).to_dict("records")
    assert row["chosen_on"] == "test" and row["stale"] == 2 and math.isnan(row["coded_bytes"])


@pytest.mark.parametrize(
    "name, value", [("metric", 1.5), ("metric", None), ("metric", "0.9"), ("ratio", 3.0)]
)
def test_schema_1_is_checked_as_it_was(tmp_path, name, value):
    with pytest.raises(ResultError, match=f"trial0.*{name}"):
        load_results(write(tmp_path, old_record(**{name: value})))


def test_other_code_and_machines_are_noticed(tmp_path):
    here, there = ({"host": h, "processor": "p", "gpu": "none", "threads": 2} for h in "ab")
    now = code_of(["lambdapress.algorithms.epr"])
    write(
        tmp_path,
        record(seed=0, code=now, environment=here),
        record(seed=1, code={**now, "algorithms/epr.py": "0" * 16}, environment=there),
    )
    frame = load_results(tmp_path)
    assert list(frame["stale"]) == [False, True] and list(frame["environment:host"]) == ["a", "b"]
    summary = summarise(frame)
    assert (summary["stale"][0], summary["codes"][0]) == (1, 2) and "a, p" in summary["machines"][0]
    text = render(summary)
    assert "epr†" in text and "different code" in text and "2 different machines" in text


def test_the_code_of_an_algorithm_is_what_it_imports():
    code = code_of(["lambdapress.algorithms.epr", "somebody.elses"])
    assert {"algorithms/epr.py", "algorithms/latents.py", "framework/entropy.py"} <= set(code)
    assert not {"algorithms/pruning.py", "framework/algorithm.py"} & set(code) and changed(code) == []
    assert changed({**code, "../../etc/passwd": "0"}) == ["../../etc/passwd"]


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
    assert only["n"].tolist() == [0] and only["hypervolume"].isna().all()


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
        "import sys; from lambdapress.sweeps.results import comparison, curve_files, published, records; "
        "from lambdapress.sweeps.report import plot, tables; "
        "names = ('tensorflow', 'gin', 'matplotlib.pyplot', 'lambdapress.framework.algorithm'); "
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_words_are_no_code(tmp_path):
    def hashes(text):
        (tmp_path / "a.py").write_text(text)
        return [source_hash([tmp_path / "a.py"], docstrings=d) for d in (True, False)]

    plain = hashes('"""One."""\ndef f():\n    """Two."""\n    return "x"\n')
    assert hashes('"""One."""\n\n# three\ndef f():\n    """Two."""\n    return "x"\n') == plain
    reworded = hashes('"""Uno."""\ndef f():\n    """Due."""\n    return "x"\n')
    assert reworded[0] != plain[0] and reworded[1] == plain[1]
    assert hashes('"""One."""\ndef f():\n    """Two."""\n    return "y"\n')[1] != plain[1]
