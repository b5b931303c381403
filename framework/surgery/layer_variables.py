"""Saves a layer's own variables in Keras's files by name, byte strings included, which HDF5 lacks.

Keras stores a layer's variables by their positions. An algorithm's variables were added and dropped in an
order that a rebuilt model need not have.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import numpy as np
import tensorflow as tf


def save_own_variables(layer: Any, store: MutableMapping[str, Any]) -> None:
    """Puts the values of a layer's variables into `store`; byte strings as TensorFlow serialises them."""
    for name, variable in _by_name(layer).items():
        if variable.dtype == tf.string:
            store[name] = np.frombuffer(tf.io.serialize_tensor(variable).numpy(), np.uint8)
        elif variable.dtype == tf.bfloat16:  # HDF5 lacks it, too
            store[name] = tf.bitcast(variable, tf.uint16).numpy()
        else:
            store[name] = variable.numpy()


def load_own_variables(layer: Any, store: MutableMapping[str, Any]) -> None:
    """Gives a layer's variables the values in `store`.

    Raises:
      ValueError: if the layer has other variables, or variables of other shapes.
    """
    variables = _by_name(layer)
    if set(store.keys()) != set(variables):
        raise ValueError(
            f"Layer {layer.name!r} has the variables {', '.join(sorted(variables))}; the file has "
            f"{', '.join(sorted(store.keys())) or 'none'}."
        )
    for name, variable in variables.items():
        value = np.asarray(store[name])
        if variable.dtype == tf.string:
            value = tf.io.parse_tensor(value.astype(np.uint8).tobytes(), tf.string)
        elif variable.dtype == tf.bfloat16:
            value = tf.bitcast(tf.constant(value, tf.uint16), tf.bfloat16)
        if tuple(value.shape) != tuple(variable.shape):
            raise ValueError(
                f"{layer.name}/{name} is {list(value.shape)} in the file and {list(variable.shape)} in "
                "the model."
            )
        variable.assign(value)


def _by_name(layer: Any) -> dict[str, tf.Variable]:
    """Returns a layer's own variables, by attribute if they are attributes, and else by position."""
    attributes = {id(value): name for name, value in vars(layer).items() if isinstance(value, tf.Variable)}
    variables = [*layer._trainable_weights, *layer._non_trainable_weights]
    return {attributes.get(id(variable), str(index)): variable for index, variable in enumerate(variables)}
