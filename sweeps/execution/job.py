"""Runs a trial while holding its lock: the unit of work that every executor calls.

Files are the only state. A trial is done once its `result.json` exists, and is running while its lock is
held; the kernel releases a lock when its holder dies.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from ...framework.errors import LambdapressError
from ..results.schema import RESULT, result_in
from ..results.traces import Stop
from ..trial.run import blank_result, run_trial, write_result
from ..trial.trial import LOCK, Trial
from .limits import Limits
from .progress import Writer

MAX_ATTEMPTS = 2
"""Number of attempts at a trial whose process dies; after the last it counts as failed."""

Result = Mapping[str, Any]


class ExecutionError(LambdapressError, RuntimeError):
    """A trial cannot be run or recorded through no fault of its own; the same command goes on later.

    Its data is missing, the disk is full, the directory is gone.
    """


@dataclasses.dataclass(frozen=True)
class Job:
    """A trial to run; can be pickled.

    Attributes:
      trial: the trial.
      directory: the trial's folder.
      attempts: which attempt this is, from 1.
      stale: text of a result that is to be replaced; any other result that is there by then stays.
      stop: when the trial stops early; None: it does not.
      limits: when its process is killed; for the executor.
    """

    trial: Trial
    directory: Path
    attempts: int = 1
    stale: str | None = None
    stop: Stop | None = None
    limits: Limits = Limits()


def attempt(job: Job) -> Result | None:
    """Runs a job unless its trial has a result already.

    Returns:
      The trial's result; None while another process runs the trial.

    Raises:
      ExecutionError: where the trial cannot be run or recorded; nothing is recorded then.
    """

    def run() -> Result:
        _check_onednn(job.trial)
        writer = Writer(job.directory)
        try:
            return run_trial(job.trial, job.directory, writer, job.attempts, job.stop)
        finally:
            writer.close()

    return _unless_recorded(job, run)


def _check_onednn(trial: Trial) -> None:
    """Refuses to run a trial in a process whose TensorFlow uses other kernels than it wants."""
    if trial.onednn is None:
        return
    from ...framework.surgery.private import uses_onednn

    if uses_onednn() != trial.onednn:
        has, value = "uses" if uses_onednn() else "does not use", int(trial.onednn)
        raise ExecutionError(
            f"{trial} has trial.onednn = {trial.onednn}, and TensorFlow {has} oneDNN's kernels in this "
            f"process. Take the executor 'processes', or set TF_ENABLE_ONEDNN_OPTS={value} before Python "
            "starts."
        )


def record_death(job: Job, death: str, details: str = "") -> Result | None:
    """Records a trial as failed after its processes died.

    Args:
      job: the last attempt.
      death: how its process died, such as `by SIGKILL`.
      details: what else is known of it, over some lines.

    Returns:
      The trial's result; None while another process runs the trial.

    Raises:
      ExecutionError: where the result cannot be recorded.
    """

    def record() -> Result:
        result = blank_result(job.trial, job.attempts)
        said = f"The worker process died {job.attempts} times; the last time {death}."
        result["error"] = f"{said}\n{details}".rstrip()
        write_result(job.directory, result)
        return result

    return _unless_recorded(job, record)


def _unless_recorded(job: Job, make: Callable[[], Result]) -> Result | None:
    """Returns the trial's result, made now if there is none; None while another process has the claim."""
    with _claim(job) as claimed:
        if not claimed:
            return None
        return _recorded(job) or make()


@contextmanager
def _claim(job: Job) -> Iterator[bool]:
    """Holds the trial's lock and yields True; yields False where another process holds it.

    Raises:
      ExecutionError: instead of any error in the with-block. A trial's own errors are in its result.
    """
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(job.directory / LOCK, blocking=False)
        try:
            lock.acquire()
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
    except Exception as error:
        raise ExecutionError(_reason(job, error)) from error


def _recorded(job: Job) -> Result | None:
    """Returns the trial's result unless there is none, or the stale one; the lock must be held."""
    path = job.directory / RESULT
    if job.stale is not None and path.exists() and path.read_text(encoding="utf-8") == job.stale:
        return None
    return result_in(job.directory)


def _reason(job: Job, error: Exception) -> str:
    if isinstance(error, LambdapressError):
        return str(error)
    if isinstance(error, OSError):
        return f"{job.trial} cannot be recorded: {type(error).__name__}: {error}"
    return f"{job.trial} cannot be run:\n{''.join(traceback.format_exception(error)).strip()}"
