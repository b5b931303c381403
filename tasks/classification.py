"""Measures a classifier by its logits."""

from __future__ import annotations

import numpy as np
import scipy.special

from ..framework.task import Evaluation, Metric

TOP = 5
METRICS = (
    Metric("accuracy"),
    Metric(f"top_{TOP}"),
    Metric("nll", direction="lower", unit="nat"),
)
"""Top-1 and top-5 accuracy, in [0, 1], and the mean negative log-likelihood of the labels."""


def classification(logits: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Evaluates logits against labels.

    Args:
      logits: `[n, classes]`, floats; those of equal value count in the order of classes.
      labels: `[n]`, integers in [0, classes).

    Returns:
      `METRICS`, their values for the best constant answer, and per example `label`, `predicted` and
      `probability`.
    """
    logits = np.asarray(logits, np.float64)
    chosen = logits.argmax(axis=-1)
    logs = scipy.special.log_softmax(logits, axis=-1)
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :TOP]
    rows = np.arange(len(labels))
    shares = np.sort(np.bincount(labels, minlength=logits.shape[-1]) / len(labels))[::-1]
    return Evaluation(
        values={
            "accuracy": float(np.mean(chosen == labels)),
            f"top_{TOP}": float(np.mean((order == labels[:, np.newaxis]).any(axis=-1))),
            "nll": float(-logs[rows, labels].mean()),
        },
        constant={
            "accuracy": float(shares[0]),
            f"top_{TOP}": float(shares[:TOP].sum()),
            "nll": float(-scipy.special.xlogy(shares, shares).sum()),
        },
        records={"label": labels, "predicted": chosen, "probability": np.exp(logs[rows, chosen])},
    )
