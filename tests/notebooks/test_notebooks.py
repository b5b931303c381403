"""Checks that the notebooks run, and that their committed outputs are readable online and up to date."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ["compress_your_model", "deploy", "tradeoff_curves"]


def _runner():
    spec = importlib.util.spec_from_file_location("lambdapress_notebooks_run", FOLDER / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = _runner()


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_these_are_all_notebooks():
    assert [path.stem for path in runner.NOTEBOOKS] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_are_whole_clean_and_current(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert runner.problems(notebook) == []
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 500_000


def _run(name: str, folder: Path, **environment: str) -> None:
    """Executes a notebook; a cell that raises fails the test with its traceback."""
    before = read(name)
    done = runner.execute(before, folder, environment)
    assert runner.problems(done) == []
    assert [cell.source for cell in done.cells] == [cell.source for cell in before.cells]


QUICK = {
    "compress_your_model": {"LAMBDAPRESS_NOTEBOOK_EPOCHS": "1", "LAMBDAPRESS_NOTEBOOK_EXAMPLES": "2000"},
    "deploy": {"LAMBDAPRESS_NOTEBOOK_EPOCHS": "1", "LAMBDAPRESS_NOTEBOOK_SECONDS": "0.05"},
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", QUICK)
def test_a_notebook_on_mnist_runs(name, tmp_path, mnist_data_dir):
    _run(name, tmp_path, **QUICK[name], TFDS_DATA_DIR=str(mnist_data_dir.resolve()))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_tradeoff_curves_runs(tmp_path):
    bindings = ["digits.epochs = 2", "sweep.lmbdas = [1, 5]", "sweep.seeds = [0]"]
    _run("tradeoff_curves", tmp_path, LAMBDAPRESS_NOTEBOOK_GIN="\n".join(bindings))
    assert list(tmp_path.rglob("model.lpz")), "the notebook ran no sweep of its own"


def _small(tmp_path: Path, source: str):
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# A title"), v4.new_code_cell(source)])
    return runner.execute(notebook, tmp_path)


def test_a_clean_notebook_has_no_problems_and_an_edited_one_has(tmp_path):
    notebook = _small(tmp_path, "import os\nprint(os.path.isdir('.'))")
    assert notebook.cells[1].outputs[0].text == "True\n"
    assert runner.problems(notebook) == []
    edited = copy.deepcopy(notebook)
    edited.cells[0].source = "# Another title"
    assert runner.problems(edited) == []
    edited.cells[1].source = "print(True)"
    assert ["code has changed" in problem for problem in runner.problems(edited)] == [True]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("None", "should have an output"),
        ("import sys\nprint('x', file=sys.stderr)", "stderr"),
        ("import os\nprint(os.getcwd())", "absolute path"),
        ("print('\\x1b[2K1/9')", "progress bar"),
        ("import matplotlib.figure\nmatplotlib.figure.Figure()", "not drawn"),
        ("print('WARNING:tensorflow: beware')", "warning"),
    ],
)
def test_what_must_not_be_committed_is_a_problem(tmp_path, source, problem):
    found = runner.problems(_small(tmp_path, source))
    assert len(found) == 1 and problem in found[0]


def test_a_cell_that_raises_stops_the_execution(tmp_path):
    with pytest.raises(Exception, match="ZeroDivisionError"):
        _small(tmp_path, "1 / 0")
