"""Says what a compression does not do, where a user would expect it to: warnings, since it can be meant."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import tensorflow as tf

from ..algorithm import Algorithm, WeightSpec, algorithms
from ..messages import some
from ..surgery.computed_weights import Projected, computed_weights_of


class CompressionWarning(UserWarning):
    """A compression that has little effect, or less than its λ says; the message says why, and what has."""


def warn_of_weights_in_full(chosen: Iterable[tuple[Algorithm, WeightSpec]], stacklevel: int) -> None:
    """Warns of each algorithm that stores in full every weight that it was given (see `in_full`).

    Args:
      chosen: each weight's algorithm and spec.
      stacklevel: as `warnings.warn` takes it, of the caller.
    """
    for algorithm, specs in _by_algorithm(chosen):
        reasons = [(spec.path, algorithm.in_full(spec)) for spec in specs]
        if all(reason is not None for _, reason in reasons):
            paths = some([path for path, _ in reasons], 3)
            why = "; ".join(dict.fromkeys(str(reason) for _, reason in reasons))
            warnings.warn(
                f"{algorithm.name} stores in full all that it was given ({paths}): {why}.",
                CompressionWarning,
                stacklevel=stacklevel + 1,
            )


def warn_of_no_training(model: tf.keras.Model, stacklevel: int) -> None:
    """Warns of each algorithm of a compressible model for which λ means nothing without training.

    Args:
      model: compressible, to be stored as it is.
      stacklevel: as `warnings.warn` takes it, of the caller.
    """
    weights = [w for w in computed_weights_of(model) if isinstance(w, Projected)]
    for algorithm, specs in _by_algorithm((w.algorithm, w.spec) for w in weights):
        if algorithm.uses_lmbda and not algorithm.lmbda_at_once:
            warnings.warn(
                f"{algorithm.name} takes its steps from training, and λ acts there. Without training, "
                f"{some([spec.path for spec in specs], 3)} are rounded by the step that training would begin "
                f"with, whatever λ is. The λ of {_at_once()} acts without training.",
                CompressionWarning,
                stacklevel=stacklevel + 1,
            )


def _by_algorithm(
    pairs: Iterable[tuple[Algorithm, WeightSpec]],
) -> list[tuple[Algorithm, list[WeightSpec]]]:
    groups: dict[int, tuple[Algorithm, list[WeightSpec]]] = {}  # by identity: a field may not be hashable
    for algorithm, spec in pairs:
        groups.setdefault(id(algorithm), (algorithm, []))[1].append(spec)
    return list(groups.values())


def _at_once() -> str:
    """Lists the algorithms whose λ acts without training."""
    classes = {name: algorithms.get(name) for name in algorithms.names()}
    return some(
        [name for name, cls in classes.items() if cls.uses_lmbda and cls.penalty is Algorithm.penalty]
    )
