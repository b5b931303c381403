"""Runs trials on this machine in worker processes (see `worker_process.py`)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from multiprocessing import connection as mp_connection
from pathlib import Path
from typing import Any

from ..environment import gpu_shares, visible_gpus
from ..trial.trial import PROGRESS
from ..worker_process import ONEDNN, Death, Worker
from .executor import Executor, Outcome, executors
from .job import ExecutionError, Job, attempt
from .limits import Limits, TrialLog, resident_bytes

DEVICES = "CUDA_VISIBLE_DEVICES"
MOST_WORKERS = 4
"""Most workers by default: one for each core, up to this, as each has TensorFlow in memory."""
LOOK_SECONDS = 1.0
START_SECONDS = 300.0
"""A process may take so long to start before its trial's time counts."""
MAX_TRIALS = 20
"""Most trials that one worker process runs: TensorFlow keeps some memory of each."""


@executors.register("processes")
class Processes(Executor):
    """Runs trials on this machine, in worker processes that share its cores and its GPUs.

    Each worker sees its own GPUs alone. Where there are some, there is a worker for each by default.
    """

    keeps_limits = gives_gpus = True

    def __init__(self, workers: int | None, jobs: int, gpus_per_trial: float | None = None):
        gpus = visible_gpus()
        if gpus_per_trial is not None:
            shares = gpu_shares(gpus, gpus_per_trial)
            if workers is not None and workers > len(shares):
                raise ValueError(
                    f"workers is {workers}, but {len(gpus)} GPUs with gpus_per_trial = {gpus_per_trial:g} "
                    f"are enough for {len(shares)}."
                )
        else:
            shares = gpus  # of more workers, several share one
        wanted = (len(shares) or min(MOST_WORKERS, cores())) if workers is None else workers
        self.capacity = max(1, min(wanted, jobs))
        threads = max(1, cores() // self.capacity)
        own = [{DEVICES: shares[i % len(shares)]} if shares else {} for i in range(self.capacity)]
        self._workers = [_Trials(threads, devices) for devices in own]

    def submit(self, job: Job) -> None:
        next(worker for worker in self._workers if worker.job is None).start(job)

    def wait(self, seconds: float) -> list[Outcome]:
        outcomes = [worker.take() for worker in _stirring(self._workers, seconds)]
        outcomes += [worker.cut_off() for worker in self._workers]
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()


def cores() -> int:
    """Counts the cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _stirring(workers: Sequence[_Trials], seconds: float) -> list[_Trials]:
    """Returns the workers that have answered, written or died, after waiting up to `seconds` for one."""
    waiting = {item: worker for worker in workers if worker.job is not None for item in worker.waitables()}
    if not waiting:
        time.sleep(seconds)
        return []
    ready = {id(waiting[item]): waiting[item] for item in mp_connection.wait(list(waiting), seconds)}
    return list(ready.values())


class _Trials:
    """Keeps a worker and the job that it runs.

    Its process is replaced after `MAX_TRIALS`, and where a trial wants oneDNN otherwise than the last one.
    """

    def __init__(self, threads: int, devices: Mapping[str, str]):
        self._threads, self._devices = threads, devices
        self._worker = self._made(None)
        self._count = 0
        self._onednn: bool | None = None
        self._started = self._looked = 0.0
        self.job: Job | None = None

    def _made(self, onednn: bool | None) -> Worker:
        own = {**self._devices, **({} if onednn is None else {ONEDNN: str(int(onednn))})}
        return Worker(attempt, ExecutionError, self._threads, own)

    def start(self, job: Job) -> None:
        if self._count >= MAX_TRIALS or job.trial.onednn != self._onednn or self._is_large(job.limits, 0.5):
            self._worker.stop()
            self._onednn = job.trial.onednn
            self._worker = self._made(self._onednn)
        self._count = self._count + 1 if self._worker.alive else 1
        self.job, self._started = job, time.time()
        self._worker.heard = TrialLog(job.directory)
        self._worker.start(job)

    def waitables(self) -> list[Any]:
        return self._worker.waitables()

    def take(self) -> Outcome | None:
        """Returns how the job ended, and frees the worker; None if it has not ended.

        Raises:
          ExecutionError: as `attempt` raised it, and where the process died before it could take a job: that
            is no fault of the trial.
        """
        ended, value = self._worker.take()
        if not ended:
            return None
        job, self.job = self.job, None
        assert job is not None
        if not isinstance(value, Death):
            return Outcome(job, value)
        if not self._worker.ready:
            raise ExecutionError(
                f"A worker process ended {value} before it could take a trial. A Python script that runs a "
                "sweep must be a file whose code is below `if __name__ == '__main__':`, since worker "
                "processes import it; executor='here' needs no worker."
            )
        return Outcome(job, death=str(value), details=value.details)

    def cut_off(self) -> Outcome | None:
        """Kills the process if its trial has overstepped a limit, and says which; looks once a second."""
        job, now = self.job, time.time()
        if job is None or not job.limits.of_trials or now < self._looked + LOOK_SECONDS:
            return None
        self._looked = now
        death = self._overstepped(job, now)
        if death is None:
            return None
        self._worker.take()  # what it has printed by now
        self._worker.stop()
        self.job = None
        return Outcome(job, death=death)

    def _overstepped(self, job: Job, now: float) -> str | None:
        limits = job.limits
        if limits.trial_timeout is not None:
            silent = now - max(self._started, _last_progress(job.directory))
            allowed = limits.trial_timeout + (0 if self._worker.ready else START_SECONDS)
            if silent > allowed:
                return f"killed after {silent:,.0f} seconds without a step (--trial-timeout)"
        if self._is_large(limits, 1.0):
            return (
                f"killed: it had more than {limits.trial_memory or 0:,.0f} bytes in memory (--trial-memory)"
            )
        return None

    def _is_large(self, limits: Limits, share: float) -> bool:
        pid = self._worker.pid
        if limits.trial_memory is None or pid is None:
            return False
        return resident_bytes(pid) > share * limits.trial_memory

    def stop(self) -> None:
        self._worker.stop()


def _last_progress(directory: Path) -> float:
    """Returns when a trial last said something, in seconds since 1970; 0 if it has not."""
    try:
        return (directory / PROGRESS).stat().st_mtime
    except OSError:
        return 0.0
