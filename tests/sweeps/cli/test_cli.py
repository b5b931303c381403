"""Tests the command line as a user meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main

COMMANDS = ["sweep", "train", "table", "plot", "list", "compress", "inspect", "evaluate"]


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_teaches_by_example(command):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert f"  lambdapress {' '.join(command)}" in result.output


def test_help_and_the_package_wait_for_nothing_heavy():
    code = (
        "import sys, lambdapress.sweeps, lambdapress.sweeps.cli.main as cli\n"
        f"for command in [[], *([c] for c in {COMMANDS})]:\n"
        "    cli.main([*command, '--help'], standalone_mode=False)\n"
        "assert not {'tensorflow', 'pandas', 'numpy', 'rich', 'gin'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_package_names_what_it_offers():
    import lambdapress.sweeps as sweeps

    assert set(sweeps.__all__) <= set(dir(sweeps))
    assert all(getattr(sweeps, name) is not None for name in sweeps.__all__)
    assert not hasattr(sweeps, "no_such")


def test_list_has_every_name_with_its_line():
    result = invoke("list")
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split(None, 1)[1:] for line in result.output.splitlines() if line.strip()}
    for name in ["digits", "mnist_classifier", "none", "power_law", "epr", "mnist_notebook", "lenets"]:
        assert lines[name], name


def test_a_dry_run_lists_identities_and_leaves_no_trace(tmp_path):
    result = invoke("sweep", "digits", "--out", tmp_path / "out", "--dry-run", "--gin", "sweep.seeds = [3]")
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()[:-1]]
    assert len({row[0] for row in rows}) == len(rows) == 11
    assert all(row[1:3] == ["to", "run"] and row[-1] == "seed=3" for row in rows)
    assert "11 trials, 11 to run" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["sweep", "digit"], "There is no gin file 'digit'"),
        (["sweep", "digits", "--gin", "digits.epoch = 1"], "did you mean 'epochs'"),
        (["sweep", "digits", "--workers", "-1"], "--workers"),
        (["train", "--task", "digit", "--algorithm", "none"], "did you mean 'digits'"),
        (
            ["train", "--task", "digits", "--algorithm", "power_law"],
            "--lmbda is missing: 'power_law' takes a λ",
        ),
        (["train", "--task", "digits", "--algorithm", "half", "--lmbda", "1"], "λ means nothing to 'half'"),
        (["train", "--task", "digits", "--algorithm", "power_law", "--lmbda", "-1"], "at least 0"),
        (["table", "nowhere"], "nowhere"),
        (["plot", "nowhere"], "nowhere"),
        (["compress", "nowhere.keras", "out.lpz"], "nowhere.keras"),
        (["inspect", "nowhere.lpz"], "nowhere.lpz"),
        (["evaluate", "nowhere.lpz", "--task", "digits"], "nowhere.lpz"),
    ],
)
def test_an_error_is_one_message_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.output and "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback():
    assert "Traceback" in invoke("--debug", "sweep", "digit").output


def test_a_garbage_file_is_no_model(tmp_path):
    (tmp_path / "x.lpz").write_bytes(b"garbage")
    for arguments in (["inspect", tmp_path / "x.lpz"], ["evaluate", tmp_path / "x.lpz", "--task", "digits"]):
        result = invoke(*arguments)
        assert result.exit_code == 2 and "x.lpz" in result.output


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Runs a small sweep as a user would, from a folder that has nothing to do with the checkout."""
    folder = tmp_path_factory.mktemp("swept")
    command = [sys.executable, "-c", "from lambdapress.sweeps.cli.main import main; main()"]
    overrides = ["digits.epochs = 2", "sweep.seeds = [0]", "sweep.lmbdas = [1.0]"]
    command += ["sweep", "digits", "--workers", "2", *(x for o in overrides for x in ("--gin", o))]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return folder, found


def test_a_sweep_shows_the_table_and_names_its_files_without_noise(swept):
    folder, found = swept
    assert found.stderr == ""
    lines = found.stdout.splitlines()
    assert [line[:5] for line in lines[:3]] == ["[1/3]", "[2/3]", "[3/3]"]
    assert all(name in found.stdout for name in ("none", "power_law", "epr"))
    for name in lines[-1].removeprefix("Wrote ").split(", "):
        assert (folder / name).stat().st_size > 0
    assert {Path(name).suffix for name in lines[-1].split(", ")} == {".csv", ".png", ".svg"}


def test_table_and_plot_of_a_sweep(swept, tmp_path):
    folder, found = swept
    directory = folder / "runs" / "digits"
    assert invoke("table", directory).output.strip() in found.stdout
    assert invoke("table", directory, "--csv").output.startswith("task,algorithm,")
    assert "| " in invoke("table", directory, "--markdown").output
    result = invoke("plot", directory, "--out", tmp_path)
    assert sorted(Path(line).suffix for line in result.output.splitlines()) == [".png", ".svg"]


def test_inspect_adds_up_and_evaluate_repeats_the_result(swept):
    folder, _ = swept
    (path,) = (folder / "runs" / "digits").glob("digits-epr-*/model.lpz")
    result = invoke("inspect", path)
    assert result.exit_code == 0
    cells = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line
    ]
    *parts, total = [int(row[-2].replace(",", "")) for row in cells if row[-2]]
    assert sum(parts) == total == path.stat().st_size
    from lambdapress.sweeps.results.schema import main_value, result_in

    result = invoke("evaluate", path, "--task", "digits")
    assert result.output.split()[:2] == ["accuracy", f"{main_value(result_in(path.parent)):.4f}"]


def test_train_runs_one_trial(tmp_path):
    arguments = ["train", "--task", "digits", "--algorithm", "none", "--gin", "digits.epochs = 1"]
    result = invoke(*arguments, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    (directory,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert f"Its files: {directory}" in result.output
    assert (directory / "model.lpz").exists() and (directory / "result.json").exists()


def test_compress_takes_a_saved_model_and_rules(tmp_path):
    import tensorflow as tf

    model = tf.keras.Sequential([tf.keras.layers.Dense(64, name="a"), tf.keras.layers.Dense(32, name="b")])
    model.build((None, 64))
    model.save(tmp_path / "model.keras")
    sizes = {}
    for name, rules in {"all": [], "some": ["--rule", "^a/="], "none": ["--rule", "=.="]}.items():
        out = tmp_path / f"{name}.lpz"
        result = invoke("compress", tmp_path / "model.keras", out, *rules)
        sizes[name] = (result.exit_code, out.stat().st_size if out.exists() else None)
    assert sizes["all"][0] == sizes["some"][0] == 0
    assert sizes["all"][1] < sizes["some"][1] and sizes["some"][1] > 4 * 64 * 64
    assert sizes["none"] == (2, None)  # a rule that matches nothing
