"""Tests the wheel: its contents, and its use in an environment that has never seen the checkout."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ROOMS = ("framework", "algorithms", "tasks", "sweeps", "gin_configs")


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `command` to its end; fails the test, with all output, if the exit code is not 0."""
    # Without this process's paths and switches, only installed packages can work.
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TF_", "MPL"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def pip(*arguments: object, cwd: Path) -> None:
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds a wheel from a copy of the checkout: builds leave files behind and pack old ones."""
    source = tmp_path_factory.mktemp("source")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", "dist", ".", cwd=source)
    (built,) = (source / "dist").glob("lambdapress-*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the bin folder of an environment with the wheel and this environment's dependencies only.

    A `.pth` file names the folder of the dependencies. Python does not read the `.pth` files in that folder,
    so the editable install of the checkout stays out of sight.
    """
    home = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", "--without-pip", home / "env", cwd=home)
    python = home / "env" / "bin" / "python"
    pip("--python", python, "install", "--no-index", "--no-deps", wheel, cwd=home)
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home
    ).stdout.strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_the_wheel_holds_every_module_and_config_and_nothing_else(wheel: Path):
    expected = {
        f"lambdapress/{path.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for pattern in ("*.py", "*.pyi", "*.gin", "*.csv", "*.html", "*.css", "*.js")
        for path in (ROOT / room).rglob(pattern)
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_wheel_names_its_dependencies_its_licence_and_the_python_it_needs(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(path))
        assert any(name.endswith("LICENSE") for name in archive.namelist())
    python = SpecifierSet(metadata["Requires-Python"])
    assert [minor for minor in range(7, 15) if f"3.{minor}.1" in python] == [10, 11]
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    ranges = {one.name: one.specifier for one in requirements if one.marker is None}
    assert "2.14.1" in ranges["tensorflow-compression"] and "2.14.0" not in ranges["tensorflow-compression"]
    assert "1.16.1" in ranges["tensorflow-metadata"] and "1.21.0" not in ranges["tensorflow-metadata"]
    assert "importlib_resources" in ranges
    assert "pytest" not in ranges


def test_the_lock_file_pins_every_direct_dependency_by_hash(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(path))
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pinned = {}
    for line in lines:
        if line and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split("--hash=")
            assert hashes, f"{requirement} has no hash"
            one = Requirement(requirement)
            pinned.setdefault(canonicalize_name(one.name), []).append(one)
    for line in metadata.get_all("Requires-Dist", []):
        wanted = Requirement(line)
        for python in ("3.10", "3.11"):
            environment = {
                "python_version": python,
                "python_full_version": f"{python}.7",
                "sys_platform": "linux",
            }
            versions = [
                next(iter(one.specifier)).version
                for one in pinned[canonicalize_name(wanted.name)]
                if one.marker is None or one.marker.evaluate(environment)
            ]
            assert len(versions) == 1 and versions[0] in wanted.specifier, (python, line, versions)


def test_every_room_is_imported_from_the_wheel(elsewhere: Path, tmp_path: Path):
    rooms = run(
        elsewhere / "python",
        "-c",
        "import importlib\n"
        f"for room in {ROOMS}: print(importlib.import_module('lambdapress.' + room).__file__)",
        cwd=tmp_path,
        TF_CPP_MIN_LOG_LEVEL="3",
    ).stdout.split()
    assert len(rooms) == len(ROOMS)
    assert all(Path(file).is_relative_to(elsewhere.parent) for file in rooms)


def test_a_users_own_modules_shadow_nothing(elsewhere: Path, tmp_path: Path):
    for room in ROOMS:
        (tmp_path / f"{room}.py").write_text("raise RuntimeError('shadowed')\n", encoding="utf-8")
    file = run(
        elsewhere / "python",
        "-c",
        "import lambdapress.tasks; print(lambdapress.tasks.__file__)",
        cwd=tmp_path,
        TF_CPP_MIN_LOG_LEVEL="3",
    )
    assert Path(file.stdout.strip()).is_relative_to(elsewhere.parent)


HELP_AND_WHAT_IT_IMPORTED = """
import sys
from importlib.metadata import distribution

points = distribution("lambdapress").entry_points
main = next(point for point in points if point.group == "console_scripts").load()
sys.argv = ["lambdapress", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
slow = {"tensorflow", "keras", "official", "tensorflow_datasets", "pandas", "matplotlib", "sklearn"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""


def test_help_answers_without_importing_what_takes_long(elsewhere: Path, tmp_path: Path):
    run(
        elsewhere / "python",
        "-c",
        HELP_AND_WHAT_IT_IMPORTED,
        cwd=tmp_path,
    )


def assert_quiet(done: subprocess.CompletedProcess[str]) -> None:
    """Checks that TensorFlow and its imports print nothing at start-up."""
    for noise in ("tensorflow/", "Warning", "WARNING", "oneDNN", "cuda", "absl"):
        assert noise not in done.stdout + done.stderr


def test_list_names_what_is_in_the_wheel(elsewhere: Path, tmp_path: Path):
    done = run(elsewhere / "lambdapress", "list", cwd=tmp_path)
    for name in ("digits", "mnist_classifier", "power_law", "epr", "none", "mnist_notebook", "lenets"):
        assert name in done.stdout.split()
    assert_quiet(done)


@pytest.mark.slow
def test_the_demo_sweep_runs_from_the_wheel(elsewhere: Path, tmp_path: Path):
    smaller = ("sweep.seeds = [0]", "sweep.lmbdas = [1.0]", "digits.epochs = 1")
    options = [part for binding in smaller for part in ("--gin", binding)]
    done = run(
        elsewhere / "lambdapress",
        "sweep",
        "sweeps/digits.gin",
        "--out",
        "out",
        "--workers",
        "2",
        *options,
        cwd=tmp_path,
    )
    for name in ("none", "power_law", "epr"):
        assert name in done.stdout
    assert len(list((tmp_path / "out").rglob("result.json"))) == 3
    assert len(list((tmp_path / "out").rglob("model.lpz"))) == 3
    assert {path.suffix for path in (tmp_path / "out").glob("*.*g")} == {".png", ".svg"}
    assert_quiet(done)
