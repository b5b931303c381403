"""Counts the integers that files code, for the histograms of a report."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...framework.errors import LambdapressError
from ..trial.trial import ARTEFACT

MOST_MODELS = 24
"""Of each task, the integers of so many models are counted."""
SECONDS = 30.0
"""After so long, a report goes without the integers of further models."""
FARTHEST = 12
"""Integers farther from 0 are counted together."""
_log = logging.getLogger(__name__)


def histograms(telling: pd.DataFrame) -> dict[str, Any]:
    """Returns how often each integer occurs in a model's file.

    Args:
      telling: finished trials, in the order in which they are taken.

    Returns:
      `integers` by identity, and in it by the weight's path: `[2·FARTHEST + 3]` counts, of what is below
      −FARTHEST, of each integer up to FARTHEST, and of what is above.
    """
    from ..measurement.coded_integers import coded_integers

    found: dict[str, Any] = {}
    until = time.monotonic() + SECONDS
    for _, rows in telling.groupby("task", sort=False):
        for identity, directory in zip(rows["identity"], rows["directory"].head(MOST_MODELS), strict=False):
            if time.monotonic() > until:
                return {"integers": found}
            if not (Path(directory) / ARTEFACT).exists():
                continue
            try:
                integers = coded_integers(Path(directory) / ARTEFACT)
            except (LambdapressError, ValueError, TypeError, OSError) as error:
                _log.warning("The report counts no integers of %s: %s", directory, error)
                continue
            if integers:
                found[identity] = {path: _counts(values) for path, values in integers.items()}
    return {"integers": found}


def _counts(values: np.ndarray) -> list[int]:
    inside = np.clip(values, -FARTHEST - 1, FARTHEST + 1) + FARTHEST + 1
    return np.bincount(inside, minlength=2 * FARTHEST + 3).tolist()
