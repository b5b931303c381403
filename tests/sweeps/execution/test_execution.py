"""Tests sweeps on real processes that break down. A worker takes seconds to start, so tests share sweeps."""

from __future__ import annotations

import collections
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import gin
import pandas as pd
import pytest

from lambdapress.framework.registry import UnknownNameError
from lambdapress.sweeps.execution import progress
from lambdapress.sweeps.execution.executor import executors, run_jobs
from lambdapress.sweeps.execution.job import ExecutionError, Job, attempt, record_death
from lambdapress.sweeps.execution.progress import Watcher
from lambdapress.sweeps.execution.sweep import run_plan, run_sweep, states
from lambdapress.sweeps.gin.bindings import ConfigError
from lambdapress.sweeps.gin.isolation import isolated
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import plan
from lambdapress.sweeps.results.summary import summarise
from lambdapress.sweeps.trial.trial import LOCK, Trial

FAULTS = ["", "killed once", "killed", "native", "exit", "sys.exit", "raise", "nan"]
COMMAND = [sys.executable, "-c", "from lambdapress.sweeps.cli.main import main; main()"]
MEASURED = [
    "identity",
    "status",
    "metric",
    "metric_compressible",
    "size_bytes",
    "float_bytes",
    "estimated_bytes",
]


@pytest.fixture(scope="module", autouse=True)
def fragile_on_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1]))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        yield


def write_sweep(folder: Path, text: str) -> Path:
    path = folder / "fragile.gin"
    path.write_text(
        "import fragile_task\n"
        "sweep.tasks = ['fragile']\n"
        "sweep.algorithms = ['none']\n"
        f"fragile.log = '{folder}/log'\n" + text
    )
    return path


def starts(folder: Path) -> collections.Counter:
    return collections.Counter((folder / "log").read_text().splitlines())


def by_fault(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("gin:fragile.fault")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """Runs a sweep of trials that break down in every way, on two workers; returns its folder and results."""
    folder = tmp_path_factory.mktemp("faulty")
    path = write_sweep(folder, f"sweep.grid = {{'fragile.fault': {FAULTS}}}\n")
    with isolated():
        frame = run_sweep(path, folder / "out", workers=2)
    return folder, by_fault(frame)


def test_what_is_well_has_a_result_that_was_read_back(faulty):
    folder, frame = faulty
    row = frame.loc[""]
    assert row["status"] == "ok" and row["attempts"] == 1
    assert 0 < row["metric"] <= 1 and row["metric"] == pytest.approx(row["metric_compressible"], abs=1e-4)
    directory = Path(row["directory"])
    assert (directory / "model.lpz").stat().st_size == row["size_bytes"]
    assert row["ratio"] == pytest.approx(row["float_bytes"] / row["size_bytes"])
    assert "fragile.epochs = 1" in (directory / "operative.gin").read_text()
    assert "import fragile_task" in (directory / "config.gin").read_text()
    assert any((directory / "events").iterdir())
    assert not (directory / "progress.json").exists()


def test_a_worker_that_dies_is_forgiven_once(faulty):
    folder, frame = faulty
    assert frame.loc["killed once", ["status", "attempts"]].tolist() == ["ok", 2]
    assert frame.loc["killed", ["status", "attempts"]].tolist() == ["failed", 2]
    assert "SIGKILL" in frame.loc["killed", "error"]
    assert frame.loc["exit", ["status", "attempts"]].tolist() == ["failed", 2]
    assert "exit code 7" in frame.loc["exit", "error"]
    assert starts(folder)["killed once"] == starts(folder)["killed"] == starts(folder)["exit"] == 2


def test_a_native_death_is_a_failed_row_that_says_what_died_and_what_to_try(faulty):
    folder, frame = faulty
    assert frame.loc["native", ["status", "attempts"]].tolist() == ["failed", 2]
    first, *rest = frame.loc["native", "error"].splitlines()
    assert first == (
        "The worker process died 2 times; the last time by SIGABRT: free(): invalid pointer (TensorFlow's "
        "oneDNN kernels may be at fault: set TF_ENABLE_ONEDNN_OPTS=0)."
    )
    assert any("fragile_task.py" in line and "in train" in line for line in rest)
    (failure,) = [line for line in summarise(frame.reset_index())["failures"] if "free()" in line]
    assert first in failure


def test_sys_exit_in_a_task_is_recorded_at_once(faulty):
    folder, frame = faulty
    assert frame.loc["sys.exit", ["status", "attempts"]].tolist() == ["failed", 1]
    assert frame.loc["sys.exit", "error"].endswith("SystemExit: 0")
    assert starts(folder)["sys.exit"] == 1


def test_an_exception_is_recorded_at_once_with_its_traceback(faulty):
    folder, frame = faulty
    assert frame.loc["raise", ["status", "attempts"]].tolist() == ["failed", 1]
    assert frame.loc["raise", "error"].startswith("Traceback")
    assert "fragile_task.py" in frame.loc["raise", "error"]
    assert frame.loc["raise", "error"].endswith("ZeroDivisionError: as told")
    assert starts(folder)["raise"] == 1


def test_a_diverged_trial_is_a_failed_row_that_names_the_epoch(faulty):
    _, frame = faulty
    assert frame.loc["nan", "status"] == "failed"
    assert "nan in epoch 1 of 1" in frame.loc["nan", "error"]


def test_no_json_has_a_nan(faulty):
    folder, _ = faulty
    for path in (folder / "out").glob("*/result.json"):
        assert json.loads(path.read_text(), parse_constant=pytest.fail)["schema"] == 2


def test_the_same_command_again_runs_nothing_and_retry_failed_the_failed(faulty, tmp_path):
    folder, frame = faulty
    path = folder / "fragile.gin"
    before = starts(folder)
    assert by_fault(run_sweep(path, folder / "out", workers=2))[["status", "error"]].equals(
        frame[["status", "error"]]
    )
    assert starts(folder) == before
    again = by_fault(
        run_sweep(path, folder / "out", workers=0, gin=["sweep.grid = {'fragile.fault': ['raise', '']}"])
    )
    assert again.index.tolist() == ["", "raise"]
    grid = ["sweep.grid = {'fragile.fault': ['raise', '']}"]
    run_sweep(path, folder / "out", workers=0, gin=grid, retry_failed=True)
    assert starts(folder) - before == {"raise": 1}


def test_a_result_does_not_depend_on_what_its_worker_ran_before(tmp_path):
    path = write_sweep(tmp_path, "sweep.algorithms = ['none', 'epr']\nsweep.lmbdas = [1]\n")
    together = run_sweep(path, tmp_path / "together", workers=1)
    last = together["algorithm"].iloc[-1]
    alone = run_sweep(path, tmp_path / "alone", workers=1, gin=[f"sweep.algorithms = ['{last}']"])
    pd.testing.assert_frame_equal(
        alone[MEASURED], together[together["algorithm"] == last][MEASURED].reset_index(drop=True)
    )


@pytest.mark.parametrize("executor", executors.names())
def test_missing_data_stops_the_sweep_and_is_no_result(executor, tmp_path):
    path = write_sweep(tmp_path, "fragile.fault = 'no data'\n")
    with pytest.raises(ExecutionError, match="^There is no data, as told.$"):
        run_sweep(path, tmp_path / "out", executor=executor, workers=1)
    assert not list((tmp_path / "out").glob("*/result.json"))


@pytest.mark.parametrize("executor", executors.names())
def test_a_result_that_cannot_be_recorded_is_the_same_error_from_every_executor(executor, tmp_path):
    (tmp_path / "file").write_text("where a folder should be")
    job = Job(Trial("digits", "none", 0.0, 0, ""), tmp_path / "file" / "trial")
    with pytest.raises(ExecutionError, match="^digits none λ=0 seed=0 cannot be recorded: NotADir"):
        run_jobs([job], executors.build(executor, workers=1, jobs=1), Watcher({}, 1))


def test_no_workers_mean_here_and_an_unknown_executor_is_told_what_there_is(tmp_path):
    path = write_sweep(tmp_path, "")
    with pytest.raises(ValueError, match="workers is 0.*the executor 'processes' takes 1 or more"):
        run_sweep(path, tmp_path / "out", executor="processes", workers=0)
    with pytest.raises(UnknownNameError, match="Unknown executor 'proceses' .did you mean 'processes'"):
        run_sweep(path, tmp_path / "out", executor="proceses")


def test_a_trial_that_another_process_holds_is_left_to_it(tmp_path):
    job = Job(Trial("digits", "none", 0.0, 0, ""), tmp_path / "trial")
    job.directory.mkdir()
    with filelock.FileLock(job.directory / LOCK):
        assert attempt(job) is None
        assert record_death(job, "by SIGKILL") is None
    assert record_death(job, "by SIGKILL")["status"] == "failed"
    assert attempt(job)["status"] == "failed"  # recorded by now, so it is not run


def test_an_algorithm_defined_in_main_is_refused_for_workers(tmp_path, monkeypatch):
    from lambdapress.tasks.digits import Digits

    monkeypatch.setattr(Digits, "__module__", "__main__")
    planned = plan("digits", ["sweep.algorithms = ['none']", "sweep.seeds = [0]"])
    with pytest.raises(ConfigError, match="Digits is defined in __main__"):
        run_plan(planned, tmp_path, workers=1)


def test_the_callers_gin_config_and_environment_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    path = write_sweep(tmp_path, "")
    with isolated():
        gin.bind_parameter("digits.epochs", 77)
        before = gin.config_str()
        run_sweep(path, tmp_path / "out", workers=0, data_dir=tmp_path)
        assert gin.config_str() == before
        assert gin.operative_config_str().strip() == ""
        assert "TFDS_DATA_DIR" not in os.environ


# Runners as a user starts them, and accidents that can happen to them.


def start_runner(path: Path, out: Path, *arguments: str) -> subprocess.Popen:
    command = [*COMMAND, "sweep", str(path), "--out", str(out), "--workers", "2", *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that run in the background ignore Ctrl-C, and their children would, too.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for(condition, seconds: float = 200.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


SLOW = "sweep.seeds = [0, 1, 2, 3]\nfragile.seconds = 1.0\n"


def test_two_runners_share_the_work_and_run_nothing_twice(tmp_path):
    path = write_sweep(tmp_path, SLOW + "sweep.grid = {'fragile.fault': ['', 'a']}\n")
    runners = [start_runner(path, tmp_path / "out") for _ in range(2)]
    for runner in runners:
        out, err = runner.communicate(timeout=200)
        assert runner.returncode == 0, err
        assert err == ""
    assert starts(tmp_path) == {"": 4, "a": 4}
    assert len(list((tmp_path / "out").glob("*/result.json"))) == 8


def test_a_sweep_goes_on_after_ctrl_c_and_after_its_runner_was_killed(tmp_path):
    path, out = write_sweep(tmp_path, SLOW), tmp_path / "out"
    runner = start_runner(path, out)
    wait_for(lambda: list(out.glob("*/result.json")))
    workers = children(runner.pid)
    os.killpg(runner.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, err = runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert len(err.splitlines()) == 1 and "To go on: " in err
    wait_for(lambda: not any(map(is_alive, workers)), 5)
    done = len(list(out.glob("*/result.json")))
    assert 1 <= done < 4

    log = len((tmp_path / "log").read_text().splitlines())
    runner = start_runner(path, out)
    wait_for(lambda: len((tmp_path / "log").read_text().splitlines()) > log)
    workers = children(runner.pid)
    runner.kill()
    runner.communicate(timeout=20)
    wait_for(lambda: not any(map(is_alive, workers)), 10)
    assert run_sweep(path, out, workers=0)["status"].tolist() == ["ok"] * 4


def test_progress_can_be_seen_from_outside(tmp_path):
    path = write_sweep(tmp_path, "sweep.seeds = [0]\nfragile.seconds = 2.0\n")
    runner = start_runner(path, tmp_path / "out")
    wait_for(lambda: any(map(progress.read, (tmp_path / "out").glob("*"))))
    (directory,) = (tmp_path / "out").glob("*-*")
    state = progress.read(directory)
    assert state is None or 0 <= progress.fraction(state) <= 1
    out, err = runner.communicate(timeout=100)
    assert "[1/1] fragile none λ=0 seed=0" in out and err == ""
    assert progress.read(directory) is None


def test_a_result_of_older_code_is_marked_and_run_anew_if_that_is_wanted(tmp_path):
    arguments = {"executor": "here", "gin": ["digits.epochs = 1", "trial.keep_checkpoint = True"]}
    sweep = Sweep(["digits"], ["epr"], [1.0])
    with isolated():
        run_sweep(sweep, tmp_path, **arguments)
        planned = plan(sweep, arguments["gin"])
        (trial,) = planned.trials
        path = tmp_path / trial.directory_name / "result.json"
        first = json.loads(path.read_text())
        assert list(states(planned, tmp_path).values()) == ["ok"]
        old = {**first, "code": {**first["code"], "algorithms/epr.py": "0" * 16}}
        path.write_text(json.dumps(old))
        assert list(states(planned, tmp_path).values()) == ["stale"]
        assert run_sweep(sweep, tmp_path, **arguments)["stale"].all()
        assert json.loads(path.read_text()) == old
        assert not run_sweep(sweep, tmp_path, **arguments, retry_stale=True)["stale"].any()
    again = json.loads(path.read_text())
    assert again["code"] == first["code"] and again["metrics"] == first["metrics"]
    assert again["train_seconds"] != first["train_seconds"], "trained anew, in spite of the kept checkpoint"
