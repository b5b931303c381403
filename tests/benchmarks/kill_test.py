"""Kills a sweep at random moments, again and again, and compares its table with an undisturbed one's.

    python tests/benchmarks/kill_test.py --repeat 20

Each round starts the same command, waits for a random time (counted from when the first trial runs, in
four of five rounds), then sends SIGKILL to a worker, to the runner or to both, in turn. A runner that
outlives its worker goes on for a while before it is killed too. Meanwhile every `result.json` is read
as soon as it appears: one that is not whole fails the test.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

COMMAND = [sys.executable, "-c", "from lambdapress.sweeps.cli.main import main; main()", "sweep"]
TIMES = ["train_seconds", "all_train_seconds", "compress_seconds", "evaluate_seconds"]
VICTIMS = ["worker", "runner", "both"]


def start(arguments: list[str]) -> subprocess.Popen:
    """Starts a runner in a session of its own."""
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, start_new_session=True)


def workers_of(pid: int) -> list[int]:
    """Lists the worker processes that a runner has started (its resource tracker is not a worker)."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def alive(pid: int) -> bool:
    """Tells if a process runs; a zombie does not count."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def check_results(out: Path) -> int:
    """Reads every result, raises for a broken one, and returns how many there are."""
    from lambdapress.sweeps.results.schema import read_result

    return len([read_result(path) for path in out.glob("*/result.json")])


def watch(out: Path, seconds: float, until: Callable[[], bool]) -> None:
    """Checks the results without pause until the time is over or `until` holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        check_results(out)
        time.sleep(0.01)


def is_training(out: Path, begun: float) -> bool:
    """Tells if a trial has reported progress since `begun`, a time of the monotonic clock."""
    since = time.time() - (time.monotonic() - begun)
    for path in out.glob("*/progress.json"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime > since:
                return True
    return False


def disturb(arguments: list[str], out: Path, victim: str, chance: random.Random, longest: float) -> str:
    """Runs one round of the test and returns a description of it."""
    runner = start(arguments)
    begun = time.monotonic()
    if chance.random() < 0.8:  # otherwise the kill may hit the runner while it starts
        watch(out, 600.0, lambda: runner.poll() is not None or is_training(out, begun))
    watch(out, chance.uniform(0.0, longest), lambda: runner.poll() is not None)
    seconds = time.monotonic() - begun
    if runner.poll() is not None:
        return "the sweep was over"
    workers = workers_of(runner.pid)
    killed: list[str] = []
    if victim != "runner" and workers:
        kill(chance.choice(workers))
        killed.append("a worker")
        if victim == "worker":
            watch(out, chance.uniform(0.0, longest / 2), lambda: runner.poll() is not None)
    workers = workers_of(runner.pid)
    kill(runner.pid)
    runner.wait()
    killed.append("the runner")
    end = time.monotonic() + 10.0
    while any(map(alive, workers)):
        if time.monotonic() > end:
            raise AssertionError(f"Workers {workers} live on 10 s after their runner was killed.")
        time.sleep(0.05)
    return f"killed {' and '.join(killed)} after {seconds:.1f} s, {check_results(out)} results"


def finish(arguments: list[str], out: Path):
    """Runs the command to its end, and returns the frame of its results without times."""
    from lambdapress.sweeps import load_results

    runner = start(arguments)
    watch(out, 3600.0, lambda: runner.poll() is not None)
    if runner.wait() != 0:
        raise AssertionError(f"The runner ended with exit code {runner.returncode}.")
    frame = load_results(out)
    failed = frame[frame["status"] == "failed"]
    if len(failed):
        raise AssertionError(f"{len(failed)} trials failed, the first with:\n{failed['error'].iloc[0]}")
    return frame.drop(columns=[*TIMES, "directory", "attempts"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeat", type=int, default=20, help="rounds [default: 20]")
    parser.add_argument("--longest", type=float, default=20.0, help="of seconds until a kill [default: 20]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sweep", default="digits")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--gin", action="append", default=[], help="as for lambdapress sweep")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import pandas as pd

    chance = random.Random(options.seed)
    command = [options.sweep, "--workers", options.workers, *(x for g in options.gin for x in ("--gin", g))]
    with tempfile.TemporaryDirectory() as folder:
        calm = Path(folder) / "calm"
        expected = finish([*command, "--out", str(calm)], calm)
        print(f"Undisturbed: {len(expected)} trials.", flush=True)
        rounds, sweeps = 0, 0
        while rounds < options.repeat:
            out = Path(folder) / f"disturbed-{sweeps}"
            disturbed = [*command, "--out", str(out)]
            while rounds < options.repeat:
                done = disturb(disturbed, out, VICTIMS[rounds % 3], chance, options.longest)
                if done == "the sweep was over":
                    break
                rounds += 1
                print(f"[{rounds}/{options.repeat}] {done}", flush=True)
            pd.testing.assert_frame_equal(finish(disturbed, out), expected)
            sweeps += 1
            print(f"Sweep {sweeps}: the table equals the undisturbed one.", flush=True)


if __name__ == "__main__":
    main()
