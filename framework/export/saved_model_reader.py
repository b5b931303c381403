"""Builds a Keras model from a SavedModel that `export_saved_model` wrote, without running its graph.

TensorFlow's own loader of SavedModels runs the graph that the writer chose. This module reads the
architecture as a description (see `forms/architecture.py`), and the weights as values of a checkpoint, after
comparing the sizes that it claims with its length.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..atomic import PathLike
from ..container import file
from ..container.file import ContainerError, Entry
from ..files.lpz import from_entries, plain_copy
from ..forms import architecture
from ..forms.compress import stored_kind
from ..forms.names import adopt_names
from ..forms.plain import to_plain
from ..messages import first_line
from ..surgery.weights import weights_of
from .saved_model import EXTRA

_MAX_EXTRA = 2**26  # bytes of the description
_UNREADABLE = (tf.errors.OpError, ValueError, LookupError, RuntimeError, OSError)


def load_exported(
    path: PathLike, model: tf.keras.Model | None = None, decode: str = "once"
) -> tf.keras.Model:
    """Loads a compressed model from a SavedModel, or a plain one if its weights are plain.

    `to_plain` and `to_compressible` take the result like any other model.

    >>> compressed = to_compressed(model, algorithm)
    >>> export_saved_model(compressed, "exported")
    >>> again = load_exported("exported")
    >>> bool(tf.reduce_all(again(tf.ones([1, 4])) == compressed(tf.ones([1, 4]))))
    True

    Args:
      path: of the SavedModel's folder.
      model: gives the architecture, as in `load`. None takes the architecture that the SavedModel describes,
        if it does: for models of Keras's own layers, and of classes that are registered and imported.
      decode: as in `load`.

    Raises:
      FileNotFoundError: if there is no SavedModel that `export_saved_model` wrote.
      ContainerError: for a SavedModel that is damaged, was not written by `export_saved_model`, or belongs to
        another model.
      FormError: for another `decode`.
      UnknownNameError: for an algorithm that is not installed.
    """
    path, kind = Path(path), stored_kind(decode)
    source = os.fspath(path)
    if not (path / EXTRA).is_file():
        raise FileNotFoundError(
            f"{source!r} is no SavedModel that export_saved_model wrote: it has no {EXTRA}."
        )
    try:
        extra = _extra(path / EXTRA)
        stored = _Values(path / "variables" / "variables")
        packed = stored.bytes("container") if stored.has("container") else None
        entries = list(file.unpack(packed).entries) if packed is not None else []
        model = model if model is not None else architecture.build(extra["architecture"])
    except (ContainerError, architecture.ArchitectureError) as error:
        raise ContainerError(f"{source!r}: {error}") from error
    except _UNREADABLE as error:
        raise ContainerError(f"{source!r} cannot be read: {first_line(error)}") from error
    model = plain_copy(model)
    paths = [*(entry.path for entry in entries), *extra["kept"]]
    adopt_names(model, paths, extra["given_names"])
    weights = {weight.spec.path: weight for weight in weights_of(model)}
    rows: list[tuple[str, str, tf.TensorShape, str]] = []
    for index, name in enumerate(extra["kept"]):
        if name not in weights:
            raise ContainerError(f"{source!r} is not of this model: the model lacks {name}.")
        rows.append((f"kept/{index}", name, weights[name].variable.shape, weights[name].spec.dtype))
    for index, name in enumerate(extra["tables"]):
        rows.append((f"tables/{index}", name, tf.TensorShape([None]), "uint8"))
    for key, name, shape, dtype in rows:
        try:
            value = stored.array(key, shape, dtype)
        except _UNREADABLE as error:
            raise ContainerError(f"{source!r}: {name} cannot be read: {first_line(error)}") from error
        entries.append(Entry(name, value.shape, dtype, None, {}, {"value": value}))
    restored = from_entries(entries, model, kind, source, extra["given_names"])
    return to_plain(restored) if packed is None else restored


def _extra(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_EXTRA:
        raise ContainerError(f"{EXTRA} is larger than {_MAX_EXTRA:,} bytes")
    try:
        extra = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ContainerError(f"{EXTRA} is not JSON: {error}") from None
    if not isinstance(extra, dict) or extra.get("version") != 1:
        raise ContainerError(f"{EXTRA} is not of version 1, the only one that there is")
    kept: Any = extra.get("kept")
    tables: Any = extra.setdefault("tables", [])  # earlier releases wrote none
    for names in (kept, tables):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ContainerError(f"{EXTRA} does not list the weights that are kept in full")
    if len({*kept, *tables}) != len(kept) + len(tables):
        raise ContainerError(f"{EXTRA} lists a weight twice")
    extra["given_names"] = extra.get("given_names") is True  # earlier releases number all layers
    if "architecture" not in extra:
        raise ContainerError(f"{EXTRA} has no architecture")
    return extra


class _Values:
    """Reads the values in a checkpoint by the names that lead to their variables."""

    def __init__(self, prefix: Path):
        data = sum(part.stat().st_size for part in prefix.parent.glob(f"{prefix.name}.data-*"))
        self._reader: Any = tf.train.load_checkpoint(str(prefix))
        self._shapes = self._reader.get_variable_to_shape_map()
        self._dtypes = self._reader.get_variable_to_dtype_map()
        claimed = 0
        for key, shape in self._shapes.items():
            count = 1
            for size in shape:
                count *= max(0, int(size))
            claimed += count * (self._dtypes[key].size or 1)
        if claimed > data:
            raise ContainerError(f"its variables claim {claimed:,} bytes where {data:,} are")

    @staticmethod
    def _key(name: str) -> str:
        return f"{name}/.ATTRIBUTES/VARIABLE_VALUE"

    def has(self, name: str) -> bool:
        return self._key(name) in self._shapes

    def bytes(self, name: str) -> bytes:
        value = self._reader.get_tensor(self._key(name))
        if not isinstance(value, bytes):
            raise ContainerError(f"its variable {name!r} is not one byte string")
        return value

    def array(self, name: str, shape: tf.TensorShape, dtype: str) -> Any:
        key = self._key(name)
        if key not in self._shapes:
            raise ContainerError("it is missing")
        stored_shape, stored_dtype = tuple(self._shapes[key]), self._dtypes[key].name
        if not shape.is_compatible_with(stored_shape) or stored_dtype != dtype:
            raise ContainerError(
                f"it is {stored_dtype}{list(stored_shape)} in the file and {dtype}{list(shape)} in the model"
            )
        return self._reader.get_tensor(key)
