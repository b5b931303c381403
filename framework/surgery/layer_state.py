"""Reads and writes what a layer holds: its own variables, and state that is in no variable, such as tables.

Keras stores a layer's variables by their positions. An algorithm's variables were added and dropped in an
order that a rebuilt model need not have, so they are saved by name.

Three kinds of state are in no variable: the vocabulary of a lookup layer that was adapted to data, or given a
file; a table that can change; and what a layer's `save_assets` writes, Keras's method for such state. A
vocabulary that a layer's constructor lists, or a constant table, is part of the code that builds the model.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from keras.src.layers.preprocessing.index_lookup import IndexLookup
from keras.src.layers.preprocessing.text_vectorization import TextVectorization
from tensorflow.python.ops import lookup_ops
from tensorflow.python.trackable.resource import CapturableResource

from .weights import Layer, walk

MUTABLE = (lookup_ops.MutableHashTable, lookup_ops.DenseHashTable)


class State(Protocol):
    """State of a layer that is in no variable, as arrays: of numbers or, as objects, of byte strings.

    Attributes:
      path: of the state in its model.
      hint: how the state comes about other than from a file, for messages.
    """

    path: str
    hint: str

    def stored(self) -> bool:
        """Tells whether a file needs it: whether the code that builds the model does not give it."""
        ...

    def read(self) -> list[np.ndarray]:
        """Returns the state."""
        ...

    def write(self, arrays: Sequence[np.ndarray]) -> None:
        """Replaces the state by what `read` returned elsewhere; raises ValueError if it does not fit."""
        ...


def states_of(model: Layer) -> list[State]:
    """Lists the state of a model's layers that is in no variable, each once, in depth-first order.

    Vocabularies that a constructor lists are among them, since a file may have another.
    """
    states: list[State] = []
    seen: set[int] = set()
    for path, layer in walk(model):
        prefix = f"{path}/" if path else ""
        if isinstance(layer, IndexLookup):
            states.append(Vocabulary(f"{prefix}vocabulary", layer))
            continue
        for name, resource in resources_of(layer):
            if isinstance(resource, MUTABLE) and id(resource) not in seen:
                seen.add(id(resource))
                states.append(MutableTable(f"{prefix}{name}", resource))
        if callable(getattr(layer, "save_assets", None)) and not isinstance(layer, TextVectorization):
            states.append(Assets(f"{prefix}assets", layer))
    return states


def resources_of(layer: Layer) -> Iterator[tuple[str, CapturableResource]]:
    """Yields the tables of a layer itself, and its other resources, each with the names that lead to it."""

    def visit(name: str, holder: Any, seen: set[int]) -> Iterator[tuple[str, CapturableResource]]:
        for child_name, child in holder._trackable_children().items():
            if id(child) in seen or isinstance(child, (Layer, tf.Variable)):
                continue
            seen.add(id(child))
            full = f"{name}.{child_name}" if name else child_name
            if isinstance(child, CapturableResource):
                yield full, child
            elif hasattr(child, "_trackable_children"):
                yield from visit(full, child, seen)

    return visit("", layer, {id(layer)})


def contents_of(table: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the keys and values of a table that can change."""
    keys, values = table.export()
    if isinstance(table, lookup_ops.DenseHashTable):  # it exports the keys that stand for no key, too
        for unused in (table._empty_key, table._deleted_key):
            differs = tf.reshape(keys != tf.constant(unused, keys.dtype), [tf.shape(keys)[0], -1])
            used = tf.reduce_any(differs, axis=1)
            keys, values = keys[used], values[used]
    return keys, values


class Vocabulary:
    """The tokens of a `StringLookup` or `IntegerLookup` layer, without those for masks and unknown tokens."""

    hint = "adapt the layer to the same data, or give its constructor the vocabulary"

    def __init__(self, path: str, layer: Any):
        self.path, self._layer = path, layer
        self._dtype = tf.as_dtype(layer.vocabulary_dtype)

    def stored(self) -> bool:
        listed = self._layer.input_vocabulary
        if listed is None or isinstance(listed, str):
            return True
        special = [self._layer.mask_token] * self._layer._oov_start_index()
        special += [self._layer.oov_token] * self._layer.num_oov_indices
        tokens = np.asarray(listed).tolist()
        tokens = tokens[len(special) :] if tokens[: len(special)] == special else tokens
        return not np.array_equal(tf.constant(tokens, self._dtype, [len(tokens)]).numpy(), self.read()[0])

    def read(self) -> list[np.ndarray]:
        if not int(self._layer.lookup_table.size()):
            return [tf.zeros([0], self._dtype).numpy()]
        keys, values = self._layer.lookup_table.export()
        tokens, indices = (values, keys) if self._layer.invert else (keys, values)
        return [tf.gather(tokens, tf.argsort(indices)).numpy()]

    def write(self, arrays: Sequence[np.ndarray]) -> None:
        (tokens,) = arrays
        if np.array_equal(tokens, self.read()[0]):
            return
        layer, size = self._layer, len(tokens) + self._layer._token_start_index()
        if layer.max_tokens is not None and size > layer.max_tokens:
            raise ValueError(f"its vocabulary takes {size} indices, and max_tokens is {layer.max_tokens}")
        free = layer.output_mode == "int" or layer.pad_to_max_tokens
        if not free and layer._frozen_vocab_size not in (None, size):
            raise ValueError(
                f"its vocabulary takes {size} indices, and the model was built for {layer._frozen_vocab_size}"
            )
        layer.lookup_table = layer._lookup_table_from_tokens(tf.constant(tokens, self._dtype))
        layer.input_vocabulary = None  # it is no longer the constructor's
        layer._record_vocabulary_size()


class MutableTable:
    """The keys and values of a table that can change."""

    hint = "insert into the table where the layer makes it"

    def __init__(self, path: str, table: Any):
        self.path, self._table = path, table

    def stored(self) -> bool:
        return True

    def read(self) -> list[np.ndarray]:
        keys, values = (tensor.numpy() for tensor in contents_of(self._table))
        order = np.argsort(keys, kind="stable") if keys.ndim == 1 else np.lexsort(keys.T[::-1])
        return [keys[order], values[order]]

    def write(self, arrays: Sequence[np.ndarray]) -> None:
        keys, values = arrays
        self._table.remove(contents_of(self._table)[0])
        self._table.insert(
            tf.constant(keys, self._table.key_dtype), tf.constant(values, self._table.value_dtype)
        )


class Assets:
    """The files that a layer's `save_assets` writes and its `load_assets` reads."""

    hint = "give the layer the same state in code"

    def __init__(self, path: str, layer: Any):
        self.path, self._layer = path, layer

    def stored(self) -> bool:
        return True

    def read(self) -> list[np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            self._layer.save_assets(folder)
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            names = [os.fsencode(path.relative_to(folder).as_posix()) for path in files]
            return [np.array(names, object), np.array([path.read_bytes() for path in files], object)]

    def write(self, arrays: Sequence[np.ndarray]) -> None:
        names, contents = arrays
        with tempfile.TemporaryDirectory() as folder:
            for name, content in zip(names, contents, strict=True):
                path = Path(folder, os.fsdecode(name)).resolve()
                if not path.is_relative_to(Path(folder).resolve()):
                    raise ValueError(
                        f"an asset is called {os.fsdecode(name)!r}, which is outside of its folder"
                    )
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._layer.load_assets(folder)


@contextlib.contextmanager
def free_sizes_as_zero(model: Layer) -> Iterator[None]:
    """Gives variables with free sizes values of size 0 there, so that a file tells which sizes are free."""
    held = {v.ref(): v.read_value() for v in model.weights if _is_free(v)}

    def give(values: Mapping[Any, tf.Tensor]) -> None:
        for reference, value in values.items():
            reference.deref().assign(value)
        for _, layer in walk(model):
            if isinstance(layer, IndexLookup) and layer.output_mode == "tf_idf":
                layer.idf_weights_const = layer.idf_weights.value()  # what the layer saves

    give({ref: tf.zeros([n or 0 for n in ref.deref().shape], value.dtype) for ref, value in held.items()})
    try:
        yield
    finally:
        give(held)


def _is_free(variable: Any) -> bool:
    return isinstance(variable, tf.Variable) and not variable.shape.is_fully_defined()


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
        if not variable.shape.is_compatible_with(value.shape):
            raise ValueError(
                f"{layer.name}/{name} is {list(value.shape)} in the file and {list(variable.shape)} in "
                "the model."
            )
        variable.assign(value)


def _by_name(layer: Any) -> dict[str, tf.Variable]:
    """Returns a layer's own variables, by attribute if they are attributes, and else by position."""
    attributes = {id(value): name for name, value in vars(layer).items() if isinstance(value, tf.Variable)}
    variables = [*layer._trainable_weights, *layer._non_trainable_weights]
    return {
        attributes.get(id(variable), str(index)): variable
        for index, variable in enumerate(variables)
        if isinstance(variable, tf.Variable)
    }
