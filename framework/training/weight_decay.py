"""Says which variables of a model weight decay must leave alone."""

from __future__ import annotations

import tensorflow as tf

from ..surgery.computed_weights import computed_weights_of
from ..surgery.weights import weights_of

_DECAYED = {"kernel", "recurrent_kernel", "depthwise_kernel", "embedding"}  # roles
_ITSELF = "weight"  # an algorithm's name for a variable that is the weight, in its own units


def undecayed(model: tf.keras.Model) -> list[tf.Variable]:
    """Lists the trainable variables of a model that are no kernel and no embedding.

    What an algorithm trains in place of a weight is among them: a decay of latents, steps or priors would be
    one of the rate, which has λ, or of a precision. But `none`, pruning and others train the weight itself,
    as `weight`; that is decayed, so that a baseline is trained as the plain model would be.

    >>> [variable.name for variable in undecayed(model)]
    ['head/bias:0']

    Args:
      model: built, in any form.
    """
    decayed = {id(weight.variable) for weight in weights_of(model) if weight.spec.role in _DECAYED}
    for computed in computed_weights_of(model):
        for name, variable in computed.variables().items():
            itself = set(name.split("__")) == {_ITSELF}  # weight__weight in a chain
            if not (itself and computed.spec.role in _DECAYED):
                decayed.discard(id(variable))
            else:
                decayed.add(id(variable))
    return [variable for variable in model.trainable_variables if id(variable) not in decayed]
