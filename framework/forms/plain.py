"""Tells a model's form, and makes a plain model of one in any form."""

from __future__ import annotations

import tensorflow as tf

from ..errors import LambdapressError
from ..surgery.clone import clone, scope_of
from ..surgery.computed_weights import computed_weights_of
from ..surgery.parametrize import remove_computed_weights, set_class
from .rate import drop_rate


class FormError(LambdapressError, ValueError):
    """A model is not in the form that a function needs; the message says how to get there."""


def form_of(model: tf.keras.Model) -> str:
    """Tells the form of a model, or of a part of a model.

    >>> form_of(model)
    'plain'

    A model with models of other forms as layers has weights of theirs: it is compressible if any weight is
    trained for its rate, and compressed if all computed weights are stored.

    Returns:
      `plain`, `compressible` or `compressed`.

    Raises:
      FormError: for an object that is not a layer.
    """
    if not isinstance(model, tf.keras.layers.Layer):
        raise FormError(f"model must be a tf.keras.Model, got a {type(model).__name__}.")
    forms = {computed.form for computed in computed_weights_of(model)}
    return next((form for form in ("compressible", "compressed") if form in forms), "plain")


def require_built(model: tf.keras.Model) -> tf.keras.Model:
    """Returns `model`; raises FormError if it has no weights yet or is not a model."""
    if not isinstance(model, tf.keras.Model):
        raise FormError(f"model must be a tf.keras.Model, got a {type(model).__name__}.")
    if not model.built:
        raise FormError(
            f"The model {model.name!r} is not built, so it has no weights yet: call it on a batch of data, "
            "or model.build(input_shape), first."
        )
    return model


def to_plain(model: tf.keras.Model) -> tf.keras.Model:
    """Returns a clone with a plain variable instead of each computed weight, with the weight's value.

    >>> compressed = to_compressed(model, algorithm)
    >>> [variable.name for variable in to_plain(compressed).weights]
    ['head/kernel:0', 'head/bias:0']

    Raises:
      FormError: for a model that is not built.
      CloneError: for a model that cannot be copied.
    """
    copied = clone(require_built(model))
    with scope_of(copied):
        drop_rate(copied)
        remove_computed_weights(copied)
    set_class(copied, None)
    return copied
