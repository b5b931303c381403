"""The files that docs/add_an_executor.md and docs/add_an_export_format.md build, run as a user runs them."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lambdapress.sweeps.results.schema import read_result

DOCS = Path(__file__).parents[1] / "docs"
FILES = {"pool.py": "add_an_executor.md", "zipped.py": "add_an_export_format.md"}
SHORT = ["--gin", "digits.epochs = 1", "--gin", "sweep.seeds = [0]", "--gin", "sweep.lmbdas = [5.0]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files as a user writes them, in a folder that has nothing to do with the checkout."""
    folder = tmp_path_factory.mktemp("own")
    for name, document in FILES.items():
        text = (DOCS / document).read_text(encoding="utf-8")
        (source,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert len(source.splitlines()) < 60
        (folder / name).write_text(source, encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    main = "import sys; sys.path.pop(0); from lambdapress.sweeps.cli.main import main; main()"
    command = [sys.executable, "-c", main, *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def swept(folder):
    chosen = ["--import", "pool.py", "--executor", "pool", "--workers", "2"]
    return run(folder, "sweep", "digits", *chosen, *SHORT)


def test_the_documented_executor_runs_a_sweep(folder, swept):
    assert swept.returncode == 0, swept.stderr
    results = [read_result(path) for path in (folder / "runs").rglob("result.json")]
    assert sorted(result["algorithm"] for result in results) == ["epr", "none", "power_law"]
    assert all(result["status"] == "ok" for result in results)


def test_an_executor_is_no_part_of_a_trials_identity(folder, swept):
    without = run(folder, "sweep", "digits", *SHORT, "--dry-run")
    assert "3 trials, 0 to run" in without.stdout, without.stdout + without.stderr
    (config,) = (folder / "runs").rglob("digits-none*/config.gin")
    assert "pool" not in config.read_text(encoding="utf-8")


def test_the_documented_format_is_exported_and_measured(folder, swept):
    (trial,) = (folder / "runs").rglob("digits-power_law*")
    own = ["--import", "zipped.py", "--format", "savedmodel_zip"]
    exported = run(folder, "export", str(trial), *own, "--option", "level=6", "--out", "m.zip")
    assert exported.returncode == 0, exported.stderr
    assert (folder / "m.zip").stat().st_size < 60_000
    measured = run(folder, "benchmark", str(trial), *own, "--seconds", "0.02", "--csv")
    assert measured.returncode == 0, measured.stderr
    rows = list(csv.DictReader(io.StringIO(measured.stdout)))
    assert {row["format"] for row in rows} == {"container", "savedmodel_zip"}
    assert {row["decode"] for row in rows} == {"", "before", "during"}
    assert len({row["metric"] for row in rows}) == 1


WRONG = """
import sys
from click.testing import CliRunner
from lambdapress.sweeps.cli.main import main
for command in {commands!r}:
    print(CliRunner().invoke(main, command).output)
"""


def test_both_are_listed_and_what_is_wrong_is_told_by_name(folder, swept):
    (trial,) = (folder / "runs").rglob("digits-power_law*")
    export = ["export", str(trial), "--import", "zipped.py", "--format", "savedmodel_zip"]
    commands = [
        ["list", "--import", "pool.py", "--import", "zipped.py"],
        ["sweep", "digits", "--executor", "pol", *SHORT],
        [*export, "--decode", "once"],
        [*export, "--option", "levle=6"],
        [*export, "--option", "level=six"],
        [*export, "--option", "level"],
    ]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    shown = subprocess.run(
        [sys.executable, "-c", WRONG.format(commands=commands)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    ).stdout
    for message in (
        "pool             Runs trials in a pool of processes of Python's own.",
        "savedmodel_zip   A SavedModel in one zip archive.",
        "Unknown executor 'pol' (did you mean 'pool'?",
        "no savedmodel_zip that decodes 'once' (available: before, during)",
        "savedmodel_zip has no option 'levle' (did you mean 'level'?",
        "the option level takes an integer, got 'six'",
        "--option 'level' is not 'NAME=VALUE'",
    ):
        assert message in shown, shown
