"""Losses that a layer has of its weights (regularisers'), pointed at what stands in a weight's place."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Callable

import tensorflow as tf

from .clone import layers_of
from .rebind import rebind
from .slots import WeightRef
from .weights import Layer, Weight


@dataclasses.dataclass(frozen=True, eq=False)
class LossOfWeights:
    """A weight loss (a kernel regulariser's) that is given the computed weights."""

    function: Callable[[], tf.Tensor]
    references: Sequence[WeightRef]

    def __call__(self) -> tf.Tensor:
        return rebind(self.function, {id(ref): ref.slot.value() for ref in self.references})()

    def rebind(self, replacements: Mapping[int, Any]) -> LossOfWeights:
        references = [
            WeightRef(replacements.get(id(ref.owner), ref.owner), ref.path) for ref in self.references
        ]
        moved = {id(old): new for old, new in zip(self.references, references)}
        return LossOfWeights(rebind(rebind(self.function, replacements), moved), references)


def losses_of(layer: Layer) -> list[Callable[[], Any]]:
    """The losses that a layer computes whenever they are asked for: of its weights."""
    return vars(layer)["_callable_losses"]


def set_losses(layer: Layer, losses: Sequence[Callable[[], Any]]) -> None:
    vars(layer)["_callable_losses"] = list(losses)


def redirect_losses(model: Layer, weights: Sequence[Weight]) -> None:
    """Makes the weight losses that hold a variable which `put_slot` replaced take the computed weight.

    Args:
      model: whose layers have the losses.
      weights: as they were given to `put_slot`.
    """
    replaced = {
        id(weight.variable): WeightRef(weight.places[0].layer, weight.spec.path) for weight in weights
    }
    for layer in layers_of(model):
        set_losses(layer, [_redirected(loss, replaced) for loss in losses_of(layer)])


def _redirected(loss: Callable[[], Any], replaced: Mapping[int, WeightRef]) -> Callable[[], Any]:
    # Copies of the references, so that each loss can be rebound on its own.
    own = {key: copy.copy(reference) for key, reference in replaced.items()}
    redirected = rebind(loss, own)
    if redirected is loss or isinstance(redirected, LossOfWeights):
        return redirected
    return LossOfWeights(redirected, list(own.values()) if len(own) == 1 else _held(loss, own))


def _held(loss: Callable[[], Any], own: Mapping[int, WeightRef]) -> list[WeightRef]:
    return [reference for key, reference in own.items() if rebind(loss, {key: reference}) is not loss]


def plain_loss(loss: Callable[[], Any], find: Callable[[WeightRef], tf.Variable]) -> Callable[[], Any]:
    """A loss of variables again, in the place of one of computed weights: `find` has them."""
    if not isinstance(loss, LossOfWeights):
        return loss
    return rebind(loss.function, {id(ref): find(ref) for ref in loss.references})
