"""Saves a model's weights to an `.lpz` file and loads them again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ..algorithm import algorithms, config_of
from ..algorithm_checks import check_decoding, tensors_of
from ..atomic import PathLike
from ..container import file
from ..container.file import ContainerError, Entry, Tensor
from ..forms.compress import stored_kind
from ..forms.names import adopt_names, names_matter
from ..forms.plain import FormError, form_of, require_built, to_plain
from ..forms.rate import added_variables
from ..forms.types import Compressed
from ..registry import UnknownNameError
from ..surgery.clone import clone
from ..surgery.computed_weights import ComputedWeight, Projected, Stored, computed_weights_of, held_by
from ..surgery.parametrize import set_class
from ..surgery.replace_weights import Replacement, replace_weights
from ..surgery.weights import Weight, weights_of
from .derived_state import refresh_derived_state
from .mismatch import differences
from .table_entries import table_entries, take_tables

# Errors that an algorithm's constructor and `decode` may raise on a file that its `encode` did not make.
_UNDECODABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, tf.errors.OpError)

_NAMES, _GIVEN = "names", "given"
TRAINED = "trained"
"""Says in a container's metadata that it has the variables of a compressible model; see `trained.py`."""


def save(model: tf.keras.Model, path: PathLike) -> int:
    """Writes the weights of a compressible or compressed model to an `.lpz` file, atomically.

    >>> save(to_compressed(model, algorithm), "model.lpz")
    82

    Returns:
      The length of the file in bytes.

    Raises:
      FormError: for a plain model.
      AlgorithmError: if an algorithm's encoded tensors do not decode to the weight that was trained.
      OSError: where the file system refuses.
    """
    entries = entries_of(model)
    # Entries of computed weights come first.
    for computed, entry in zip(computed_weights_of(model), entries, strict=False):
        if isinstance(computed, Projected):
            check_decoding(computed.algorithm, computed.spec, computed.tensors(), tensors_of_entry(entry))
    return file.write(path, entries, metadata_of(model))


def load(path: PathLike, model: tf.keras.Model, decode: str = "once") -> tf.keras.Model:
    """Loads the weights of an `.lpz` file into a compressed clone of a model.

    >>> compressed = to_compressed(model, algorithm)
    >>> size = save(compressed, "model.lpz")
    >>> restored = load("model.lpz", model)
    >>> bool(tf.reduce_all(restored(tf.ones([1, 4])) == compressed(tf.ones([1, 4]))))
    True

    Args:
      path: of the file.
      model: gives the architecture: the plain model that was compressed, or one that the same code builds
        anywhere. It is untouched, and its values do not matter.
      decode: as in `to_compressed`.

    Raises:
      FileNotFoundError: if there is no file.
      ContainerError: for a file that is damaged, or belongs to another model.
      FormError: for a model that is not built.
      UnknownNameError: for an algorithm that is not installed.
    """
    kind = stored_kind(decode)
    require_built(model)
    contents = file.read(path)
    if TRAINED in contents.metadata:
        raise ContainerError(
            f"{os.fspath(path)!r} keeps what a training has learned, uncompressed; the compressed model "
            "is the file beside it."
        )
    given_names = has_given_names(contents)
    return from_entries(contents.entries, plain_copy(model), kind, os.fspath(path), given_names)


def plain_copy(model: tf.keras.Model) -> tf.keras.Model:
    """Returns a plain copy of a model in any form, whose values do not matter."""
    return clone(model) if form_of(model) == "plain" else to_plain(model)


def from_entries(
    stored: Iterable[Entry], model: tf.keras.Model, kind: type[Stored], source: str, given_names: bool
) -> tf.keras.Model:
    """Makes a plain model compressed, with weights from entries that were already read, and returns it.

    Args and errors are those of `put_entries`.
    """
    put_entries(stored, model, kind, source, given_names)
    set_class(model, Compressed)
    return model


def put_entries(
    stored: Iterable[Entry], model: tf.keras.Model, kind: type[ComputedWeight], source: str, given_names: bool
) -> None:
    """Gives a plain model weights that are computed from entries that were already read.

    Args:
      stored: one entry for each weight of the model, and for each other state of its layers.
      model: from `plain_copy`; is changed, its class is not.
      kind: of the computed weights: from `stored_kind`, or `Projected` for the variables of a training.
      source: name of the entries' origin, for errors.
      given_names: whether layers have the names in the entries' paths that they had in a file of Keras.

    Raises:
      ContainerError, UnknownNameError: as `load`.
    """
    entries = {entry.path: entry for entry in stored}
    adopt_names(model, list(entries), given_names)
    take_tables(model, entries, source)
    weights = weights_of(model)
    _check_match(source, entries, weights)
    compressed = []
    for weight in weights:
        entry = entries[weight.spec.path]
        if entry.algorithm is None:
            weight.variable.assign(tf.constant(entry.tensors["value"]))
        else:
            compressed.append((weight, entry))
    refresh_derived_state(model)
    replacements = (_replacement(weight, entry, kind, source) for weight, entry in compressed)
    try:
        computed_weights = replace_weights(model, replacements)
    except (ContainerError, UnknownNameError):
        raise
    except ValueError as error:  # a tensor has a name that no variable of the layer can have
        raise ContainerError(f"{source!r}: {error}") from error
    for computed, (weight, entry) in zip(computed_weights, compressed, strict=True):
        _check_decodes(computed, weight, entry, source)


def _replacement(weight: Weight, entry: Entry, kind: type[ComputedWeight], source: str) -> Replacement:
    if not weight.places:
        raise _undecodable(entry, source, "no layer of the model holds it as an attribute")
    assert entry.algorithm is not None
    try:
        algorithm = algorithms.get(entry.algorithm)(**entry.config)
        trainable = kind is Projected and weight.variable.trainable
        return Replacement(weight, algorithm, tensors_of_entry(entry), kind, trainable)
    except UnknownNameError:
        raise
    except _UNDECODABLE as error:
        raise _undecodable(entry, source, error) from error


def _check_decodes(computed: ComputedWeight, weight: Weight, entry: Entry, source: str) -> None:
    """Decodes a weight now, so that a damaged one is found when the file is read."""
    try:
        decoded = computed.compute()
    except _UNDECODABLE as error:
        raise _undecodable(entry, source, error) from error
    if decoded.dtype != weight.variable.dtype:
        raise _undecodable(entry, source, f"it decodes to {decoded.dtype.name}")


def _undecodable(entry: Entry, source: str, problem: object) -> ContainerError:
    return ContainerError(f"{source!r}: {entry.path} cannot be decoded by {entry.algorithm!r}: {problem}")


def metadata_of(model: tf.keras.Model) -> dict[str, Any]:
    """Returns what a container of a model says beside its entries: that names in paths were given."""
    return {_NAMES: _GIVEN} if names_matter(model) else {}


def has_given_names(contents: file.Contents) -> bool:
    """Tells whether names in a container's paths were given; see `forms/names.py`."""
    return contents.metadata.get(_NAMES) == _GIVEN


def entries_of(model: tf.keras.Model, encoded: bool = True) -> list[Entry]:
    """Returns the entries that `save` stores: computed weights, weights kept in full, layers' other state.

    Args:
      model: compressible or compressed.
      encoded: whether a compressible model's variables are encoded; else they are stored as they are.

    Raises:
      FormError: for a plain model.
    """
    computed_weights = computed_weights_of(model)
    if not computed_weights:
        raise FormError(
            f"The model {model.name!r} is plain; compress it first: to_compressed(model, algorithm)."
        )
    entries = []
    for computed in computed_weights:
        spec, algorithm, tensors = computed.spec, computed.algorithm, computed.tensors()
        if encoded and isinstance(computed, Projected):
            tensors = tensors_of(algorithm, "encode", spec, tensors, spec)
        stored = {name: _to_storage(tensor) for name, tensor in tensors.items()}
        entries.append(Entry(spec.path, spec.shape, spec.dtype, algorithm.name, config_of(algorithm), stored))
    for weight in kept_weights(model):
        spec, value = weight.spec, _to_storage(weight.variable.read_value())
        entries.append(Entry(spec.path, spec.shape, spec.dtype, None, {}, {"value": value}))
    return entries + table_entries(model)


def kept_weights(model: tf.keras.Model) -> Iterator[Weight]:
    """Yields the weights of a model that are kept in full."""
    added = added_variables(model)
    return (weight for weight in weights_of(model, held_by) if id(weight.variable) not in added)


def _to_storage(tensor: Any) -> Tensor:
    value = tf.convert_to_tensor(tensor).numpy()
    if isinstance(value, bytes):
        return value
    return [bytes(item) for item in value] if value.dtype == object else np.asarray(value)


def tensors_of_entry(entry: Entry) -> dict[str, tf.Tensor]:
    """Returns an entry's encoded tensors by name."""
    stored = entry.tensors.items()
    return {name: tf.constant(list(v) if isinstance(v, (list, tuple)) else v) for name, v in stored}


def _check_match(source: str, entries: dict[str, Entry], weights: list[Weight]) -> None:
    found = {name: f"{entry.dtype}{list(entry.shape)}" for name, entry in entries.items()}
    wanted = {}
    for weight in weights:
        spec, entry = weight.spec, entries.get(weight.spec.path)
        shape = spec.shape
        if entry is not None and weight.variable.shape.is_compatible_with(entry.shape):  # sizes may be free
            shape = entry.shape
        wanted[spec.path] = f"{spec.dtype}{list(shape)}"
    problems = differences(wanted, found)
    if problems:
        raise ContainerError(f"{source!r} is not of this model: {'; '.join(problems)}.")
