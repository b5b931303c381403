"""Tests that a full disk is no fault of a trial: nothing is recorded, and the same command goes on."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from lambdapress.sweeps.results.schema import RESULT
from lambdapress.sweeps.trial.machine_faults import is_of_the_machine

SCRIPT = """
import sys
from lambdapress.sweeps import Sweep, run_sweep
run_sweep(Sweep(["digits"], ["none"]), sys.argv[1], executor=sys.argv[2], workers=None,
          gin=["digits.epochs = 1", "digits.steps_per_execution = 1"])
"""


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error, wanted",
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), True),
        (caused(RuntimeError("saving failed"), OSError(errno.EDQUOT, "quota")), True),
        (tf.errors.ResourceExhaustedError(None, None, "x.data; No space left on device"), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), False),
        (FileNotFoundError(errno.ENOENT, "no such file"), False),
        (ValueError("No space left on device"), False),
        (OSError("without a code"), False),
    ],
)
def test_what_the_machine_is_to_blame_for(error, wanted):
    assert is_of_the_machine(error) == wanted


def test_a_trial_that_hits_the_limit_on_files_has_no_result_and_runs_once_there_is_room(tmp_path):
    def run(limit: int) -> subprocess.CompletedProcess:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path), "here"],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard)),
        )

    full = run(100_000)  # less than the checkpoint takes
    assert full.returncode == 1 and "cannot be recorded" in full.stderr, full.stderr[-2000:]
    assert not list(tmp_path.rglob(RESULT))
    assert run(resource.RLIM_INFINITY).returncode == 0
    assert len(list(tmp_path.rglob(RESULT))) == 1


@pytest.mark.parametrize("stdin", [False, True])
def test_a_script_without_a_guard_is_told_so_and_no_trial_counts_as_failed(tmp_path, stdin):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out = tmp_path / "out"
    ran = subprocess.run(
        [sys.executable, "-" if stdin else str(script), str(out), "processes"],
        input=SCRIPT if stdin else None,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ran.returncode == 1 and "if __name__ == '__main__':" in ran.stderr.splitlines()[-1], ran.stderr[
        -2000:
    ]
    assert not list(Path(out).rglob(RESULT))
