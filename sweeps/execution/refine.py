"""Runs a sweep, and then adds λ to its curves where they need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..plan.grid import Curve
from ..plan.next_lmbda import between
from ..plan.plan import Plan
from ..results.summary import USEFUL

if TYPE_CHECKING:
    import pandas as pd

Lmbdas = Mapping[Curve, tuple[float, ...]]


def run_refined(
    plan: Plan, replan: Callable[[Lmbdas], Plan], run: Callable[[Plan, bool], pd.DataFrame]
) -> pd.DataFrame:
    """Runs a plan, adds one λ to each curve, runs these, and so on, as often as `Plan.refine` says.

    Each λ follows from the results, so that a rerun of the same sweep adds the same.

    Args:
      plan: of the sweep itself.
      replan: plans it with λ added to its curves.
      run: runs a plan, and is told whether it is the first; returns a row for each of its trials, as from
        `load_results`.

    Returns:
      The rows of the last plan.
    """
    more: dict[Curve, tuple[float, ...]] = {}
    frame = run(plan, True)
    for _ in range(plan.refine):
        added = {curve: next_of(plan, curve, frame) for curve in plan.curves}
        if not any(added.values()):
            break
        more |= {curve: (*more.get(curve, ()), lmbda) for curve, lmbda in added.items() if lmbda}
        plan = replan(more)
        frame = run(plan, False)
    return frame


def next_of(plan: Plan, curve: Curve, frame: pd.DataFrame) -> float | None:
    """Returns the λ to add to a curve; None where there is none.

    It lies between two λ with finished trials; where its own trials have failed or were stopped, no other is
    tried in its place.

    Sizes and metrics are means over seeds, the metric on validation if all have one. A metric worse than what
    a useful model has counts as that, so that no λ goes where nobody wants a model.
    """
    rows = frame[frame["identity"].isin([trial.identity for trial in plan.curves[curve]])]
    rows = rows[rows["status"] == "ok"]
    if rows.empty:
        return None
    name = "validation" if rows["validation"].notna().all() else "metric"
    means = rows.groupby("lmbda")[["size_bytes", name]].mean().sort_index()
    metrics = means[name].to_numpy(float)
    lower = rows["direction"].iloc[0] == "lower"
    best = metrics.min() if lower else metrics.max()
    limit = rows["constant"].mean()
    if limit == limit:  # known
        worst = limit + USEFUL * (best - limit)
        metrics = metrics.clip(max=worst) if lower else metrics.clip(min=worst)
    lmbda = between(list(means.index), list(means["size_bytes"]), list(metrics))
    tried = {trial.lmbda for trial in plan.curves[curve]}  # also in vain
    return None if lmbda in tried else lmbda
