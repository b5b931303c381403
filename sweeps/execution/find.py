"""Finds the λ whose model meets a target: a size, or a loss of the metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...framework.errors import LambdapressError
from ..gin import registries
from ..plan.definition import Sweep
from ..plan.next_lmbda import bisected
from ..plan.plan import plan
from ..results.frames import VALIDATION, uncompressed
from ..results.schema import BASELINE, error_line
from .sweep import run_plan

if TYPE_CHECKING:
    import pandas as pd

MOST_TRIALS = 6
_NEAR = 0.97
"""A size of at least this share of the most that is allowed is near enough."""


class FindError(LambdapressError, RuntimeError):
    """A search cannot go on, since a trial has no result; the message says why."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Says what a model must meet: exactly one of two.

    Attributes:
      max_drop: how much worse than the uncompressed model's the main metric may be: in percentage points for
        a metric in percent, else in its unit.
      max_bytes: how large the file may be.
    """

    max_drop: float | None = None
    max_bytes: float | None = None

    def __post_init__(self) -> None:
        if (self.max_drop is None) == (self.max_bytes is None):
            raise ValueError("Give one target: --max-drop, or --max-bytes.")
        for name in ("max_drop", "max_bytes"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 2**63:
                raise ValueError(f"{name} is {value!r}; give a finite number of at least 0.")


@dataclasses.dataclass(frozen=True)
class Found:
    """Tells how a search ended.

    Attributes:
      frame: a row for each trial, as from `load_results`, the baseline included; ordered by λ. The column
        `chosen` is the metric on `split`, `drop` how much worse it is than the baseline's, in the unit of
        `Target.max_drop`, `meets` whether the trial meets the target.
      best: the row that meets the target: with the smallest file, or for a size with the best metric; None
        where none does.
      split: on which the metric was compared: `validation`, or the task's only one.
    """

    frame: pd.DataFrame
    best: pd.Series | None
    split: str


def find(
    task: str,
    algorithm: str,
    target: Target,
    out: str | Path,
    *,
    first: float = 1.0,
    seed: int = 0,
    start: str = "baseline",
    start_epochs: int | None = None,
    trials: int = MOST_TRIALS,
    gin: Sequence[str] = (),
    executor: str | None = None,
    data_dir: str | Path | None = None,
) -> Found:
    """Searches λ by bisection on its logarithm, each trial an ordinary one in the folder `out`.

    Every λ follows from the results before it. So the same search goes on after an interruption, and one
    that is done takes no time.

    Args:
      task: name of a task.
      algorithm: name of an algorithm that uses λ.
      target: what the model must meet, on the validation split where the task holds examples out.
      out: folder of the results.
      first: λ to begin with, above 0.
      seed: of all trials.
      start: as `Sweep.start`: `baseline` (warm starts) or `scratch`.
      start_epochs: as `Sweep.start_epochs`.
      trials: how many at most, the baseline's included.
      gin: bindings.
      executor: where trials run.
      data_dir: sets `TFDS_DATA_DIR` meanwhile.

    Raises:
      FindError: where a trial fails.
      ValueError: for an algorithm without λ, and for other arguments that mean nothing.
      ConfigError, ExecutionError: as `run_sweep`.
    """
    if not registries.algorithms().get(algorithm).uses_lmbda:
        raise ValueError(f"{algorithm!r} takes no λ: train it once (lambdapress train).")
    if start not in ("scratch", "baseline"):
        raise ValueError(f"start is {start!r}; give 'baseline' or 'scratch'.")
    if not 0 < first < 2**63:
        raise ValueError(f"first is {first!r}; λ begins at a number above 0.")
    if trials < 2:
        raise ValueError(f"trials is {trials!r}; one is the uncompressed model's: give at least 2.")
    starts = {} if start == "scratch" else {"start": start, "start_epochs": start_epochs}
    lmbdas: list[float] = []
    found: Found | None = None
    while len(lmbdas) + 1 < trials:
        lmbda = bisected([] if found is None else _sides(found, target), first)
        if lmbda is None or (found is not None and _is_near(found, target)):
            break
        lmbdas.append(lmbda)
        planned = plan(Sweep([task], [BASELINE, algorithm], sorted(lmbdas), [seed], **starts), gin)
        frame = run_plan(planned, out, executor=executor, workers=1, data_dir=data_dir, retry_failed=True)
        found = _judged(frame, target)
    assert found is not None
    return found


def _judged(frame: pd.DataFrame, target: Target) -> Found:
    """Compares all trials with the target.

    Raises:
      FindError: where one has no result.
    """
    failed = frame[frame["status"] != "ok"]
    if len(failed):
        row = failed.iloc[0]
        raise FindError(
            f"λ = {row['lmbda']:g} {row['status']}: {error_line(row['error'])} ({row['directory']})"
        )
    split = VALIDATION if frame["validation"].notna().all() else frame["split"].iloc[0]
    chosen = frame["validation" if split == VALIDATION else "metric"]
    sign = -1 if frame["direction"].iloc[0] == "lower" else 1
    scale = 100 if frame["unit"].iloc[0] == "%" else 1
    drop = sign * scale * (chosen[uncompressed(frame)].iloc[0] - chosen)
    meets = (
        drop <= target.max_drop if target.max_drop is not None else frame["size_bytes"] <= target.max_bytes
    )
    rows = frame.assign(chosen=chosen, drop=drop, meets=meets).sort_values("lmbda", kind="stable")
    own = rows[~uncompressed(rows) & rows["meets"]]
    first = ["size_bytes", "drop"] if target.max_drop is not None else ["drop", "size_bytes"]
    own = own.sort_values(first, kind="stable")
    return Found(rows.reset_index(drop=True), own.iloc[0] if len(own) else None, split)


def _sides(found: Found, target: Target) -> list[tuple[float, bool]]:
    """Returns each λ, and whether it is on the side of the small ones: little is lost, files are large."""
    own = found.frame[~uncompressed(found.frame)]
    small = own["meets"] if target.max_drop is not None else ~own["meets"]
    return list(zip(own["lmbda"].astype(float), small.astype(bool), strict=True))


def _is_near(found: Found, target: Target) -> bool:
    if target.max_bytes is None or found.best is None:
        return False
    return bool(found.best["size_bytes"] >= _NEAR * target.max_bytes)
