"""Defines what a plan knows of one trade-off curve, and how points are added to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..trial.trial import Trial
from .grid import Curve, Point
from .search import BATCH, LMBDA, Proposal, Space, propose


@dataclasses.dataclass(frozen=True)
class PlannedCurve:
    """One trade-off curve of a plan, over all seeds.

    Attributes:
      point: a point of the sweep's own.
      trials: the trained trials that no search has added.
      space: what is searched; empty for nothing.
      searched: each proposal of the search so far, in their order, with its trial for each seed.
    """

    point: Point
    trials: tuple[Trial, ...]
    space: Space
    searched: tuple[tuple[Proposal, tuple[Trial, ...]], ...] = ()

    def at(self, proposal: Proposal) -> Point:
        """Returns the point of a search's proposal."""
        return at(self.point, proposal)


def at(point: Point, proposal: Proposal) -> Point:
    """Returns the point of a search's proposal, on the curve of `point`."""
    searched = {name: value for name, value in proposal.items() if name != LMBDA}
    lmbda = proposal.get(LMBDA, point.lmbda)
    return dataclasses.replace(point, lmbda=lmbda, searched=searched, added=True)


def first_proposals(point: Point, space: Space, trials: int) -> list[Point]:
    """Returns the points that a search begins with: they follow from no result."""
    return [at(point, proposal) for proposal in propose(space, [], min(BATCH, trials))] if space else []


def curves_of(listed: Sequence[tuple[Point, Trial]], spaces: dict[Curve, Space]) -> tuple[PlannedCurve, ...]:
    """Returns the curves of a plan's points and their trials, as `grid.points` lists them."""
    by_curve: dict[Curve, list[tuple[Point, Trial]]] = {}
    for point, trial in listed:
        by_curve.setdefault(point.curve, []).append((point, trial))
    curves = []
    for key, own in by_curve.items():
        space = spaces.get(key, {})
        by_seed: dict[int, list[tuple[Point, Trial]]] = {}
        for point, trial in own:
            if point.searched:
                by_seed.setdefault(point.seed, []).append((point, trial))
        searched = []
        for same in zip(*by_seed.values(), strict=True):  # every seed has the same proposals
            point = same[0][0]
            proposal = {**point.searched, **({LMBDA: point.lmbda} if LMBDA in space else {})}
            searched.append((proposal, tuple(trial for _, trial in same)))
        trials = tuple(trial for point, trial in own if not point.searched)
        curves.append(PlannedCurve(own[0][0], trials, space, tuple(searched)))
    return tuple(curves)
