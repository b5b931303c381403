"""Runs trials on this machine in worker processes.

Each worker has a pipe of its own to the runner, and they share nothing else: no queue or semaphore that a
kill could leave locked for the others. A worker whose runner is gone ends itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import connection as mp_connection
from typing import Any

from ..environment import quiet
from .executor import Executor, Outcome, executors
from .job import ExecutionError, Job, attempt

MOST_WORKERS = 4
"""Most workers by default: one for each core, up to this, as each has TensorFlow in memory."""
MAX_TRIALS = 20
"""Most trials that one worker process runs: TensorFlow keeps some memory of each."""


@executors.register("processes")
class Processes(Executor):
    """Runs trials on this machine, in worker processes that share its cores."""

    def __init__(self, workers: int | None, jobs: int):
        wanted = min(MOST_WORKERS, cores()) if workers is None else workers
        self.capacity = max(1, min(wanted, jobs))
        threads = max(1, cores() // self.capacity)
        self._workers = [_Worker(threads) for _ in range(self.capacity)]

    def submit(self, job: Job) -> None:
        next(worker for worker in self._workers if worker.job is None).start(job)

    def wait(self, seconds: float) -> list[Outcome]:
        outcomes = [worker.take() for worker in _ended(self._workers, seconds)]
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


def _ended(workers: Sequence[_Worker], seconds: float) -> list[_Worker]:
    """Returns the workers that have answered or died, after waiting up to `seconds` for one."""
    waiting = {}
    for worker in workers:
        if worker.job is not None:
            waiting[worker.pipe] = waiting[worker.process.sentinel] = worker
    if not waiting:
        time.sleep(seconds)
        return []
    ready = {id(waiting[item]): waiting[item] for item in mp_connection.wait(list(waiting), seconds)}
    return list(ready.values())


class _Worker:
    """Keeps a process, its pipe and its current job.

    The process starts with the first job, and is replaced once it is dead or has run `MAX_TRIALS` trials.
    """

    def __init__(self, threads: int):
        self._threads = threads
        self._alive = False
        self._ready = False
        self._trials = 0
        self.job: Job | None = None
        self.pipe: Any = None
        self.process: Any = None

    def start(self, job: Job) -> None:
        worn = self._alive and (self._trials >= MAX_TRIALS or not self.process.is_alive())
        if worn:
            self.stop()
        if not self._alive:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs,))
            with _environment(self._threads):
                self.process.start()
            theirs.close()
            self._alive, self._ready = True, False
            self._trials = 0
        self._trials += 1
        self.job = job
        with contextlib.suppress(OSError):  # a worker that died just now: `take` finds out
            self.pipe.send(job)

    def take(self) -> Outcome | None:
        """Returns how the job ended, and frees the worker; None if the worker only said that it is there.

        Raises:
          ExecutionError: as the worker raised it, and where the process died before it could take a job: that
            is no fault of the trial.
        """
        assert self.job is not None
        try:
            kind, value = self.pipe.recv()
        except (EOFError, OSError):
            return self._dead(self.job)
        if kind == "ready":
            self._ready = True
            return None
        job, self.job = self.job, None
        if kind == "error":
            raise ExecutionError(value)
        return Outcome(job, value)

    def _dead(self, job: Job) -> Outcome:
        self.process.join()
        code, ready = self.process.exitcode, self._ready
        self.job = None
        self.stop()
        death = f"by {_signal_name(-code)}" if code < 0 else f"with exit code {code}"
        if not ready:
            raise ExecutionError(
                f"A worker process ended {death} before it could take a trial. A Python script that runs a "
                "sweep must be a file whose code is below `if __name__ == '__main__':`, since worker "
                "processes import it; executor='here' needs no worker."
            )
        return Outcome(job, death=death)

    def stop(self) -> None:
        """Kills the process. The trial that it runs gets no result, and can be run again."""
        if self._alive:
            self.process.kill()
            self.process.join()
            self.process.close()
            self.pipe.close()
            self._alive = False


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Sets what a worker inherits: few messages, its share of threads, no Ctrl-C (the runner stops it)."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    wanted = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    wanted.update({name: str(threads) for name in names})
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
        for name in added:
            del os.environ[name]


def _serve(pipe: Any) -> None:
    """Takes jobs and sends results until the runner closes the pipe or dies."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    quiet()
    with contextlib.suppress(OSError):  # the runner may be gone by now
        pipe.send(("ready", None))
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(("result", attempt(job)))
        except ExecutionError as error:
            pipe.send(("error", str(error)))


def _end_with(sentinel: int) -> None:
    mp_connection.wait([sentinel])
    os._exit(1)
