"""Replaces a model's variables by computed weights; every caller that does so goes through here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import tensorflow as tf

from ..algorithm import Algorithm, Tensors
from .clone import scope_of
from .computed_weights import ComputedWeight
from .parametrize import put_computed_weight
from .weight_losses import redirect_losses
from .weights import Weight


@dataclasses.dataclass(frozen=True, eq=False)
class Replacement:
    """Describes the computed weight that replaces one variable.

    Attributes:
      weight: whose variable is replaced, in all of its places.
      algorithm: computes the weight.
      tensors: from which the algorithm computes it, by the algorithm's names; each becomes a variable.
      kind: `Projected` for tensors that are trained, `Stored` or `StoredOnce` for encoded ones.
      trainable: whether floating-point tensors are trained.
    """

    weight: Weight
    algorithm: Algorithm
    tensors: Tensors
    kind: type[ComputedWeight]
    trainable: bool


def replace_weights(model: tf.keras.Model, replacements: Iterable[Replacement]) -> list[ComputedWeight]:
    """Replaces variables of a model by computed weights, and makes its weight losses see them.

    `replacements` is read one at a time, inside the model's `tf.distribute` scope. So a generator needs to
    hold only one weight's tensors in memory.

    Args:
      model: is changed, so clone it first. Its class does not change; the caller sets it (`set_class`).
      replacements: of variables of `model`.

    Returns:
      The computed weights, in the order of `replacements`.

    Raises:
      ValueError: if a layer already has an attribute with the name of an algorithm's variable.
    """
    replaced, computed = [], []
    with scope_of(model):
        for new in replacements:
            replaced.append(new.weight)
            computed.append(
                put_computed_weight(new.weight, new.algorithm, new.tensors, new.kind, new.trainable)
            )
        redirect_losses(model, replaced)
    return computed
