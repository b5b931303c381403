"""Defines executors, and drives one until every job has its result.

An executor decides where a job runs. All else is the same for every executor, and is done by `job.py` and
`run_jobs`: jobs, attempts, claims by other runners, and progress. See docs/add_an_executor.md.
"""

from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import time
from collections.abc import Sequence
from typing import ClassVar

from ...framework.registry import Registry
from ..results.schema import error_line
from .job import MAX_ATTEMPTS, ExecutionError, Job, Result, record_death
from .progress import Watcher

BUSY_SECONDS = 0.5
"""Seconds until a trial that another runner holds is tried again."""
WAIT_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Tells how a job ended.

    Attributes:
      job: as it was submitted.
      result: the value that `job.attempt` returned; None if another process runs the trial.
      death: how the process that ran the job died, such as `by SIGKILL`; None if it did not.
      details: what else is known of its death, such as what it wrote last.
    """

    job: Job
    result: Result | None = None
    death: str | None = None
    details: str = ""


class Executor(abc.ABC):
    """Runs jobs somewhere, each by calling `job.attempt(job)` there.

    Attributes:
      capacity: how many jobs may be submitted and unfinished at a time; at least 1.

    Class attributes:
      name: set by the registry.
      in_this_process: whether jobs run in the process that submits them, which knows the algorithms that a
        notebook's cell has defined.
      gives_gpus: whether it takes `gpus_per_trial`, a number or None, besides.
      keeps_limits: whether it kills a trial that oversteps `job.limits`, and says so as its death.
    """

    name: ClassVar[str] = ""
    in_this_process: ClassVar[bool] = False
    gives_gpus: ClassVar[bool] = False
    keeps_limits: ClassVar[bool] = False
    capacity: int

    @abc.abstractmethod
    def __init__(self, workers: int | None, jobs: int):
        """Prepares to run jobs.

        Args:
          workers: how many jobs to run at a time, at most; None: as many as suit the executor.
          jobs: how many jobs there are.
        """

    @abc.abstractmethod
    def submit(self, job: Job) -> None:
        """Starts a job, or puts it in a queue; returns at once."""

    @abc.abstractmethod
    def wait(self, seconds: float) -> list[Outcome]:
        """Returns the jobs that have ended since the last call; waits up to `seconds` for the first.

        Raises:
          ExecutionError: as `job.attempt` raises it.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Stops the jobs that are still running, and frees all resources."""


executors: Registry[Executor] = Registry("executor", gin=False)
"""Every executor by name."""


def run_jobs(
    jobs: Sequence[Job],
    executor: Executor,
    watch: Watcher,
    until: float | None = None,
    fail_fast: bool = False,
) -> dict[str, Result]:
    """Runs jobs in their order until each has a result, and closes the executor.

    A process that dies costs its trial an attempt; after `MAX_ATTEMPTS` the trial is recorded as failed.
    Trials that another runner holds are tried again until they have a result. A trial that starts from
    another waits for that one's result.

    Args:
      jobs: the jobs to run.
      executor: runs them.
      watch: is told of every result.
      until: when to stop, by `time.monotonic()`; what runs then is cut off, and goes on another time.
      fail_fast: whether to stop at the first trial that has failed.

    Returns:
      Results by the trials' identities.

    Raises:
      ExecutionError: where a trial cannot be run or recorded through no fault of its own.
    """
    results: dict[str, Result] = {}
    pending = collections.deque((0.0, job) for job in jobs)
    unfinished = {job.trial.identity for job in jobs}
    running = 0

    with contextlib.closing(executor):
        while pending or running:
            if until is not None and time.monotonic() > until:
                raise ExecutionError(
                    f"The time is up (--max-hours), and {len(unfinished)} trials have no result yet; the "
                    "same command goes on."
                )
            while running < executor.capacity and (job := _next(pending, unfinished)) is not None:
                executor.submit(job)
                running += 1
            if not running:
                time.sleep(WAIT_SECONDS)
                continue
            for outcome in executor.wait(WAIT_SECONDS):
                running -= 1
                job, result = outcome.job, outcome.result
                if outcome.death is not None and job.attempts < MAX_ATTEMPTS:
                    pending.appendleft((0.0, dataclasses.replace(job, attempts=job.attempts + 1)))
                    continue
                if outcome.death is not None:
                    result = record_death(job, outcome.death, outcome.details)
                if result is None:
                    pending.append((time.monotonic() + BUSY_SECONDS, job))
                    continue
                results[job.trial.identity] = result
                unfinished.discard(job.trial.identity)
                watch.finished(job.trial, job.directory, result)
                if fail_fast and result["status"] == "failed":
                    raise ExecutionError(
                        f"{job.trial} failed, and --fail-fast stops there; {len(unfinished)} trials have no "
                        f"result yet. {error_line(result['error'] or '')}".rstrip()
                    )
    return results


def _next(pending: collections.deque[tuple[float, Job]], unfinished: set[str]) -> Job | None:
    """Takes the first job whose time has come and whose parent is done; None if there is none."""
    for index, (when, job) in enumerate(pending):
        parent = job.trial.parent
        if when <= time.monotonic() and (parent is None or parent.identity not in unfinished):
            del pending[index]
            return job
    return None
