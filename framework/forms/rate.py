"""Adds the rate of a compressible model to its losses, as λ·rate/num_params."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import tensorflow as tf

from ..surgery.clone import layers_of, scope_of
from ..surgery.computed_weights import Projected, WeightRef, computed_weights_of
from ..surgery.parametrize import drop_variable, is_marked
from ..surgery.weight_losses import losses_of, set_losses


@dataclasses.dataclass(frozen=True, eq=False)
class RateLoss:
    """Computes λ·rate/num_params of one weight, as a loss of its layer.

    Attributes:
      layer: owns the weight's variables.
      key: of the weight, among those of the layer.
      lmbda: the model's variable that holds λ.
      num_params: of the plain model.
    """

    layer: tf.keras.layers.Layer
    key: str
    lmbda: tf.Variable
    num_params: int

    def __call__(self) -> tf.Tensor:
        """Computes the loss, a float32 scalar."""
        computed = cast(Projected, WeightRef(self.layer, self.key).computed)
        return self.lmbda * cast(tf.Tensor, computed.penalty()) / float(self.num_params)

    def rebind(self, replacements: Mapping[int, Any]) -> RateLoss:
        """Returns the same loss for a cloned layer; see `surgery/rebind.py`."""
        layer = replacements.get(id(self.layer), self.layer)
        lmbda = replacements.get(id(self.lmbda), self.lmbda)
        if layer is self.layer and lmbda is self.lmbda:
            return self
        return dataclasses.replace(self, layer=layer, lmbda=lmbda)


def add_rate(model: tf.keras.Model, lmbda: float, num_params: int) -> None:
    """Adds the variable `lmbda` and the losses with the rate to a model with `Projected` weights.

    Args:
      model: is changed.
      lmbda: λ.
      num_params: of the plain model; the rate is divided by it.
    """
    with scope_of(model):
        model.lmbda = tf.Variable(
            tf.constant(lmbda, tf.float32),
            trainable=False,
            name="lmbda",
            dtype=tf.float32,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
    for computed in rated_weights(model):
        computed.owner.add_loss(RateLoss(computed.owner, computed.key, model.lmbda, num_params))


def drop_rate(model: tf.keras.Model) -> None:
    """Removes what `add_rate` added to a model, and to models that are layers of it."""
    for computed in computed_weights_of(model):
        owner = computed.owner
        set_losses(owner, [loss for loss in losses_of(owner) if not _is_rate(loss)])
    for rated in _with_lmbda(model):
        drop_variable(rated, "lmbda")  # `del` would leave it in checkpoints


def _with_lmbda(model: tf.keras.Model) -> list[Any]:
    """Lists the models with a variable that holds λ: this one, and those that are layers of it."""
    return [
        layer
        for layer in layers_of(model)
        if is_marked(layer) and isinstance(vars(layer).get("lmbda"), tf.Variable)
    ]


def rated_weights(model: tf.keras.Model) -> list[Projected]:
    """Lists the weights of a compressible model that have a rate, without computing it."""
    return [w for w in computed_weights_of(model) if isinstance(w, Projected) and w.algorithm.has_penalty]


def rate_of(model: tf.keras.Model) -> float:
    """Returns the sum of the rates of a compressible model's weights (bits, if its algorithms say bits)."""
    return float(sum(float(cast(tf.Tensor, computed.penalty())) for computed in rated_weights(model)))


def rate_terms(model: tf.keras.Model) -> list[tf.Tensor]:
    """Computes the rate's part of `model.losses`, for training loops that leave these losses out.

    Returns:
      λ·rate/num_params of each weight that has a rate, float32 scalars.
    """
    losses = [loss for computed in computed_weights_of(model) for loss in losses_of(computed.owner)]
    rates = {id(loss): loss for loss in losses if _is_rate(loss)}
    return [loss() for loss in rates.values()]


def added_variables(model: tf.keras.Model) -> set[int]:
    """Returns the ids of the variables that a form has added: algorithms' variables, and λ."""
    added = {id(v) for computed in computed_weights_of(model) for v in computed.variables().values()}
    return added | lmbdas_of(model)


def lmbdas_of(model: tf.keras.Model) -> set[int]:
    """Returns the ids of the variables that hold λ: the model's, and those of models that are its layers."""
    return {id(rated.lmbda) for rated in _with_lmbda(model)}


def num_params(model: tf.keras.Model) -> int:
    """Counts the parameters of the plain model that a model in any form stands for."""
    added = added_variables(model)
    kept = [v for v in model.weights if isinstance(v, tf.Variable) and id(v) not in added]
    in_full = sum(v.shape.num_elements() or 0 for v in kept)  # as Keras counts: 0 if a size is free
    return in_full + sum(computed.spec.size for computed in computed_weights_of(model))


def _is_rate(loss: object) -> bool:
    return any(isinstance(argument, RateLoss) for argument in getattr(loss, "args", ()))
