"""A sweep from its gin file to its results."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from . import config, executor, progress
from .grid import Sweep
from .names import registries
from .trial import RESULT, Trial, read_result

if TYPE_CHECKING:
    import pandas as pd

MOST_WORKERS = 4
"""Workers by default: one a core, but no more than this, as each holds a TensorFlow in memory."""


def run_sweep(
    sweep: Union[str, Path, Sweep],
    out: Union[str, Path, None] = None,
    *,
    workers: Optional[int] = None,
    gin: Sequence[str] = (),
    data_dir: Union[str, Path, None] = None,
    retry_failed: bool = False,
) -> pd.DataFrame:
    """Runs every trial of a sweep that has no result yet.

    May be called again after anything, and by several processes at once on the same `out`. Gin's
    global config is left as it was found and has no influence: a trial's config is what its gin files,
    the sweep and `gin` say.

    Args:
      sweep: a gin file, looked up as given and then among the package's own; or the sweep itself.
      out: directory of the sweep's results; `runs/<name of the sweep>` by default.
      workers: processes to run trials in, by default one a core (four at most); 0 runs them in this
        process, which is for debugging and for algorithms defined in a notebook.
      gin: bindings that override the gin files, such as `"digits.epochs = 3"`.
      data_dir: sets `TFDS_DATA_DIR` for the run.
      retry_failed: whether trials recorded as failed are run again.

    Returns:
      One row for each trial of this sweep, as from `load_results`.

    Raises:
      ConfigError: for a sweep that cannot be run as it stands; nothing was trained.
      WorkerError: where results cannot be written, or a task's data is missing.
    """
    plan = config.plan(sweep, gin)
    return run_plan(plan, out, workers=workers, data_dir=data_dir, retry_failed=retry_failed)


def run_plan(
    plan: config.Plan,
    out: Union[str, Path, None] = None,
    *,
    workers: Optional[int] = None,
    data_dir: Union[str, Path, None] = None,
    retry_failed: bool = False,
) -> pd.DataFrame:
    """`run_sweep` of what `config.plan` made."""
    from .results import load_results

    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}; give 0 (in this process) or more.")
    out = Path(out) if out is not None else Path("runs") / plan.name
    out.mkdir(parents=True, exist_ok=True)
    directories = {out / trial.directory_name: trial for trial in plan.trials}
    jobs = [job for directory, trial in directories.items() if (job := _job(trial, directory, retry_failed))]
    if workers != 0:
        _importable(job.trial for job in jobs)
    show = progress.Bars if _is_terminal() else progress.Lines
    with show({job.directory: job.trial for job in jobs}, len(directories)) as watch, data_folder(data_dir):
        if workers == 0:
            executor.run_here(jobs, watch)
        else:
            executor.run(jobs, workers or default_workers(), watch)
    frame = load_results(out)
    own = frame["identity"].isin([trial.identity for trial in plan.trials])
    return frame[own].reset_index(drop=True)


def states(plan: config.Plan, out: Path) -> Mapping[Trial, str]:
    """For each trial: `ok` or `failed`, or `to run`."""
    found = {trial: read_result(out / trial.directory_name) for trial in plan.trials}
    return {trial: result["status"] if result else "to run" for trial, result in found.items()}


def default_workers() -> int:
    """One a core that this process may use, `MOST_WORKERS` at most."""
    return min(MOST_WORKERS, executor.cores())


def _job(trial: Trial, directory: Path, retry_failed: bool) -> Optional[executor.Job]:
    """What is to be done about a trial, if anything."""
    result = read_result(directory)
    if result is None:
        return executor.Job(trial, directory)
    if result["status"] == "failed" and retry_failed:
        return executor.Job(trial, directory, stale=(directory / RESULT).read_text(encoding="utf-8"))
    return None


def _importable(trials: Any) -> None:
    """Workers are new processes: what a trial is made of must be in a module, not in a notebook's cell.

    Raises:
      ConfigError: otherwise.
    """
    tasks, algorithms = registries()
    for cls in {cls for trial in trials for cls in (tasks.get(trial.task), algorithms.get(trial.algorithm))}:
        if cls.__module__ == "__main__":
            raise config.ConfigError(
                f"{cls.__name__} is defined in __main__, which worker processes lack; move it to a "
                "module and `import` that in the sweep's gin file, or run with workers=0."
            )


@contextlib.contextmanager
def data_folder(data_dir: Union[str, Path, None]) -> Iterator[None]:
    """Sets TFDS_DATA_DIR for a with-block, for this process and those it starts."""
    if data_dir is None:
        yield
        return
    held = os.environ.get("TFDS_DATA_DIR")
    os.environ["TFDS_DATA_DIR"] = str(Path(data_dir).expanduser().resolve())
    try:
        yield
    finally:
        if held is None:
            del os.environ["TFDS_DATA_DIR"]
        else:
            os.environ["TFDS_DATA_DIR"] = held


def _is_terminal() -> bool:
    return sys.stdout.isatty()
