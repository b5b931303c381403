"""Defines a sweep and expands it into points. Pure: uses no file, no framework and no clock."""

from __future__ import annotations

import dataclasses
import itertools
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from ..results.schema import BASELINE
from ..results.traces import Stop

Axes = Mapping[str, Sequence[Any]]
Curve = tuple[str, str, str]
"""A task, an algorithm, and a setting of the grid as text: what one trade-off curve has in common."""
STARTS = ("scratch", "baseline", "previous")
MOST_LMBDA = 2.0**63
"""λ is below this: results hold no larger number."""
MOST_FACTOR = 1e6
MOST_REFINED = 100


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
      stop: `dominated`: a trial stops at the end of an epoch once a finished trial of its task and seed was
        better in both size and metric at the same share of training. None: every trial runs to its end.
      stop_settings: `after`, `bytes` and `metric`, as `Stop` describes them.

    Raises:
      ValueError: for an empty or repeated entry, a λ that is negative or too large, a negative seed, another
        `start` or `stop`, and a factor that is not above 0 or is 1.
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


@dataclasses.dataclass(frozen=True)
class Point:
    """One planned trial, before its config is put together.

    Attributes:
      task, algorithm, lmbda, seed: the trial's.
      overrides: the grid's setting.
      added: whether λ is none of the sweep's own. No other trial starts from such a point, so that the trials
        of the others stay what they are.
    """

    task: str
    algorithm: str
    lmbda: float
    seed: int
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    added: bool = False

    @property
    def curve(self) -> Curve:
        """The curve that the point is on, over all seeds."""
        return self.task, self.algorithm, repr(sorted(self.overrides.items()))


def product(axes: Axes) -> list[dict[str, Any]]:
    """Returns every choice of one value per axis; the last axis varies fastest.

    >>> product({"a": [1, 2], "b": "x"})
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def overrides(grid: Axes | Sequence[Axes] | None) -> list[dict[str, Any]]:
    """Returns the settings that a sweep's `grid` asks for; without a grid, one empty setting.

    Raises:
      ValueError: for an axis without values, or with a bare string or number instead of a list.
    """
    products = [grid] if isinstance(grid, Mapping) else list(grid or ())
    for axes in products:
        for name, values in axes.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise ValueError(f"sweep.grid[{name!r}] is {values!r}; give a list with at least one value.")
    return [setting for axes in products for setting in product(axes)] or [{}]


def points(
    sweep: Sweep, uses_lmbda: Mapping[str, bool], more: Mapping[Curve, Sequence[float]] | None = None
) -> list[Point]:
    """Lists the sweep's points, one whole trade-off curve after the other.

    All curves of the first seed come before those of the next: a sweep that is cut short has one seed of
    everything (of one setting of the grid, where there are several).

    Args:
      sweep: the sweep to expand.
      uses_lmbda: for each of its algorithms, whether it uses λ.
      more: λ that are added to curves.

    Raises:
      ValueError: where an algorithm that uses λ was given none.
    """
    own = [
        Point(task, algorithm, lmbda, seed, setting)
        for setting in overrides(sweep.grid)
        for seed in sweep.seeds
        for task in sweep.tasks
        for algorithm in sweep.algorithms
        for lmbda in _lmbdas(sweep, algorithm, uses_lmbda[algorithm])
    ]
    curves = dict.fromkeys((point.curve, point.seed) for point in own)
    like = {(point.curve, point.seed): point for point in own}
    return own + [
        dataclasses.replace(like[key], lmbda=lmbda, added=True)
        for key in curves
        for lmbda in (more or {}).get(key[0], ())
    ]


def _lmbdas(sweep: Sweep, algorithm: str, uses_lmbda: bool) -> list[float]:
    if not uses_lmbda:
        return [0.0]
    lmbdas = sweep.lmbdas.get(algorithm, ()) if isinstance(sweep.lmbdas, Mapping) else sweep.lmbdas
    if not lmbdas:
        raise ValueError(
            f"sweep.lmbdas has no λ for {algorithm!r}; give a list for every algorithm, "
            f"or {{{algorithm!r}: [...]}}."
        )
    return [float(lmbda) for lmbda in lmbdas]


def parents(sweep: Sweep, listed: Sequence[Point]) -> list[int | None]:
    """Returns for each point the index of the point that its trial starts from, or None.

    Args:
      sweep: says what trials start from.
      listed: as `points` lists them.
    """

    def curve(point: Point) -> tuple[Curve, int]:
        return point.curve, point.seed

    curves: dict[Any, list[int]] = {}
    for index, point in enumerate(listed):
        if not point.added:
            curves.setdefault(curve(point), []).append(index)

    def parent(index: int) -> int | None:
        point = listed[index]
        if sweep.start == STARTS[0] or point.algorithm == BASELINE:
            return None
        smaller = [i for i in curves[curve(point)] if listed[i].lmbda < point.lmbda]
        if sweep.start == "previous" and smaller:
            return max(smaller, key=lambda i: listed[i].lmbda)
        return curves.get(curve(dataclasses.replace(point, algorithm=BASELINE)), [None])[0]

    return [parent(index) for index in range(len(listed))]


def _is_a(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _no_repeats(where: str, values: Sequence[Any]) -> None:
    repeated = sorted({repr(value) for value in values if list(values).count(value) > 1})
    if repeated:
        raise ValueError(f"{where} has {repeated[0]} more than once.")
