"""Tests the search for the λ that meets a target."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.cli.options import bytes_of
from lambdapress.sweeps.execution import sweep as execution
from lambdapress.sweeps.execution.find import FindError, Target, find
from lambdapress.tasks.digits import Digits

GIN = ["digits.epochs = 2", "digits.batch_size = 64"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("find")


def test_a_size_is_met_and_nearly_used_up(out):
    found = find("digits", "uniform", Target(max_bytes=15_000), out, gin=GIN, executor="here")
    own = found.frame[found.frame["algorithm"] == "uniform"]
    assert found.best is not None and found.split == "validation"
    assert 0.7 * 15_000 < found.best["size_bytes"] <= 15_000
    assert len(found.frame) <= 6 and (own["meets"] == (own["size_bytes"] <= 15_000)).all()
    assert found.best["chosen"] == own.loc[own["meets"], "chosen"].max()
    assert (own["parent"].notna()).all(), "warm starts"


def test_a_loss_of_the_metric_is_met_on_validation(out):
    found = find("digits", "uniform", Target(max_drop=2.0), out, first=0.3, gin=GIN, executor="here")
    assert found.best is not None
    baseline = found.frame[found.frame["algorithm"] == "none"].iloc[0]
    assert 100 * (baseline["validation"] - found.best["validation"]) <= 2.0
    meeting = found.frame[found.frame["meets"] & (found.frame["algorithm"] != "none")]
    assert found.best["size_bytes"] == meeting["size_bytes"].min()


def test_a_search_that_is_done_runs_nothing(out, monkeypatch):
    started = []
    monkeypatch.setattr(execution, "run_jobs", lambda jobs, *_: started.extend(jobs))
    find("digits", "uniform", Target(max_bytes=15_000), out, gin=GIN, executor="here")
    assert not started


def test_a_target_out_of_reach_is_said_to_be(tmp_path):
    asked = ["find", "--task", "digits", "--algorithm", "uniform", "--max-bytes", "10", "--trials", "2"]
    asked += ["--out", str(tmp_path), "--start", "scratch", "--gin", "digits.epochs = 1"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 1
    assert "None of 2 trials meets --max-bytes 10 on validation" in result.output


def test_a_trial_that_fails_ends_the_search(tmp_path, monkeypatch):
    def fail(self, model, **arguments):
        raise RuntimeError("as asked for")

    monkeypatch.setattr(Digits, "train", fail)
    with pytest.raises(FindError, match="λ = 0 failed: RuntimeError: as asked for"):
        find("digits", "uniform", Target(max_drop=1.0), tmp_path, gin=GIN, executor="here")


@pytest.mark.parametrize(
    "more, message",
    [
        ({"algorithm": "lossless"}, "'lossless' takes no λ"),
        ({"start": "previous"}, "give 'baseline' or 'scratch'"),
        ({"first": 0.0}, "λ begins at a number above 0"),
        ({"trials": 1}, "give at least 2"),
    ],
)
def test_mistakes_are_named(more, message, tmp_path):
    arguments = {"task": "digits", "algorithm": "uniform", "target": Target(1.0), "out": tmp_path, **more}
    with pytest.raises(ValueError, match=message):
        find(**arguments)


@pytest.mark.parametrize("values", [(None, None), (1.0, 1.0), (-1.0, None), (None, float("nan"))])
def test_a_target_is_one_number(values):
    with pytest.raises(ValueError, match="target|finite number"):
        Target(*values)


def test_sizes_are_read_as_people_write_them():
    assert [bytes_of("--max-bytes", text) for text in ("20000", "20kB", "1.5 MB", ".5k", "7 B")] == [
        20e3,
        20e3,
        1.5e6,
        500,
        7,
    ]
    for text in ("", "20 kilobytes", "-3", "1e3", "kB"):
        with pytest.raises(ValueError, match="--max-bytes is"):
            bytes_of("--max-bytes", text)
