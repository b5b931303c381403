"""Tests user-defined tasks and algorithms: runs the documentation's files from the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lambdapress.sweeps.results.schema import main_value, read_result

DOCS = Path(__file__).parents[3] / "docs"


def blocks(document: str, language: str) -> list[str]:
    text = (DOCS / document).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for of, block in found if of == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Writes the files as a user would, in a folder that has nothing to do with the checkout."""
    folder = tmp_path_factory.mktemp("own")
    sources = [*blocks("add_an_algorithm.md", "python"), *blocks("add_a_task.md", "python")]
    for source, name in zip(sources, ("binary.py", "laplace.py", "moons.py", "moons_auc.py"), strict=True):
        assert len(source.splitlines()) < 60
        (folder / name).write_text(source, encoding="utf-8")
    sweep = next(block for block in blocks("add_a_task.md", "") if block.startswith("sweep."))
    (folder / "moons.gin").write_text(sweep, encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    main = "import sys; sys.path.pop(0); from lambdapress.sweeps.cli.main import main; main()"
    command = [sys.executable, "-c", main, *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def swept(folder):
    command = next(block for block in blocks("add_a_task.md", "") if block.startswith("lambdapress"))
    return run(folder, *command.split()[1:])


def test_the_documented_files_run_in_a_sweep_of_two_workers(folder, swept):
    assert swept.returncode == 0, swept.stderr
    results = [read_result(path) for path in (folder / "runs").rglob("result.json")]
    assert sorted(r["algorithm"] for r in results) == ["binary", "epr", "epr", "none"]
    for result in results:
        assert result["status"] == "ok", result["error"]
        assert result["task"] == "moons" and main_value(result) > 0.7
        assert main_value(result) == result["metric_compressible"]
    (binary,) = (r for r in results if r["algorithm"] == "binary")
    assert binary["ratio"] > 10


def test_the_same_command_finds_all_trials_done_wherever_its_files_are_imported_from(folder, swept, tmp_path):
    own = ["--import", str(folder / "binary.py"), "--import", str(folder / "moons.py")]
    elsewhere = run(tmp_path, "sweep", str(folder / "moons.gin"), *own, "--dry-run")
    assert "4 trials, 4 to run" in elsewhere.stdout  # in another folder
    done = run(folder, "sweep", "moons.gin", "--import", "binary.py", "--import", "moons.py", "--dry-run")
    assert "4 trials, 0 to run" in done.stdout, done.stdout + done.stderr


def test_the_documented_metric_is_trained_for_and_filled_in_where_it_comes_later(folder, swept):
    command = next(block for block in blocks("add_a_task.md", "") if "moons_auc" in block)
    ran = run(folder, *command.split()[1:], "--gin", "moons_auc.epochs = 5")
    assert ran.returncode == 0, ran.stderr
    (path,) = folder.rglob("moons_auc-epr*/result.json")
    assert 0.7 < main_value(read_result(path)) <= 1 and read_result(path)["metric_name"] == "auc"

    text = (folder / "moons.py").read_text(encoding="utf-8")
    patched = (
        "from moons_auc import MoonsAuc\nMoons.evaluate = MoonsAuc.evaluate\nMoons.metrics = MoonsAuc.metrics"
    )
    assert "completed 0 of 4" in run(folder, "evaluate", "runs/moons").stdout
    (folder / "moons.py").write_text(text + "\n\n" + patched, encoding="utf-8")
    try:
        filled = run(folder, "evaluate", "runs/moons", "--metric", "auc")
        assert "completed 4 of 4" in filled.stdout, filled.stdout + filled.stderr
    finally:
        (folder / "moons.py").write_text(text, encoding="utf-8")
    for path in (folder / "runs" / "moons").rglob("result.json"):
        assert set(read_result(path)["metrics"]) == {"accuracy", "auc", "top_5", "nll"}


@pytest.mark.slow
def test_the_documented_algorithm_with_a_rate_compresses_as_much_as_is_said(folder):
    command = next(block for block in blocks("add_an_algorithm.md", "") if "laplace.py" in block)
    assert len(command.splitlines()) == 1
    ran = run(folder, *shlex.split(command)[1:])
    assert ran.returncode == 0, ran.stderr
    (path,) = folder.rglob("digits-laplace*/result.json")
    result = read_result(path)
    assert main_value(result) > 0.95 and result["size_bytes"] < 1700
    assert result["estimated_bytes"] < result["size_bytes"] < 2 * result["estimated_bytes"]
    exported = ["--format", "tflite", "--import", "laplace.py", "--out", "m.tflite"]
    assert run(folder, "export", str(path.parent), *exported).returncode == 0


def dry_run(folder: Path, *arguments: str) -> str:
    ran = run(folder, "sweep", "moons.gin", "--out", "runs/moons", "--dry-run", *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1]


def test_a_trial_is_identified_by_the_code_that_it_runs_and_by_no_other(folder, swept, tmp_path):
    """Checks that other imports and comments do not count, but that another body of `init` does."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    without = ["--gin", "sweep.algorithms = ['none', 'epr']"]
    assert "3 trials, 0 to run" in dry_run(tmp_path, "--import", "moons.py", *without)

    both = ["--import", "moons.py", "--import", "binary.py"]
    file = tmp_path / "binary.py"
    file.write_text("# A comment.\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert "4 trials, 0 to run" in dry_run(tmp_path, *both)
    file.write_text(file.read_text(encoding="utf-8").replace("/ max(1,", "* 7 / max(1,"), encoding="utf-8")
    assert "4 trials, 1 to run" in dry_run(tmp_path, *both)


def test_a_trial_does_not_run_code_that_was_changed_since_it_was_planned(folder, swept):
    for result in folder.rglob("moons-binary*/config.gin"):
        assert "own_sha256" in result.read_text(encoding="utf-8")
    changed = ["--gin", "trial.own_sha256 = {'binary': 'another'}", "--gin", "sweep.algorithms = ['binary']"]
    own = ["--import", "moons.py", "--import", "binary.py", "--workers", "0", "--out", "runs/changed"]
    ran = run(folder, "sweep", "moons.gin", *own, *changed)
    assert ran.returncode == 1 and "1 of 1 trials failed" in ran.stderr
    (result,) = (read_result(path) for path in (folder / "runs" / "changed").rglob("result.json"))
    assert "The code of 'binary' is not what it was when the trial was planned" in result["error"]


def test_every_command_takes_what_is_imported(folder, swept):
    (artefact,) = folder.rglob("moons-binary*/model.lpz")
    own = ["--import", "moons", "--import", "binary.py"]
    evaluated = run(folder, "evaluate", str(artefact), "--task", "moons", *own)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "accuracy" in evaluated.stdout
    assert "binary           Signs and a mean magnitude" in run(folder, "list", *own).stdout


REFUSED = {
    "nowhere.py": "there is no such file",
    "nowhere_at_all": "No module named 'nowhere_at_all'",
    "broken.py": "ZeroDivisionError",
    "my-algorithm.py": "'my-algorithm' is no name of a Python module; rename the file",
    "taken.py": "'half' is registered already, by lambdapress.algorithms.half.Half; choose another",
    "json.py": "rename the file",
}
ONE_AFTER_ANOTHER = """
import sys
sys.path.pop(0)
import json
from click.testing import CliRunner
from lambdapress.sweeps.cli.main import main
ran = [CliRunner().invoke(main, ["list", "--import", name]) for name in sys.argv[1:]]
print(json.dumps([[one.exit_code, one.output] for one in ran]))
"""


def test_what_cannot_be_imported_is_refused_with_the_reason(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0", encoding="utf-8")
    for empty in ("json.py", "my-algorithm.py"):
        (tmp_path / empty).write_text("", encoding="utf-8")
    binary, _ = blocks("add_an_algorithm.md", "python")
    taken = binary.replace('"binary"', '"half"').replace("class Binary", "class Half")
    (tmp_path / "taken.py").write_text(taken, encoding="utf-8")
    command = [sys.executable, "-c", ONE_AFTER_ANOTHER, *REFUSED]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    for (code, output), message in zip(json.loads(ran.stdout), REFUSED.values(), strict=True):
        assert code == 2 and message in output and "Traceback" not in output
