"""Makes a layer's regularisation losses see the computed weight."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from .clone import layers_of
from .computed_weights import WeightRef
from .rebind import rebind
from .weights import Layer, Weight


@dataclasses.dataclass(frozen=True, eq=False)
class LossOfWeights:
    """Computes a loss of weights, such as a kernel regulariser's, from the computed weights."""

    function: Callable[[], tf.Tensor]
    references: Sequence[WeightRef]

    def __call__(self) -> tf.Tensor:
        return rebind(self.function, {id(ref): ref.computed.value() for ref in self.references})()

    def rebind(self, replacements: Mapping[int, Any]) -> LossOfWeights:
        references = [
            WeightRef(replacements.get(id(ref.owner), ref.owner), ref.key) for ref in self.references
        ]
        moved = {id(old): new for old, new in zip(self.references, references, strict=True)}
        return LossOfWeights(rebind(rebind(self.function, replacements), moved), references)


def losses_of(layer: Layer) -> list[Callable[[], Any]]:
    """Returns the functions that compute a layer's losses of its weights."""
    return vars(layer)["_callable_losses"]


def set_losses(layer: Layer, losses: Sequence[Callable[[], Any]]) -> None:
    vars(layer)["_callable_losses"] = list(losses)


def redirect_losses(model: Layer, weights: Sequence[Weight]) -> None:
    """Makes weight losses use the computed weight instead of the variable that it replaced.

    Args:
      model: its layers have the losses.
      weights: those that were passed to `put_computed_weight`.
    """
    replaced = {
        id(weight.variable): WeightRef(weight.places[0].layer, weight.places[0].name) for weight in weights
    }
    for layer in layers_of(model):
        set_losses(layer, [_redirected(loss, replaced) for loss in losses_of(layer)])


def _redirected(loss: Callable[[], Any], replaced: Mapping[int, WeightRef]) -> Callable[[], Any]:
    # Copies of the references, so that each loss can be rebound on its own.
    copies = {key: copy.copy(reference) for key, reference in replaced.items()}
    redirected = rebind(loss, copies)
    if redirected is loss or isinstance(redirected, LossOfWeights):
        return redirected
    return LossOfWeights(redirected, list(copies.values()) if len(copies) == 1 else _held(loss, copies))


def _held(loss: Callable[[], Any], copies: Mapping[int, WeightRef]) -> list[WeightRef]:
    return [reference for key, reference in copies.items() if rebind(loss, {key: reference}) is not loss]


def plain_loss(loss: Callable[[], Any], find: Callable[[WeightRef], tf.Variable]) -> Callable[[], Any]:
    """Turns a loss of computed weights back into one of variables; `find` gives a weight's variable."""
    if not isinstance(loss, LossOfWeights):
        return loss
    return rebind(loss.function, {id(ref): find(ref) for ref in loss.references})
