"""Says how two models differ: per class, per example and per weight. Pure functions on arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from ..statistics.intervals import half_width
from .schema import ResultError

Records = Mapping[str, np.ndarray]
_WEIGHT_COLUMNS = ("weight", "elements", "nonzeros_a", "nonzeros_b", "zeros_overlap", "relative_error")
_Z = float(scipy.stats.norm.ppf(0.975))


@dataclasses.dataclass(frozen=True)
class Difference:
    """Says what two models, A and B, do differently on the same examples.

    Attributes:
      totals: numbers by name: `examples`; of a classifier `accuracy_a`, `accuracy_b`, `change` (B − A) with
        the ends of its 95% interval `change_low` and `change_high`, `right_to_wrong`, `wrong_to_right`, and
        `mcnemar_p`, the p-value of as many flips either way. Of each other record that both have, such as
        `nll`: `NAME_a`, `NAME_b`, `NAME_change` and `NAME_change_ci`, half its 95% interval.
      classes: a row a class, those that lost most first: `label`, `examples`, `accuracy_a`, `accuracy_b`,
        `change`, `change_low`, `change_high`, `right_to_wrong`, `wrong_to_right`. Empty for what is no
        classifier.
      examples: a row an example, the most changed first: `example` (its position in the split), `change`, and
        each record as `NAME_a` and `NAME_b`.
    """

    totals: dict[str, float]
    classes: pd.DataFrame
    examples: pd.DataFrame


def difference(a: Records, b: Records) -> Difference:
    """Compares what two models said about the same examples.

    Args:
      a, b: as from `records.read_records`; all arrays of both have one length.

    Raises:
      ResultError: where the two are not about the same examples.
    """
    names = sorted(set(a) & set(b))
    if not names:
        raise ResultError("The two models have no predictions of the same kind.")
    lengths = {len(records[name]) for records in (a, b) for name in names}
    if 0 in lengths:
        raise ResultError("The two models' predictions are about no example at all.")
    same_labels = "label" not in names or np.array_equal(a["label"], b["label"])
    if len(lengths) > 1 or not same_labels or any(a[name].shape != b[name].shape for name in names):
        raise ResultError("The two models' predictions are not about the same examples.")
    totals: dict[str, float] = {"examples": lengths.pop()}
    classes = pd.DataFrame()
    if {"label", "predicted"} <= set(names) and a["label"].ndim == a["predicted"].ndim == 1:
        labels = a["label"]
        right = (a["predicted"] == labels, b["predicted"] == labels)
        totals |= _flips(*right)
        rows = [
            {"label": int(label), **_flips(*(r[labels == label] for r in right))}
            for label in np.unique(labels)
        ]
        classes = pd.DataFrame(rows).drop(columns="mcnemar_p").sort_values("change", kind="stable")
    for name in names:
        if name not in ("label", "predicted", "probability"):
            changes = b[name] - a[name]
            totals |= {f"{name}_a": a[name].mean(), f"{name}_b": b[name].mean()}
            totals |= {f"{name}_change": changes.mean(), f"{name}_change_ci": half_width(changes)}
    return Difference(
        {name: float(value) for name, value in totals.items()},
        classes.reset_index(drop=True),
        _most_changed(a, b, names),
    )


def _flips(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Compares which examples two models got right, booleans `[n]` each.

    The interval of the change is the adjusted Wald interval of A. Agresti and Y. Min, "Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 24 (2005): half an example
    is added to each of the four outcomes. The p-value is McNemar's exact one: flips either way are equally
    likely.
    """
    lost, won, n = int((a & ~b).sum()), int((~a & b).sum()), len(a)
    more, less, total = won + 0.5, lost + 0.5, n + 2
    middle = (more - less) / total
    half = _Z * math.sqrt(more + less - (more - less) ** 2 / total) / total
    return {
        "examples": n,
        "accuracy_a": float(a.mean()),
        "accuracy_b": float(b.mean()),
        "change": (won - lost) / n,
        "change_low": max(-1.0, middle - half),
        "change_high": min(1.0, middle + half),
        "right_to_wrong": lost,
        "wrong_to_right": won,
        "mcnemar_p": float(scipy.stats.binomtest(lost, lost + won).pvalue) if lost + won else 1.0,
    }


def _most_changed(a: Records, b: Records, names: list[str]) -> pd.DataFrame:
    """Orders examples by their change.

    That is the difference of the top probability where both models chose the same class, and the sum of both
    where they did not; of other records, the sum of the absolute differences in units of their standard
    deviation.
    """
    first = len(a[names[0]])
    changes = np.zeros(first)
    if {"predicted", "probability"} <= set(names) and a["probability"].ndim == a["predicted"].ndim == 1:
        same = a["predicted"] == b["predicted"]
        p, q = a["probability"], b["probability"]
        changes += np.where(same, np.abs(p - q), p + q)
    for name in names:
        if name not in ("label", "predicted", "probability"):
            moved = np.abs(b[name] - a[name])
            changes += (moved / (a[name].std() or 1.0)).reshape(first, -1).sum(axis=1)
    order = np.argsort(-changes, kind="stable")
    columns: dict[str, Any] = {"example": order, "change": changes[order]}
    for name in names:
        if a[name].ndim > 1:
            continue
        if name == "label":
            columns[name] = a[name][order]
        else:
            columns |= {f"{name}_a": a[name][order], f"{name}_b": b[name][order]}
    return pd.DataFrame(columns)


def weight_difference(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Compares two models' weights.

    Args:
      a, b: arrays by path.

    Returns:
      A row for each path that both have with one shape, in the order of `a`: `weight`, `elements`,
      `nonzeros_a`, `nonzeros_b`, `zeros_overlap` (elements that are 0 in both over those that are 0 in
      either; NaN where there are none), `relative_error` (the norm of B − A over that of A; NaN where A is
      0).
    """
    rows = []
    for path, first in a.items():
        second = b.get(path)
        if second is None or second.shape != first.shape or first.dtype.kind not in "fiu":
            continue
        x, y = first.astype(np.float64), second.astype(np.float64)
        either = ((x == 0) | (y == 0)).sum()
        norm = float(np.linalg.norm(x))
        rows.append(
            {
                "weight": path,
                "elements": x.size,
                "nonzeros_a": int(np.count_nonzero(x)),
                "nonzeros_b": int(np.count_nonzero(y)),
                "zeros_overlap": ((x == 0) & (y == 0)).sum() / either if either else math.nan,
                "relative_error": float(np.linalg.norm(y - x)) / norm if norm else math.nan,
            }
        )
    return pd.DataFrame(rows, columns=list(_WEIGHT_COLUMNS))
