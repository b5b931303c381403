"""Tests what GPUs workers see, by their environment: no GPU is needed, and none is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lambdapress.sweeps import Sweep, run_sweep
from lambdapress.sweeps.environment import gpu_shares, visible_gpus
from lambdapress.sweeps.execution.limits import Limits
from lambdapress.sweeps.execution.processes import Processes

COMMAND = [sys.executable, "-c", "from lambdapress.sweeps.cli.main import main; main()"]


@pytest.mark.parametrize(
    "gpus, per_trial, shares",
    [
        (["0", "1", "2"], 1, ["0", "1", "2"]),
        (["0", "1", "2"], 2, ["0,1"]),
        (["GPU-a", "GPU-b"], 0.5, ["GPU-a", "GPU-b"] * 2),
        (["3"], 1 / 3, ["3"] * 3),
    ],
)
def test_gpus_are_shared_out(gpus, per_trial, shares):
    assert gpu_shares(gpus, per_trial) == shares


@pytest.mark.parametrize("per_trial", [0, -1, 1.5, 3, float("nan")])
def test_shares_that_mean_nothing_are_refused(per_trial):
    with pytest.raises(ValueError, match="gpus_per_trial is"):
        gpu_shares(["0", "1"], per_trial)


@pytest.mark.parametrize(
    "told, seen", [("", []), ("-1", []), ("2,0", ["2", "0"]), ("1,-1,0", ["1"]), ("MIG-x, 3", ["MIG-x", "3"])]
)
def test_visible_gpus_are_those_that_cuda_would_see(monkeypatch, told, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    assert visible_gpus() == seen


def test_there_is_a_worker_for_each_gpu_by_default(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5")
    assert Processes(None, 100).capacity == 6
    assert Processes(None, 100, gpus_per_trial=0.5).capacity == 12
    assert Processes(9, 100).capacity == 9  # three share
    with pytest.raises(ValueError, match="workers is 4, but 6 GPUs .* are enough for 3"):
        Processes(4, 100, gpus_per_trial=2)


def test_an_executor_that_gives_no_gpus_refuses_to(tmp_path):
    with pytest.raises(ValueError, match="gpus_per_trial means nothing to the executor 'here'"):
        run_sweep(Sweep(["digits"], ["none"]), tmp_path, executor="here", limits=Limits(gpus_per_trial=1))


def test_each_worker_sees_its_own(tmp_path: Path):
    path = tmp_path / "fragile.gin"
    log = tmp_path / "log"
    path.write_text(
        "import fragile_task\n"
        "sweep.tasks = ['fragile']\n"
        "sweep.algorithms = ['none']\n"
        "sweep.seeds = [0, 1]\n"
        "fragile.fault = 'devices'\n"
        "fragile.seconds = 8.0\n"
        f"fragile.log = '{log}'\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "CUDA_VISIBLE_DEVICES": "7,5"}
    command = [*COMMAND, "sweep", str(path), "--out", str(tmp_path / "out"), "--gpus-per-trial", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in log.read_text().splitlines() if line.startswith("GPUs")) == [
        "GPUs 5",
        "GPUs 7",
    ]
