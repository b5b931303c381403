"""Runs trials one after another in this process."""

from __future__ import annotations

from .executor import Executor, Outcome, executors
from .job import Job, attempt


@executors.register("here")
class Here(Executor):
    """Runs trials in this process: for debugging, and for algorithms that a notebook's cell defines.

    Native code that crashes in a trial ends this process and the sweep with it.
    """

    in_this_process = True

    def __init__(self, workers: int | None, jobs: int):
        del workers, jobs
        self.capacity = 1
        self._job: Job | None = None

    def submit(self, job: Job) -> None:
        self._job = job

    def wait(self, seconds: float) -> list[Outcome]:
        del seconds
        job, self._job = self._job, None
        return [] if job is None else [Outcome(job, attempt(job))]

    def close(self) -> None:
        self._job = None
