"""Where trials run: on this machine, one process a worker.

The files are the only state. A trial is done when its `result.json` is there, and it is being run when
its lock is held; the kernel lets go of a lock when its holder dies. Each worker has a pipe of its own to the
runner, and they share nothing else: no queue or semaphore that a kill could leave locked for the
others. A worker whose runner is gone ends itself.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import connection as mp_connection
from pathlib import Path
from typing import Any, Callable, Optional

import filelock

from . import progress
from . import trial as trials_module
from .quiet import quiet
from .trial import LOCK, RESULT, Trial

BUSY_SECONDS = 0.5
"""How long a trial that another runner holds is left alone before it is asked for again."""
POLL_SECONDS = 0.2
MAX_ATTEMPTS = 2
MAX_TRIALS = 20
"""How many trials a worker process runs: TensorFlow keeps some memory of each."""

Result = Mapping[str, Any]


class WorkerError(RuntimeError):
    """A result could not be recorded: the disk is full, the directory is gone."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A trial to be run.

    Attributes:
      trial: which.
      directory: the trial's own.
      attempts: which attempt this is, from 1.
      stale: text of a failed result that is to be replaced, if this is what is still there.
    """

    trial: Trial
    directory: Path
    attempts: int = 1
    stale: Optional[str] = None


def attempt(job: Job, report: Optional[Callable[[Mapping[str, Any]], None]] = None) -> Optional[Result]:
    """Runs a job, or finds that it was run: the trial's result, or None while another process runs it."""
    job.directory.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(job.directory / LOCK, blocking=False):
            done = _recorded(job)
            if done is not None:
                return done
            writer = progress.Writer(job.directory)
            try:
                return trials_module.run_trial(job.trial, job.directory, report or writer, job.attempts)
            finally:
                writer.close()
    except filelock.Timeout:
        return None


def run_here(jobs: Sequence[Job], watch: progress.Watcher) -> dict[str, Result]:
    """Runs the jobs one after another in this process; results by identity."""
    results = {}
    pending = collections.deque(jobs)
    while pending:
        job = pending.popleft()
        result = attempt(job, functools.partial(_show, watch, job.directory))
        if result is None:
            pending.append(job)
            watch.poll()
            time.sleep(BUSY_SECONDS if len(pending) == 1 else 0.05)
            continue
        results[job.trial.identity] = result
        watch.finished(job.trial, job.directory, result)
    return results


def run(jobs: Sequence[Job], workers: int, watch: progress.Watcher) -> dict[str, Result]:
    """Runs the jobs on worker processes.

    A worker that dies costs its trial an attempt; after the second the trial is recorded as failed.
    Trials that another runner is at are waited for.

    Args:
      jobs: to run, in this order.
      workers: how many processes at most; the machine's threads are divided among them.
      watch: is told of every result, and asked to look at the trials' progress.

    Returns:
      Results by identity.

    Raises:
      WorkerError: where a result cannot be written.
    """
    results: dict[str, Result] = {}
    pending = collections.deque((0.0, job) for job in jobs)
    count = max(1, min(workers, len(jobs)))
    threads = max(1, cores() // count)
    pool = [_Worker(threads) for _ in range(count if jobs else 0)]
    try:
        while pending or any(worker.job for worker in pool):
            now = time.monotonic()
            for worker in pool:
                if worker.job is None and pending and pending[0][0] <= now:
                    worker.start(pending.popleft()[1])
            for worker in _ready(pool):
                job = worker.job
                assert job is not None
                result, death = worker.take()
                if death is not None and job.attempts < MAX_ATTEMPTS:
                    pending.appendleft((0.0, dataclasses.replace(job, attempts=job.attempts + 1)))
                    continue
                if death is not None:
                    result = record_death(job, death)
                if result is None:
                    pending.append((now + BUSY_SECONDS, job))
                    continue
                results[job.trial.identity] = result
                watch.finished(job.trial, job.directory, result)
            watch.poll()
    finally:
        for worker in pool:
            worker.stop()
    return results


def cores() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _show(watch: progress.Watcher, directory: Path, state: progress.State) -> None:
    watch.update({directory: state})


def record_death(job: Job, death: str) -> Optional[Result]:
    """Records a trial as failed whose workers died; None where another runner took it up meanwhile."""
    try:
        with filelock.FileLock(job.directory / LOCK, blocking=False):
            done = _recorded(job)
            if done is not None:
                return done
            result = trials_module.blank_result(job.trial, job.attempts)
            result["error"] = f"The worker process died {job.attempts} times; the last time {death}."
            trials_module.write_json(job.directory / RESULT, result)
            return result
    except filelock.Timeout:
        return None


def _recorded(job: Job) -> Optional[Result]:
    """The result that counts, under the lock."""
    path = job.directory / RESULT
    if job.stale is not None and path.exists() and path.read_text(encoding="utf-8") == job.stale:
        return None
    return trials_module.read_result(job.directory)


def _ready(pool: Sequence[_Worker]) -> list[_Worker]:
    """The workers that have answered or died, after a short wait for one that does."""
    waiting = {}
    for worker in pool:
        if worker.job is not None:
            waiting[worker.pipe] = waiting[worker.process.sentinel] = worker
    if not waiting:
        time.sleep(POLL_SECONDS)
        return []
    ready = {id(waiting[item]): waiting[item] for item in mp_connection.wait(list(waiting), POLL_SECONDS)}
    return list(ready.values())


class _Worker:
    """A process, its pipe, and the job it is at. Started with its first job; replaced when dead or worn."""

    def __init__(self, threads: int):
        self._threads = threads
        self._alive = False
        self._trials = 0
        self.job: Optional[Job] = None
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
            self._alive = True
            self._trials = 0
        self._trials += 1
        self.job = job
        with contextlib.suppress(OSError):  # a worker that died just now: `take` finds out
            self.pipe.send(job)

    def take(self) -> tuple[Optional[Result], Optional[str]]:
        """The answer to the job, or how the process died. Frees the worker."""
        self.job = None
        try:
            kind, value = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            self.stop()
            return None, f"by {_signal_name(-code)}" if code < 0 else f"with exit code {code}"
        if kind == "error":
            raise WorkerError(value)
        return value, None

    def stop(self) -> None:
        """Kills the process. Its trial keeps no result, and nothing else of it matters."""
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
    """What a worker inherits: quiet, its share of the threads, deaf to Ctrl-C (the runner stops it)."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    wanted = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    wanted.update({name: str(threads) for name in names})
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        for name in added:
            del os.environ[name]


def _serve(pipe: Any) -> None:
    """A worker's life: jobs in, results out, until the runner closes the pipe or dies."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    quiet()
    from ..tasks.datasets import DatasetError

    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("result", attempt(job)))
        except DatasetError as error:
            pipe.send(("error", str(error)))
        except Exception:
            pipe.send(("error", traceback.format_exc()))


def _end_with(sentinel: int) -> None:
    mp_connection.wait([sentinel])
    os._exit(1)
