"""Finds the folders of trials that no sweep names any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from ...framework.errors import LambdapressError
from ..plan.plan import Plan, plan
from ..results.frames import load_results
from ..results.schema import RESULT
from ..trial.trial import CONFIG, LOCK
from .further import run_further

if TYPE_CHECKING:
    import pandas as pd

_TRIAL = re.compile(r".+-[0-9a-f]{16}")


class CleanError(LambdapressError, RuntimeError):
    """It is not known which folders a sweep names; the message says why."""


def unnamed(directory: Path, sweeps: Sequence[str], bindings: Sequence[str] = ()) -> list[Path]:
    """Lists the folders of trials directly below a folder that no sweep names, and nobody is at work on.

    A folder counts as a trial's if it is named as one and holds a trial's config.

    Args:
      directory: of the results.
      sweeps: gin files; what any of them names stays, with what it adds by `refine` and `search`.
      bindings: gin bindings of all of them.

    Raises:
      ConfigError: for a sweep that cannot be planned.
      CleanError: for a sweep that adds trials by their results, and has not ended.
    """
    named = {name for sweep in sweeps for name in _named(sweep, directory, bindings)}
    return [
        path
        for path in sorted(directory.iterdir())
        if path.is_dir()
        and not path.is_symlink()
        and _TRIAL.fullmatch(path.name)
        and (path / CONFIG).is_file()
        and path.name not in named
        and not _at_work(path)
    ]


def _named(sweep: str, directory: Path, bindings: Sequence[str]) -> set[str]:
    found: set[str] = set()

    def run(planned: Plan, first: bool) -> pd.DataFrame:
        del first
        found.update(trial.directory_name for trial in planned.trials)
        missing = [t for t in planned.trials if not (directory / t.directory_name / RESULT).exists()]
        if missing:
            raise CleanError(
                f"{sweep} adds trials by its results, and {len(missing)} of them are missing: run it to its "
                "end, so that it is known what it adds."
            )
        frame = load_results(directory)
        return frame[frame["identity"].isin([trial.identity for trial in planned.trials])]

    planned = plan(sweep, bindings)
    if planned.refine or planned.search_trials:
        run_further(planned, lambda more: plan(sweep, bindings, more), run)
    else:
        found.update(trial.directory_name for trial in planned.trials)
    return found


def _at_work(path: Path) -> bool:
    """Tells whether a process holds a trial."""
    try:
        with filelock.FileLock(path / LOCK, timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True
