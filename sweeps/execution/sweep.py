"""Runs a sweep from its gin file to its results."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..environment import data_folder
from ..gin import registries
from ..gin.bindings import ConfigError
from ..plan.definition import Sweep
from ..plan.plan import Plan, plan
from ..results.provenance import changed
from ..results.schema import RESULT, result_in
from ..trial.trial import Trial
from . import progress
from .executor import executors, run_jobs
from .further import run_further
from .job import Job
from .limits import Limits, Shard

if TYPE_CHECKING:
    import pandas as pd

EXECUTOR = "processes"
"""Name of the default executor."""
WITHOUT_MODEL = ("failed", "blocked", "stopped")
"""States of trials that have a result and no model."""


def run_sweep(
    sweep: str | Path | Sweep,
    out: str | Path | None = None,
    *,
    executor: str | None = None,
    workers: int | None = None,
    gin: Sequence[str] = (),
    data_dir: str | Path | None = None,
    retry_failed: bool = False,
    retry_stale: bool = False,
    limits: Limits | None = None,
    shard: Shard | None = None,
) -> pd.DataFrame:
    """Runs every trial of a sweep that has no result yet.

    May be called again after any interruption, and by several processes at once with the same `out`. Gin's
    global config has no influence and is not changed: a trial's config comes from its gin files, the sweep
    and `gin` only.

    Args:
      sweep: a gin file, looked up as given and then among the package's own; or the sweep itself.
      out: directory of the sweep's results; `runs/<name of the sweep>` by default.
      executor: where trials run, by name: `processes` (by default) on this machine, `here` in this process,
        for debugging and for algorithms defined in a notebook; or one that an installed package offers.
      workers: how many trials to run at a time; by default as many as suit the executor (`processes`: one
        for each core, four at most). 0 is the executor `here`.
      gin: bindings that override the gin files, such as `"digits.epochs = 3"`.
      data_dir: sets `TFDS_DATA_DIR` for the run.
      retry_failed: whether trials recorded as failed are run again.
      retry_stale: whether trials whose algorithm's code in this package has changed since are run again.
      limits: when trials, or the sweep, are cut off.
      shard: runs this share of the trials alone.

    Returns:
      One row for each trial of this sweep, as from `load_results`.

    Raises:
      ConfigError: for a sweep that cannot be run as it stands; nothing was trained.
      UnknownNameError: for an executor that is not registered.
      ExecutionError: where a trial cannot be run or recorded through no fault of its own: its data is
        missing, or the disk is full.
    """

    return run_planned(
        plan(sweep, gin),
        sweep,
        out,
        executor=executor,
        workers=workers,
        gin=gin,
        data_dir=data_dir,
        retry_failed=retry_failed,
        retry_stale=retry_stale,
        limits=limits,
        shard=shard,
    )


def run_planned(
    planned: Plan,
    sweep: str | Path | Sweep,
    out: str | Path | None = None,
    *,
    gin: Sequence[str] = (),
    retry_failed: bool = False,
    retry_stale: bool = False,
    limits: Limits | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Runs a sweep that is planned already, with the arguments and errors of `run_sweep`."""

    hours = None if limits is None else limits.max_hours
    until = None if hours is None else time.monotonic() + 3600 * hours

    def run(plan: Plan, first: bool) -> pd.DataFrame:
        retries = {"retry_failed": retry_failed and first, "retry_stale": retry_stale and first}
        return run_plan(plan, out, limits=limits, until=until, **retries, **options)

    return run_further(planned, lambda more: plan(sweep, gin, more), run)


def run_plan(
    planned: Plan,
    out: str | Path | None = None,
    *,
    executor: str | None = None,
    workers: int | None = None,
    data_dir: str | Path | None = None,
    retry_failed: bool = False,
    retry_stale: bool = False,
    limits: Limits | None = None,
    shard: Shard | None = None,
    until: float | None = None,
) -> pd.DataFrame:
    """Runs a plan, with the arguments and errors of `run_sweep`; `until` is as in `run_jobs`."""
    from ..results.frames import load_results

    name, workers = _chosen(executor, workers)
    cls = executors.get(name)
    limits = limits or Limits()
    if limits.of_trials and not cls.keeps_limits:
        raise ValueError(
            f"trial_timeout and trial_memory mean nothing to the executor {name!r}: it does not watch trials "
            f"as {EXECUTOR!r} does."
        )
    out = Path(out) if out is not None else Path("runs") / planned.name
    out.mkdir(parents=True, exist_ok=True)
    if limits.gpus_per_trial is not None and not cls.gives_gpus:
        raise ValueError(f"gpus_per_trial means nothing to the executor {name!r}; {EXECUTOR!r} gives GPUs.")
    ours = set(planned.trials) if shard is None else shard.trials(planned)
    jobs = _jobs(planned, out, retry_failed, retry_stale)
    jobs = [dataclasses.replace(job, limits=limits) for job in jobs if job.trial in ours]
    if not cls.in_this_process:
        _check_importable(job.trial for job in jobs)
    show = progress.Bars if sys.stdout.isatty() else progress.Lines
    waiting = {job.directory: job.trial for job in jobs}
    with show(waiting, len(planned.trials)) as watch, data_folder(data_dir):
        if jobs:
            given = {"gpus_per_trial": limits.gpus_per_trial} if cls.gives_gpus else {}
            run_jobs(jobs, cls(workers, len(jobs), **given), watch, until, limits.fail_fast)
    frame = load_results(out)
    in_plan = frame["identity"].isin([trial.identity for trial in planned.trials])
    return frame[in_plan].reset_index(drop=True)


def _chosen(executor: str | None, workers: int | None) -> tuple[str, int | None]:
    """Returns the name of the executor and the number of workers; 0 workers mean the executor `here`."""
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}; give 0 (in this process) or more.")
    if workers == 0:
        if executor not in (None, "here"):
            raise ValueError(
                f"workers is 0, which runs trials in this process; the executor {executor!r} takes 1 or more."
            )
        return "here", None
    return executor or EXECUTOR, workers


def states(planned: Plan, out: Path) -> Mapping[Trial, str]:
    """Returns the state of each trial: `ok`, `stale` (ok, by older code), `to run`, or `WITHOUT_MODEL`.

    A trial that started from one of older code is of older code itself. A trial is blocked while the one that
    it starts from has no model. One that was stopped is to run in a sweep that stops nothing.
    """
    found: dict[Trial, str] = {}
    for trial in planned.trials:  # parents come first, if they are in the plan
        result = result_in(out / trial.directory_name)
        state = "to run" if result is None else result["status"]
        parent = "ok" if trial.parent is None else found.get(trial.parent, "ok")
        if result is not None and state == "ok" and (changed(result["code"]) or parent == "stale"):
            state = "stale"
        if state == "blocked" and parent not in WITHOUT_MODEL or state == "stopped" and planned.stop is None:
            state = "to run"
        found[trial] = state
    return found


def _jobs(planned: Plan, out: Path, retry_failed: bool, retry_stale: bool) -> list[Job]:
    """Returns a job for each trial that is to run, in the plan's order, and for those that start from it."""
    again = {"to run", *(("failed", "blocked") if retry_failed else ()), *(("stale",) if retry_stale else ())}
    jobs: dict[Trial, Job] = {}
    for trial, state in states(planned, out).items():
        if state in again or trial.parent in jobs:
            path = out / trial.directory_name / RESULT
            stale = path.read_text(encoding="utf-8") if path.exists() else None
            jobs[trial] = Job(trial, path.parent, stale=stale, stop=planned.stop)
    return list(jobs.values())


def _check_importable(trials: Iterable[Trial]) -> None:
    """Checks that other processes can import the trials' tasks and algorithms.

    Raises:
      ConfigError: for one that is defined in `__main__`, such as in a notebook's cell.
    """
    tasks, algorithms = registries.tasks(), registries.algorithms()
    for cls in {cls for trial in trials for cls in (tasks.get(trial.task), algorithms.get(trial.algorithm))}:
        if cls.__module__ == "__main__":
            raise ConfigError(
                f"{cls.__name__} is defined in __main__, which worker processes lack; move it to a "
                "module and `import` that in the sweep's gin file, or run with the executor 'here'."
            )
