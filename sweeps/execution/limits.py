"""Bounds what a sweep and its trials may take: time, memory, GPUs, output; and shares of a plan."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from pathlib import Path

from ..plan.plan import Plan
from ..trial.trial import LOG, Trial

MOST_LOGGED = 1_000_000
"""A trial's log holds so many bytes; what is printed beyond is lost."""
MOST_SHOWN = 20_000
"""So many bytes of what one attempt at a trial prints reach the terminal."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Says when a trial or a sweep is cut off; None: never.

    Attributes:
      trial_timeout: seconds without a step of training, or in one stage without steps, after which a trial's
        process is killed.
      trial_memory: bytes of resident memory beyond which it is killed; beyond half of them, it is replaced
        before it takes the next trial.
      max_hours: after so many, a sweep stops. What has not ended goes on with the next call.
      fail_fast: whether a sweep stops at its first failed trial.
      gpus_per_trial: how many of this machine's GPUs a trial sees; of a fraction, several trials share one.

    Raises:
      ValueError: for a number that is not above 0.
    """

    trial_timeout: float | None = None
    trial_memory: float | None = None
    max_hours: float | None = None
    fail_fast: bool = False
    gpus_per_trial: float | None = None

    def __post_init__(self) -> None:
        for name in ("trial_timeout", "trial_memory", "max_hours", "gpus_per_trial"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} is {value!r}; give a finite number above 0.")

    @property
    def of_trials(self) -> bool:
        """True if single trials are watched, for which they must run in processes of their own."""
        return self.trial_timeout is not None or self.trial_memory is not None


@dataclasses.dataclass(frozen=True)
class Shard:
    """Names one of several equal shares of a plan.

    Attributes:
      number: which, from 1.
      count: how many shares there are.

    Raises:
      ValueError: for a share that is none of them.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"shard is {self.number}/{self.count}; give one from 1/{self.count} on.")

    def trials(self, planned: Plan) -> set[Trial]:
        """Returns the share's trials; those that start from one another are in the same.

        Raises:
          ValueError: for a plan that adds trials by their results, and for one with fewer groups than shares.
        """
        if planned.refine or planned.search_trials:
            raise ValueError("shard: a sweep with refine or search adds trials by all results; run it whole.")
        groups = {trial: _first(trial) for trial in planned.trials}
        place = {first: i for i, first in enumerate(dict.fromkeys(groups.values()))}
        if len(place) < self.count:
            raise ValueError(
                f"shard is {self.number}/{self.count}, but the plan has {len(place)} trials or groups of "
                "trials that start from one another; give at most as many shares."
            )
        return {trial for trial, first in groups.items() if place[first] % self.count == self.number - 1}


def _first(trial: Trial) -> Trial:
    while trial.parent is not None:
        trial = trial.parent
    return trial


def resident_bytes(pid: int) -> int:
    """Returns the resident memory of a process; 0 where that is not known."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class TrialLog:
    """Keeps what a trial's process prints in the trial's folder, up to `MOST_LOGGED` bytes."""

    def __init__(self, directory: Path):
        self._path = directory / LOG
        self._shown = 0

    def __call__(self, text: bytes) -> bytes:
        """Takes what was printed; returns what of it is for the terminal."""
        with contextlib.suppress(OSError):  # the folder is not there yet, or the disk is full
            kept = self._path.stat().st_size if self._path.exists() else 0
            if kept < MOST_LOGGED:
                with open(self._path, "ab") as file:
                    file.write(text[: MOST_LOGGED - kept])
        left = MOST_SHOWN - self._shown
        self._shown += len(text)
        if left <= 0:
            return b""
        if len(text) <= left:
            return text
        return text[:left] + f"\n… more of what this trial prints is in {self._path}\n".encode()
