"""A model's prediction as one concrete function, its weights computed as an export wants them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Callable, Optional

import tensorflow as tf

from .call_scope import computed_by
from .forms import FormError, form_of, require_built, to_compressed, to_plain
from .slots import Slot, slots_of

WeightFunction = Callable[[Slot, tf.Tensor], tf.Tensor]
"""A computed weight in a graph, from its slot and an input of the layer that needs it."""


class ExportError(RuntimeError):
    """A model that a format cannot hold; the message says what stands in the way."""


def to_decode(model: tf.keras.Model, decode: str, known: Sequence[str]) -> tf.keras.Model:
    """The form of a model that an export writes: plain to decode `before`, else compressed.

    Args:
      model: in any form; a plain one has to be decoded `before`.
      decode: when weights are decoded.
      known: what `decode` may be in the format that is written.

    Raises:
      FormError: for a plain model that is not compressed yet, and for a `decode` that is not known.
      ExportError: for a weight whose algorithm decodes in Python alone.
    """
    if decode not in known:
        raise FormError(f"decode is one of {', '.join(known)} in this format, got {decode!r}.")
    if decode == "before":
        return to_plain(model)
    if form_of(model) == "plain":
        raise FormError(
            f"The model {model.name!r} is plain; compress it first: to_compressed(model, algorithm)."
        )
    model = to_compressed(model) if form_of(model) == "compressible" else model
    for slot in slots_of(model):
        if not slot.algorithm.graph_decode:
            raise ExportError(
                f"{slot.spec.path}: {slot.algorithm.name!r} as configured does not decode in a graph; export "
                "with decode='before' (--decode before), or compress with a configuration that does, such as "
                "lossless.codec = 'zlib'."
            )
    return model


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


def named(outputs: Any) -> dict[str, tf.Tensor]:
    """A structure of tensors as a flat dictionary, as the signatures of a SavedModel are."""
    leaves = zip(tf.nest.flatten(output_names(outputs)), tf.nest.flatten(outputs))
    return {name: tf.convert_to_tensor(leaf) for name, leaf in leaves if leaf is not None}


def output_names(outputs: Any, name: str = "output") -> Any:
    """The same structure as `outputs`, with what `named` calls each tensor in its place."""
    if isinstance(outputs, dict):
        prefix = "" if name == "output" else f"{name}_"
        return {key: output_names(value, f"{prefix}{key}") for key, value in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [output_names(value, f"{name}_{index}") for index, value in enumerate(outputs)]
    return name


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
