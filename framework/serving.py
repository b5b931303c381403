"""A model's prediction as one concrete function, its weights computed as an export wants them."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Optional

import tensorflow as tf

from .forms import FormError, require_built
from .parametrize import Slot, computed_by

WeightFunction = Callable[[Slot, tf.Tensor], tf.Tensor]
"""A computed weight in a graph, from its slot and an input of the layer that needs it."""


def prediction(model: tf.keras.Model, weight: Optional[WeightFunction] = None) -> Any:
    """The concrete function of `model(inputs, training=False)`, for batches of any size.

    Its outputs are a dictionary: `output`, or the names of the parts of a structure joined by `_`.

    Args:
      model: built, in any form, and called before, so that it knows its input.
      weight: makes the computed weights, in the place of what the form does.

    Raises:
      FormError: for a model that is not built or does not know its input.
    """
    inputs = input_specs(require_built(model))

    @tf.function(input_signature=[inputs])
    def predict(inputs: Any) -> dict[str, tf.Tensor]:
        return named(model(inputs, training=False))

    traced: Any = predict
    with computed_by(weight) if weight else contextlib.nullcontext():
        return traced.get_concrete_function()


def named(outputs: Any, name: str = "output") -> dict[str, tf.Tensor]:
    """A structure of tensors as a flat dictionary, as the signatures of a SavedModel are."""
    if isinstance(outputs, dict):
        parts = outputs.items()
    elif isinstance(outputs, (list, tuple)):
        parts = enumerate(outputs)
    else:
        return {} if outputs is None else {name: tf.convert_to_tensor(outputs)}
    prefix = "" if name == "output" and isinstance(outputs, dict) else f"{name}_"
    return {key: leaf for part, value in parts for key, leaf in named(value, f"{prefix}{part}").items()}


def input_specs(model: tf.keras.Model) -> Any:
    """What `prediction` takes: the structure of a model's input as `tf.TensorSpec`s, each with a name.

    Raises:
      FormError: where the model does not know it.
    """
    spec = model.save_spec(dynamic_batch=True)
    if spec is None or not spec[0]:
        raise FormError(
            f"The model {model.name!r} does not know its input yet: call it on a batch of data first."
        )
    structure = spec[0][0]
    leaves = tf.nest.flatten(structure)
    names = [leaf.name or ("inputs" if len(leaves) == 1 else f"inputs_{i}") for i, leaf in enumerate(leaves)]
    return tf.nest.pack_sequence_as(
        structure, [tf.TensorSpec(leaf.shape, leaf.dtype, name) for leaf, name in zip(leaves, names)]
    )
