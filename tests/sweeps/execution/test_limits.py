"""Tests trials that hang, eat memory or never stop talking, sweeps that are cut off, and cleaning up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest
from click.testing import CliRunner

from lambdapress.sweeps import Sweep, run_sweep
from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.cli.options import bytes_of, parts_of, seconds_of
from lambdapress.sweeps.execution.clean import CleanError, unnamed
from lambdapress.sweeps.execution.job import ExecutionError
from lambdapress.sweeps.execution.limits import MOST_LOGGED, MOST_SHOWN, Limits, Shard, TrialLog
from lambdapress.sweeps.plan.plan import plan
from lambdapress.sweeps.trial.trial import LOCK, LOG

COMMAND = [sys.executable, "-c", "from lambdapress.sweeps.cli.main import main; main()"]
SHORT = ["digits.epochs = 1", "digits.batch_size = 256"]


def write_sweep(folder: Path, faults: list[str], text: str = "") -> Path:
    path = folder / "fragile.gin"
    path.write_text(
        "import fragile_task\n"
        "sweep.tasks = ['fragile']\n"
        "sweep.algorithms = ['none']\n"
        f"sweep.grid = {{'fragile.fault': {faults}}}\n" + text
    )
    return path


def run(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    arguments = [*COMMAND, "sweep", str(path), "--out", str(path.parent / "out"), *options]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=280)


def test_each_runaway_ends_as_a_row_and_the_rest_finishes(tmp_path):
    """The time of a trial counts from when its process is there; each is tried twice."""
    path = write_sweep(tmp_path, ["hangs", "hungry", "talks", ""])
    done = run(path, "--workers", "2", "--trial-timeout", "20s", "--trial-memory", "1.5GB")
    assert done.returncode == 1, done.stderr[-2000:]
    from lambdapress.sweeps.results.frames import load_results

    rows = load_results(tmp_path / "out").set_index("gin:fragile.fault")
    assert "died 2 times; the last time killed after" in rows.loc["hangs", "error"]
    assert "seconds without a step (--trial-timeout)" in rows.loc["hangs", "error"]
    assert "more than 1,500,000,000 bytes in memory (--trial-memory)" in rows.loc["hungry", "error"]
    assert rows.loc["talks", "status"] == rows.loc["", "status"] == "ok"
    log = Path(rows.loc["talks", "directory"]) / LOG
    assert 0.9 * MOST_LOGGED < log.stat().st_size <= MOST_LOGGED
    assert "from Python" in log.read_text() and "from native code" in log.read_text()
    assert len(done.stderr) < 4 * MOST_SHOWN and "more of what this trial prints is in" in done.stderr


def test_a_sweep_stops_when_its_time_is_up_or_a_trial_fails(tmp_path):
    path = write_sweep(tmp_path, ["raise", ""], "fragile.seconds = 1.0\n")
    done = run(path, "--workers", "1", "--fail-fast")
    assert done.returncode == 2 and "--fail-fast stops there; 1 trials have no result" in done.stderr
    assert "ZeroDivisionError: as told" in done.stderr
    slow = write_sweep(tmp_path, ["hangs"])
    start = time.monotonic()
    done = run(slow, "--workers", "1", "--max-hours", "0.003")
    assert time.monotonic() - start < 60
    assert done.returncode == 2 and "The time is up (--max-hours), and 1 trials have no result" in done.stderr


@pytest.mark.parametrize("name", ["trial_timeout", "trial_memory", "max_hours"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_that_mean_nothing_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*; give a finite number above 0"):
        Limits(**{name: value})


def test_an_executor_without_processes_takes_no_limit_of_trials(tmp_path):
    sweep = Sweep(["digits"], ["none"])
    with pytest.raises(ValueError, match="mean nothing to the executor 'here': it does not watch trials as"):
        run_sweep(sweep, tmp_path, executor="here", limits=Limits(trial_timeout=9.0))
    with pytest.raises(ExecutionError, match="The time is up"):
        run_sweep(sweep, tmp_path, executor="here", limits=Limits(max_hours=1e-9))


def test_sizes_and_times_are_read():
    assert bytes_of("--n", "1.5MB") == 1_500_000 and bytes_of("--n", "20kB") == 20_000
    assert (
        seconds_of("--t", "90") == 90
        and seconds_of("--t", "1.5h") == 5400
        and seconds_of("--t", "2 m") == 120
    )
    for text in ("", "h", "-1s", "1d", "1e400x"):
        with pytest.raises(ValueError, match="--t is"):
            seconds_of("--t", text)


def test_a_log_is_capped(tmp_path):
    log = TrialLog(tmp_path)
    shown = b"".join(log(b"Q" * 3_000) for _ in range(MOST_LOGGED // 2_000))
    assert (tmp_path / LOG).stat().st_size == MOST_LOGGED
    assert shown.count(b"Q") == MOST_SHOWN and shown.endswith(b"log.txt\n")
    assert TrialLog(tmp_path / "missing")(b"hello") == b"hello"


def test_clean_removes_what_no_sweep_names(tmp_path):
    sweep = Sweep(["digits"], ["none", "half"])
    path = tmp_path / "own.gin"
    path.write_text("sweep.tasks = ['digits']\nsweep.algorithms = ['none', 'half']\n")
    out = tmp_path / "out"
    named = set(run_sweep(sweep, out, executor="here", gin=SHORT)["directory"])
    run_sweep(sweep, out, executor="here", gin=[*SHORT, "digits.learning_rate = 0.01"])
    (out / "notes").mkdir()
    (out / "digits-none-0-s0-0123456789abcdef").mkdir()  # no config: no trial
    gin = [part for binding in SHORT for part in ("--gin", binding)]
    found = unnamed(out, [str(path)], SHORT)
    assert len(found) == 2 and not {str(folder) for folder in found} & named
    with filelock.FileLock(found[0] / LOCK):
        assert unnamed(out, [str(path)], SHORT) == found[1:]
    command = ["clean", str(out), "--sweep", str(path), *gin]
    for extra, answer in ((["--dry-run"], None), ([], "n\n")):
        ran = CliRunner().invoke(main, [*command, *extra], input=answer)
        assert ran.exit_code in (0, 1) and "2 folders" in ran.output and all(f.exists() for f in found)
    ran = CliRunner().invoke(main, command, input="y\n")
    assert "Removed 2 folders" in ran.output and not any(folder.exists() for folder in found)
    assert all(Path(folder).exists() for folder in named) and (out / "notes").exists()
    assert "All trials" in CliRunner().invoke(main, command).output


def test_what_a_refined_sweep_has_added_stays(tmp_path):
    path = tmp_path / "own.gin"
    path.write_text(
        "sweep.tasks = ['digits']\n"
        "sweep.algorithms = ['uniform']\n"
        "sweep.lmbdas = [0.01, 3.0]\n"
        "sweep.refine = 1\n"
    )
    out = tmp_path / "out"
    frame = run_sweep(path, out, executor="here", gin=SHORT)
    assert len(frame) == 3 and unnamed(out, [str(path)], SHORT) == []
    (Path(frame["directory"].iloc[0]) / "result.json").unlink()
    with pytest.raises(CleanError, match="1 of them are missing: run it to its end"):
        unnamed(out, [str(path)], SHORT)


def test_shards_are_the_plan_and_keep_families_together():
    sweep = Sweep(["digits"], ["none", "epr", "uniform"], [0.1, 1.0], [0, 1, 2], start="baseline")
    planned = plan(sweep, SHORT)
    shares = [Shard(i, 3).trials(planned) for i in (1, 2, 3)]
    assert set().union(*shares) == set(planned.trials)
    assert sum(map(len, shares)) == len(planned.trials) and {len(share) for share in shares} == {5}
    for share in shares:
        assert all(trial.parent is None or trial.parent in share for trial in share)
    with pytest.raises(ValueError, match="shard is 1/4, but the plan has 3 trials or groups"):
        Shard(1, 4).trials(planned)
    with pytest.raises(ValueError, match="run it whole"):
        Shard(1, 2).trials(plan(Sweep(["digits"], ["epr"], [0.1, 1.0], refine=1), SHORT))
    for number, count in ((0, 2), (3, 2)):
        with pytest.raises(ValueError, match=f"shard is {number}/{count}"):
            Shard(number, count)
    with pytest.raises(ValueError, match="--shard is '1'; give two numbers, such as 2/8"):
        parts_of("--shard", "1")


def test_two_shards_make_the_table_of_the_whole(tmp_path):
    sweep = Sweep(["digits"], ["none", "half"], seeds=[0, 1])
    for number in (1, 2):
        frame = run_sweep(sweep, tmp_path, executor="here", gin=SHORT, shard=Shard(number, 2))
        assert len(frame) == 2 * number
    whole = plan(sweep, SHORT)
    assert set(frame["identity"]) == {trial.identity for trial in whole.trials}
