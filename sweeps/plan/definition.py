"""Defines a sweep, and checks what a user says of one. Pure: uses no file, no framework and no clock."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from ..results.schema import BASELINE
from ..results.traces import Stop
from .search import space_of

Axes = Mapping[str, Sequence[Any]]
STARTS = ("scratch", "baseline", "previous")
MOST_LMBDA = 2.0**63
"""λ is below this: results hold no larger number."""
MOST_FACTOR = 1e6
MOST_REFINED = 100
MOST_SEARCHED = 10_000


@gin.register("sweep", module="lambdapress.sweeps")
@dataclasses.dataclass(frozen=True)
class Sweep:
    """Describes a sweep: tasks × algorithms × λ × seeds × a grid over any gin parameter.

    Attributes:
      tasks: names of registered tasks.
      algorithms: names of registered algorithms.
      lmbdas: weights of the rate, one list for all algorithms, or a list for each algorithm name. An
        algorithm that does not use λ gets one trial for each seed, with λ = 0, and needs no entry. Entries
        of algorithms that the sweep does not run are allowed, so that it can be narrowed down for one run.
      seeds: one trial each.
      grid: `{"epr.log_step": [-4.0, -3.0], ...}` is the product of its axes. A list of such mappings is
        their union; with one value for each axis, several parameters change together.
      start: `scratch`: each trial trains a new model. `baseline`: it starts from the weights that the
        algorithm `none` has trained with the same seed and settings. `previous`: it starts from the trial of
        the next smaller λ, from its latents and steps, and the smallest λ from the baseline, if the sweep has
        one.
      start_epochs: how many epochs trials train that start from another; a number, or one by task. None: as
        many as others.
      requantise: each trained model of an algorithm with steps is also stored with steps so many times as
        large, without further training: a row and a file for each factor.
      refine: how many λ are added to each curve once its own are done, one after the other, where it has the
        largest gap or bends most (see `next_lmbda.between`).
      search: hyper-parameters to search besides, by gin's names: `{"digits.learning_rate": {"low": 1e-4,
        "high": 1e-1, "log": True}, "digits.batch_size": [32, 64, 128]}` is a range and a list of choices.
        Each curve but the baseline's gets `search_trials` settings, each with a λ between its smallest and
        largest: what Optuna suggests for fewer bytes and a better metric, after the results so far. With
        `start = "baseline"` they start from the sweep's own baseline.
      search_trials: how many settings each curve's search tries, with each seed.
      stop: `dominated`: a trial stops at the end of an epoch once a finished trial of its task and seed was
        better in both size and metric at the same share of training. None: every trial runs to its end.
      stop_settings: `after`, `bytes` and `metric`, as `Stop` describes them.

    Raises:
      ValueError: for an empty or repeated entry, a λ that is negative or too large, a negative seed, another
        `start` or `stop`, a factor that is not above 0 or is 1, and a `search` that means nothing.
    """

    tasks: Sequence[str] = ()
    algorithms: Sequence[str] = ()
    lmbdas: Sequence[float] | Mapping[str, Sequence[float]] = ()
    seeds: Sequence[int] = (0,)
    grid: Axes | Sequence[Axes] | None = None
    start: str = STARTS[0]
    start_epochs: int | Mapping[str, int] | None = None
    requantise: Sequence[float] = ()
    refine: int = 0
    search: Mapping[str, Any] | None = None
    search_trials: int = 20
    stop: str | None = None
    stop_settings: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name in ("tasks", "algorithms", "seeds"):
            values = getattr(self, name)
            if isinstance(values, str):
                raise ValueError(f"sweep.{name} is {values!r}; give a list, [{values!r}].")
            if not values:
                raise ValueError(f"sweep.{name} is empty; give at least one.")
            _no_repeats(f"sweep.{name}", values)
        bad = [seed for seed in self.seeds if not _is_a(numbers.Integral, seed) or not 0 <= seed < 2**32]
        if bad:
            raise ValueError(f"sweep.seeds has {bad[0]!r}; a seed is an integer in [0, 2**32).")
        per_algorithm = self.lmbdas if isinstance(self.lmbdas, Mapping) else {"": self.lmbdas}
        for algorithm, lmbdas in per_algorithm.items():
            where = f"sweep.lmbdas[{algorithm!r}]" if algorithm else "sweep.lmbdas"
            bad = [one for one in lmbdas if not _is_a(numbers.Real, one) or not 0 <= one < MOST_LMBDA]
            if bad:
                raise ValueError(f"{where} has {bad[0]!r}; λ is a number of at least 0 and below 2**63.")
            _no_repeats(where, lmbdas)
        check_factors("sweep.requantise", self.requantise)
        if not _is_a(numbers.Integral, self.refine) or not 0 <= self.refine <= MOST_REFINED:
            raise ValueError(
                f"sweep.refine is {self.refine!r}; give how many λ to add, at most {MOST_REFINED}."
            )
        if self.start not in STARTS:
            raise ValueError(f"sweep.start is {self.start!r}; give one of {', '.join(STARTS)}.")
        if self.start == "baseline" and BASELINE not in self.algorithms:
            raise ValueError(
                f"sweep.start is 'baseline'; add {BASELINE!r} to sweep.algorithms: it trains one."
            )
        if self.start_epochs is not None and self.start == STARTS[0]:
            raise ValueError("sweep.start_epochs is for trials that start from others; set sweep.start, too.")
        per_task = self.start_epochs if isinstance(self.start_epochs, Mapping) else {"": self.start_epochs}
        bad = [n for n in per_task.values() if n is not None and (not _is_a(numbers.Integral, n) or n < 1)]
        if bad:
            raise ValueError(f"sweep.start_epochs has {bad[0]!r}; give integers of at least 1.")
        if self.search is not None:
            space_of(self.search)
            if self.start == "previous":
                raise ValueError(
                    "sweep.search tries settings that have no smaller λ of their own; set sweep.start to "
                    "'baseline' or 'scratch'."
                )
        if not _is_a(numbers.Integral, self.search_trials) or not 1 <= self.search_trials <= MOST_SEARCHED:
            raise ValueError(
                f"sweep.search_trials is {self.search_trials!r}; give an integer from 1 to {MOST_SEARCHED:,}."
            )
        Stop.of(self.stop, self.stop_settings)


def check_factors(where: str, factors: Sequence[float]) -> None:
    """Raises ValueError unless `factors` multiply steps: distinct numbers above 0 that are not 1."""
    bad = [one for one in factors if not _is_a(numbers.Real, one) or not 0 < one <= MOST_FACTOR or one == 1]
    if bad:
        raise ValueError(
            f"{where} has {bad[0]!r}; a factor of the steps is above 0, at most {MOST_FACTOR:g}, and not 1, "
            "which is the trained model itself."
        )
    _no_repeats(where, factors)


def _is_a(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _no_repeats(where: str, values: Sequence[Any]) -> None:
    repeated = sorted({repr(value) for value in values if list(values).count(value) > 1})
    if repeated:
        raise ValueError(f"{where} has {repeated[0]} more than once.")
