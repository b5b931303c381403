"""Runs a sweep, and then what its results ask for: λ where curves need them, and a search's proposals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..plan.curve import PlannedCurve
from ..plan.grid import Point
from ..plan.next_lmbda import between
from ..plan.plan import Plan
from ..plan.search import BATCH, propose
from ..results.summary import USEFUL

if TYPE_CHECKING:
    import pandas as pd


def run_further(
    plan: Plan, replan: Callable[[Sequence[Point]], Plan], run: Callable[[Plan, bool], pd.DataFrame]
) -> pd.DataFrame:
    """Runs a plan; adds one λ to each curve and runs these, as often as `Plan.refine` says; then searches.

    What is added follows from the results, so that a rerun of the same sweep adds the same.

    Args:
      plan: of the sweep itself, with the first proposals of its search.
      replan: plans it with all these points added.
      run: runs a plan, and is told whether it is the first; returns a row for each of its trials, as from
        `load_results`.

    Returns:
      The rows of the last plan.
    """
    frame = run(plan, True)

    def go_on(added: list[Point]) -> bool:
        nonlocal plan, frame
        if added:
            plan = replan((*plan.added, *added))
            frame = run(plan, False)
        return bool(added)

    for _ in range(plan.refine):
        if not go_on([point for curve in plan.curves if (point := next_of(curve, frame))]):
            break
    while go_on([point for curve in plan.curves for point in proposed(curve, plan.search_trials, frame)]):
        pass
    return frame


def next_of(curve: PlannedCurve, frame: pd.DataFrame) -> Point | None:
    """Returns the point with the λ to add to a curve; None where there is none.

    It lies between two λ with finished trials; where its own trials have failed or were stopped, no other is
    tried in its place.

    Sizes and metrics are means over seeds, the metric on validation if all have one. A metric worse than what
    a useful model has counts as that, so that no λ goes where nobody wants a model.
    """
    rows = _finished(frame, [trial.identity for trial in curve.trials])
    if rows.empty:
        return None
    means = rows.groupby("lmbda")[["size_bytes", "chosen"]].mean().sort_index()
    metrics = means["chosen"].to_numpy(float)
    lower = rows["direction"].iloc[0] == "lower"
    best = metrics.min() if lower else metrics.max()
    limit = rows["constant"].mean()
    if limit == limit:  # known
        worst = limit + USEFUL * (best - limit)
        metrics = metrics.clip(max=worst) if lower else metrics.clip(min=worst)
    lmbda = between(list(means.index), list(means["size_bytes"]), list(metrics))
    tried = {trial.lmbda for trial in curve.trials}  # also in vain
    return None if lmbda is None or lmbda in tried else dataclasses.replace(curve.point, lmbda=lmbda)


def proposed(curve: PlannedCurve, trials: int, frame: pd.DataFrame) -> list[Point]:
    """Returns a search's next points on a curve, until it has tried as many settings as `trials` says.

    Of what was tried, sizes and metrics are means over seeds, the metric on validation if all rows have one.
    A setting counts as without result if one of its trials has none.
    """
    left = min(BATCH, trials - len(curve.searched)) if curve.space else 0
    if left <= 0:
        return []
    identities = [trial.identity for _, of_seeds in curve.searched for trial in of_seeds]
    rows = _finished(frame, identities).set_index("identity")
    lower = len(rows) > 0 and rows["direction"].iloc[0] == "lower"
    tried = []
    for proposal, of_seeds in curve.searched:
        own = rows.reindex([trial.identity for trial in of_seeds])
        size, metric = own["size_bytes"].mean(skipna=False), own["chosen"].mean(skipna=False)
        tried.append((proposal, None if math.isnan(size + metric) else (float(size), float(metric))))
    return [curve.at(proposal) for proposal in propose(curve.space, tried, left, lower)]


def _finished(frame: pd.DataFrame, identities: Sequence[str]) -> pd.DataFrame:
    """Returns the trials that have a model; `chosen` is the metric on validation, if all have one."""
    rows = frame[frame["identity"].isin(identities) & (frame["status"] == "ok")]
    return rows.assign(chosen=rows["validation" if rows["validation"].notna().all() else "metric"])
