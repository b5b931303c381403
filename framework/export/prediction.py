"""Traces a model's prediction as one concrete function, with weights computed as an export needs them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import LambdapressError
from ..forms.compress import to_compressed
from ..forms.plain import FormError, form_of, require_built, to_plain
from ..messages import first_line
from ..surgery.clone import layers_of
from ..surgery.computed_weights import ComputedWeight, computed_weights_of
from ..surgery.layer_state import resources_of
from ..surgery.once_per_call import computed_by
from .shapes import Shapes, ShapesError, with_shapes

_COMPOSITE = (tf.RaggedTensor, tf.SparseTensor)
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
    model = to_compressed(model)  # a copy, since tracing leaves attributes on the layers
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
    structure = _input_structure(require_built(model))
    specs = with_shapes(input_specs(model), shapes)

    @tf.function(input_signature=[specs])
    def predict(inputs: Any) -> dict[str, tf.Tensor]:
        components = tf.nest.flatten(inputs)
        return named(model(_assembled(structure, components), training=False))

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


def tracked(function: Any, model: tf.keras.Model) -> tf.Module:
    """Returns a module that has all that a model's `prediction` captures, to save the function with.

    With the model in its place, Keras would trace each layer several times to save it, refuse some layers,
    and leave attributes on all.
    """
    module: Any = tf.Module()
    module.captured = list(function.graph.variables)
    module.resources = [resource for layer in layers_of(model) for _, resource in resources_of(layer)]
    return module


def named(outputs: Any) -> dict[str, tf.Tensor]:
    """Flattens a structure of tensors into a dictionary by name, as a SavedModel's signatures need."""
    leaves = zip(tf.nest.flatten(output_names(outputs)), _components(outputs), strict=True)
    return {name: tf.convert_to_tensor(leaf) for name, leaf in leaves if leaf is not None}


def output_names(outputs: Any, name: str = "output") -> Any:
    """Returns the structure of `outputs` with the name that `named` uses instead of each tensor.

    A ragged or sparse tensor has several names, one for each tensor in it.
    """
    if isinstance(outputs, dict):
        prefix = "" if name == "output" else f"{name}_"
        return {key: output_names(value, f"{prefix}{key}") for key, value in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [output_names(value, f"{name}_{index}") for index, value in enumerate(outputs)]
    parts = _parts(outputs)
    return [f"{name}_{part}" for part in parts] if parts else name


def input_specs(model: tf.keras.Model) -> Any:
    """Returns the structure of a model's input, as `prediction` takes it: named `tf.TensorSpec`s.

    A ragged or sparse tensor is the list of the tensors in it: `…_values` and `…_row_splits` (if there are
    several, `…_row_splits_0` and so on, the outermost first), or `…_indices`, `…_values`, `…_dense_shape`.

    Raises:
      FormError: if the model does not know its input.
    """
    structure = _input_structure(model)
    return tf.nest.pack_sequence_as(structure, _leaf_specs(model, tf.nest.flatten(structure)))


def _leaf_specs(model: tf.keras.Model, leaves: Sequence[Any]) -> list[Any]:
    known = getattr(model, "input_names", None) or []
    names = known if len(known) == len(leaves) else [f"inputs_{i}" for i in range(len(leaves))]
    names = ["inputs"] if len(leaves) == 1 and not known else names

    def spec(leaf: Any, name: str) -> Any:
        if isinstance(leaf, tf.TensorSpec):
            return tf.TensorSpec(leaf.shape, leaf.dtype, leaf.name or name)
        components = zip(_components(leaf), _parts(leaf), strict=True)
        return [tf.TensorSpec(part.shape, part.dtype, f"{name}_{word}") for part, word in components]

    return [spec(leaf, name) for leaf, name in zip(leaves, names, strict=True)]


def by_name(inputs: Any, model: tf.keras.Model) -> dict[str, tf.Tensor]:
    """Flattens inputs of a model into a dictionary by the names of `input_specs`."""
    return dict(_pairs(inputs, input_specs(model)))


def composite_samples(model: tf.keras.Model) -> dict[str, np.ndarray]:
    """Returns values for the tensors in a model's ragged and sparse inputs, by name: two zeros in a batch."""
    samples: dict[str, np.ndarray] = {}
    leaves = tf.nest.flatten(_input_structure(model))
    for leaf, specs in zip(leaves, _leaf_specs(model, leaves), strict=True):
        names = [spec.name for spec in tf.nest.flatten(specs)]
        sizes = [2 if size is None else size for size in (leaf.shape.as_list() if _parts(leaf) else [])]
        if isinstance(leaf, tf.RaggedTensorSpec):
            ragged: Any = leaf
            splits = np.arange(3, dtype=ragged.row_splits_dtype.as_numpy_dtype)  # each row has one item
            values = tf.zeros([2, *sizes[ragged.ragged_rank + 1 :]], ragged.dtype).numpy()
            samples.update(zip(names, [values, *[splits] * ragged.ragged_rank], strict=True))
        elif isinstance(leaf, tf.SparseTensorSpec):
            indices = np.zeros([2, len(sizes)], np.int64)
            indices[1, 0] = 1
            shape = np.array([2, *sizes[1:]], np.int64)
            samples.update(zip(names, [indices, tf.zeros([2], leaf.dtype).numpy(), shape], strict=True))
    return samples


def _pairs(inputs: Any, specs: Any) -> Iterator[tuple[str, tf.Tensor]]:
    if isinstance(specs, tf.TensorSpec):
        yield str(specs.name), inputs
        return
    if isinstance(inputs, _COMPOSITE):
        inputs = _components(inputs)
    for key, spec in specs.items() if isinstance(specs, dict) else enumerate(specs):
        yield from _pairs(inputs[key], spec)


def _input_structure(model: tf.keras.Model) -> Any:
    spec = model.save_spec(dynamic_batch=True)
    if spec is None or not spec[0]:
        raise FormError(
            f"The model {model.name!r} does not know its input yet: call it on a batch of data first."
        )
    return spec[0][0]


def _assembled(structure: Any, components: Sequence[tf.Tensor]) -> Any:
    return tf.nest.pack_sequence_as(structure, components, expand_composites=True)


def _components(value: Any) -> list[Any]:
    return tf.nest.flatten(value, expand_composites=True)


def _parts(value: Any) -> list[str]:
    """Returns the names of the tensors in a ragged or sparse tensor, or of its specification, in order."""
    if isinstance(value, (tf.RaggedTensor, tf.RaggedTensorSpec)):
        rank: int = getattr(value, "ragged_rank")  # noqa: B009  unknown to pyright
        return ["values", *(["row_splits"] if rank == 1 else [f"row_splits_{axis}" for axis in range(rank)])]
    if isinstance(value, (tf.SparseTensor, tf.SparseTensorSpec)):
        return ["indices", "values", "dense_shape"]
    return []
