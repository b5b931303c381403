"""Traces a model's prediction as one concrete function, with weights computed as an export needs them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from ..errors import LambdapressError
from ..forms.compress import to_compressed
from ..forms.plain import FormError, form_of, require_built, to_plain
from ..messages import first_line
from ..surgery.clone import clone
from ..surgery.computed_weights import ComputedWeight, computed_weights_of
from ..surgery.once_per_call import computed_by
from .shapes import Shapes, ShapesError, with_shapes

WeightFunction = Callable[[ComputedWeight, tf.Tensor], tf.Tensor]
"""Computes a weight in a graph, from its `ComputedWeight` and an input of the layer that needs it."""


class ExportError(LambdapressError, RuntimeError):
    """A format cannot hold a model; the message says why."""


def to_decode(model: tf.keras.Model, decode: str, known: Sequence[str]) -> tf.keras.Model:
    """Returns a model in the form that an export writes: plain to decode `before`, and else compressed.

    Args:
      model: in any form; a plain model needs `before`.
      decode: when weights are decoded.
      known: the values that `decode` may have in the format that is written.

    Raises:
      FormError: for a plain model unless `decode` is `before`, and for a `decode` that is not in `known`.
      ExportError: for a weight whose algorithm cannot decode in a graph, unless `decode` is `before`.
    """
    if decode not in known:
        raise FormError(f"decode is one of {', '.join(known)} in this format, got {decode!r}.")
    if decode == "before":
        return to_plain(model)
    if form_of(model) == "plain":
        raise FormError(
            f"The model {model.name!r} is plain; compress it first: to_compressed(model, algorithm)."
        )
    # A copy, since tracing and converting leave attributes on the layers.
    model = to_compressed(model) if form_of(model) == "compressible" else clone(model)
    for computed in computed_weights_of(model):
        problem = computed.algorithm.no_graph_decode
        if problem is not None:
            raise ExportError(
                f"{computed.spec.path}: {computed.algorithm.name!r} does not decode in a graph: {problem}. "
                "Or export with decode='before' (--decode before)."
            )
    return model


def prediction(model: tf.keras.Model, weight: WeightFunction | None = None, shapes: Shapes = None) -> Any:
    """Returns the concrete function of `model(inputs, training=False)`, for batches of any size.

    The function returns a dictionary: its key is `output`, or for each tensor of a structure the names of the
    parts that lead to it, joined by `_`.

    Args:
      model: built, in any form, and called before, so that it knows its input.
      weight: makes the computed weights, instead of the form's own way.
      shapes: of the inputs, where they shall differ from the model's; see `shapes.py`.

    Raises:
      FormError: for a model that is not built or does not know its input.
      ShapesError: for shapes that do not fit the model.
    """
    inputs = with_shapes(input_specs(require_built(model)), shapes)

    @tf.function(input_signature=[inputs])
    def predict(inputs: Any) -> dict[str, tf.Tensor]:
        return named(model(inputs, training=False))

    traced: Any = predict
    try:
        with computed_by(weight) if weight else contextlib.nullcontext():
            return traced.get_concrete_function()
    except ValueError as error:
        if shapes is None:
            raise
        cause = re.search(r"ValueError: (.+)", str(error))  # Keras cites its code before
        reason = cause[1] if cause else first_line(error)
        raise ShapesError(f"{model.name!r} does not take shapes={shapes!r}: {reason}") from error


def named(outputs: Any) -> dict[str, tf.Tensor]:
    """Flattens a structure of tensors into a dictionary by name, as a SavedModel's signatures need."""
    leaves = zip(tf.nest.flatten(output_names(outputs)), tf.nest.flatten(outputs), strict=True)
    return {name: tf.convert_to_tensor(leaf) for name, leaf in leaves if leaf is not None}


def output_names(outputs: Any, name: str = "output") -> Any:
    """Returns the structure of `outputs` with the name that `named` uses instead of each tensor."""
    if isinstance(outputs, dict):
        prefix = "" if name == "output" else f"{name}_"
        return {key: output_names(value, f"{prefix}{key}") for key, value in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [output_names(value, f"{name}_{index}") for index, value in enumerate(outputs)]
    return name


def input_specs(model: tf.keras.Model) -> Any:
    """Returns the structure of a model's input, as `prediction` takes it: named `tf.TensorSpec`s.

    Raises:
      FormError: if the model does not know its input.
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
        structure,
        [tf.TensorSpec(leaf.shape, leaf.dtype, name) for leaf, name in zip(leaves, names, strict=True)],
    )
