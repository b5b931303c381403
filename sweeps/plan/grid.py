"""Expands a sweep into points. Pure: uses no file, no framework and no clock."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ..results.schema import BASELINE
from .definition import STARTS, Axes, Sweep

Curve = tuple[str, str, str]
"""A task, an algorithm, and a setting of the grid as text: what one trade-off curve has in common."""


@dataclasses.dataclass(frozen=True)
class Point:
    """One planned trial, before its config is put together.

    Attributes:
      task, algorithm, lmbda, seed: the trial's.
      overrides: the grid's setting.
      searched: what a search has set besides.
      added: whether the point is none of the sweep's own. No other trial starts from such a point, so that
        the trials of the others stay what they are.
    """

    task: str
    algorithm: str
    lmbda: float
    seed: int
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    searched: Mapping[str, Any] = dataclasses.field(default_factory=dict)
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


def points(sweep: Sweep, uses_lmbda: Mapping[str, bool], more: Sequence[Point] = ()) -> list[Point]:
    """Lists the sweep's points, one whole trade-off curve after the other.

    All curves of the first seed come before those of the next: a sweep that is cut short has one seed of
    everything (of one setting of the grid, where there are several).

    Args:
      sweep: the sweep to expand.
      uses_lmbda: for each of its algorithms, whether it uses λ.
      more: points that are added, each with every seed of the sweep.

    Raises:
      ValueError: where an algorithm that uses λ was given none.
    """
    own = [
        Point(task, algorithm, lmbda, seed, setting)
        for setting in overrides(sweep.grid)
        for seed in sweep.seeds
        for task in sweep.tasks
        for algorithm in sweep.algorithms
        for lmbda in lmbdas_of(sweep, algorithm, uses_lmbda[algorithm])
    ]
    return own + [dataclasses.replace(point, seed=seed, added=True) for seed in sweep.seeds for point in more]


def lmbdas_of(sweep: Sweep, algorithm: str, uses_lmbda: bool) -> list[float]:
    """Returns the sweep's own λ for an algorithm; 0 alone for one that uses none.

    Raises:
      ValueError: where an algorithm that uses λ was given none.
    """
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
