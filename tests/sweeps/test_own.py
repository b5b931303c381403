"""The user's own tasks and algorithms: the files of the documentation, from the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lambdapress.sweeps.result_file import read_result

DOCS = Path(__file__).parents[2] / "docs"


def blocks(document: str, language: str) -> list[str]:
    text = (DOCS / document).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for of, block in found if of == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files as a user writes them, in a folder that has nothing to do with the checkout."""
    folder = tmp_path_factory.mktemp("own")
    for document, name in (("add_an_algorithm.md", "binary.py"), ("add_a_task.md", "moons.py")):
        (source,) = blocks(document, "python")
        assert len(source.splitlines()) < 60
        (folder / name).write_text(source, encoding="utf-8")
    sweep = next(block for block in blocks("add_a_task.md", "") if block.startswith("sweep."))
    (folder / "moons.gin").write_text(sweep, encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    main = "import sys; sys.path.pop(0); from lambdapress.sweeps.cli import main; main()"
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
        assert result["task"] == "moons" and result["metric"] > 0.7
        assert result["metric"] == result["metric_compressible"]
    (binary,) = (r for r in results if r["algorithm"] == "binary")
    assert binary["ratio"] > 10


def test_the_same_command_finds_all_trials_done_wherever_its_files_are_imported_from(folder, swept, tmp_path):
    own = ["--import", str(folder / "binary.py"), "--import", str(folder / "moons.py")]
    elsewhere = run(tmp_path, "sweep", str(folder / "moons.gin"), *own, "--dry-run")
    assert "4 trials, 4 to run" in elsewhere.stdout  # in another folder
    done = run(folder, "sweep", "moons.gin", "--import", "binary.py", "--import", "moons.py", "--dry-run")
    assert "4 trials, 0 to run" in done.stdout, done.stdout + done.stderr


def test_every_command_takes_what_is_imported(folder, swept):
    (artefact,) = folder.rglob("moons-binary*/model.lpz")
    own = ["--import", "moons", "--import", "binary.py"]
    evaluated = run(folder, "evaluate", str(artefact), "--task", "moons", *own)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "accuracy" in evaluated.stdout
    assert "binary           Signs and a mean magnitude" in run(folder, "list", *own).stdout


@pytest.mark.parametrize(
    "name, message",
    [
        ("nowhere.py", "there is no such file"),
        ("nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("broken.py", "ZeroDivisionError"),
        ("json.py", "rename the file"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_reason(name, message, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0", encoding="utf-8")
    (tmp_path / "json.py").write_text("", encoding="utf-8")
    found = run(tmp_path, "list", "--import", name)
    assert found.returncode == 2 and message in found.stderr and "Traceback" not in found.stderr
