"""Tests a trial's identity and its record, which is there whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapress.framework.atomic import write_json
from lambdapress.sweeps.results.schema import ResultError, read_result, result_in
from lambdapress.sweeps.trial.run import blank_result
from lambdapress.sweeps.trial.settings import Settings
from lambdapress.sweeps.trial.trial import Trial

TRIAL = Trial("digits", "epr", 0.5, 1, "digits.epochs = 3\n", {"digits.epochs": 3})
trials = st.builds(
    Trial,
    st.sampled_from(["digits", "mnist"]),
    st.sampled_from(["epr", "none"]),
    st.floats(0, 1e6),
    st.integers(0, 2**32 - 1),
    st.text(max_size=20),
)


def test_an_identity_is_the_same_everywhere():
    assert TRIAL.identity == "195f3be45f6e1ec0"
    code = f"from lambdapress.sweeps.trial.trial import Trial; print({TRIAL!r}.identity)"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "LC_ALL": "C"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == TRIAL.identity


@pytest.mark.parametrize(
    "change",
    [
        dict(task="mnist"),
        dict(algorithm="none"),
        dict(lmbda=0.5000001),
        dict(seed=2),
        dict(config="digits.epochs = 4\n"),
    ],
)
def test_every_ingredient_counts(change):
    assert dataclasses.replace(TRIAL, **change).identity != TRIAL.identity


def test_what_does_not_count():
    assert dataclasses.replace(TRIAL, overrides={}).identity == TRIAL.identity
    one, same = dataclasses.replace(TRIAL, lmbda=2), dataclasses.replace(TRIAL, lmbda=2.0)
    assert one.identity == same.identity


@given(trials, trials)
def test_equal_identities_mean_equal_trials(one, other):
    assert (one.identity == other.identity) == (one == other)
    assert re.fullmatch("[0-9a-f]{16}", one.identity)


@given(trials)
def test_directory_names_can_be_used_anywhere(made):
    assert re.fullmatch(r"[\w.-]{1,120}", made.directory_name)
    assert made.directory_name.endswith(made.identity)


def test_a_failed_record_is_one_that_the_reader_takes(tmp_path):
    record = {**blank_result(TRIAL, 2), "error": "The worker process died."}
    write_json(tmp_path / "result.json", record)
    assert read_result(tmp_path / "result.json") == record
    assert result_in(tmp_path) == record
    assert record["identity"] == TRIAL.identity and record["attempts"] == 2


def test_no_result_is_none_and_a_damaged_one_is_an_error(tmp_path):
    assert result_in(tmp_path) is None
    assert result_in(tmp_path / "nowhere") is None
    (tmp_path / "result.json").write_text('{"schema": 1, "iden')
    with pytest.raises(ResultError, match="result.json"):
        result_in(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_what_json_has_no_word_for(tmp_path, value):
    path = tmp_path / "result.json"
    write_json(path, {"metric": 1.0})
    with pytest.raises(ValueError):
        write_json(path, {"metric": value})
    assert json.loads(path.read_text()) == {"metric": 1.0}


def test_a_reader_never_sees_half_a_file(tmp_path):
    """Kills a process that overwrites a file without pause, again and again."""
    path = tmp_path / "result.json"
    code = (
        "import itertools, pathlib, sys\n"
        "from lambdapress.framework.atomic import write_json\n"
        "for n in itertools.count():\n"
        "    write_json(pathlib.Path(sys.argv[1]), {'n': n, 'pad': [n] * 5000}, durable=False)\n"
    )
    for _ in range(3):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        seen = 0
        while seen < 200:
            if path.exists():
                value = json.loads(path.read_text())
                assert value["pad"] == [value["n"]] * 5000
                seen += 1
        process.kill()
        process.wait()
        value = json.loads(path.read_text())
        assert value["pad"] == [value["n"]] * 5000


@pytest.mark.parametrize(
    "settings, message",
    [(dict(lmbda_warmup=1.5), "lmbda_warmup"), (dict(rules=[("(", "epr")]), "regular expression")],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)
