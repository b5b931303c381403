"""A Keras model again from a SavedModel that `export_saved_model` wrote: from its numbers, not its graph.

TensorFlow's own loading of a SavedModel runs the graph that its writer chose. Here the architecture is
read as a description (see `architecture.py`), and the weights as values of a checkpoint whose sizes are
held against its length first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Optional, Union

import tensorflow as tf

from . import architecture, container
from .container import ContainerError, Entry
from .forms import to_plain
from .mismatch import first_line
from .saved_model import EXTRA
from .storage import restore
from .weights import weights_of

_MAX_EXTRA = 2**26  # bytes of the description
_UNREADABLE = (tf.errors.OpError, ValueError, LookupError, RuntimeError, OSError)


def load_exported(
    path: Union[str, os.PathLike[str]], model: Optional[tf.keras.Model] = None, decode: str = "once"
) -> tf.keras.Model:
    """A compressed model, or a plain one from a SavedModel with plain weights.

    `to_plain` and `to_compressible` go on from there, as from any other.

    Args:
      path: of the SavedModel's folder.
      model: has the architecture, as in `load`. None takes the one that the SavedModel describes, where it
        does: models of Keras's own layers, and of classes that are registered and imported.
      decode: as in `load`.

    Raises:
      FileNotFoundError: where there is no such SavedModel.
      ContainerError: for one that is damaged, of another making, or not of this model.
    """
    path = Path(path)
    source = os.fspath(path)
    if not (path / EXTRA).is_file():
        raise FileNotFoundError(
            f"{source!r} is no SavedModel that export_saved_model wrote: it has no {EXTRA}."
        )
    try:
        extra = _extra(path / EXTRA)
        stored = _Values(path / "variables" / "variables")
        packed = stored.bytes("container") if stored.has("container") else None
        entries = list(container.unpack(packed).entries) if packed is not None else []
        model = model if model is not None else architecture.build(extra["architecture"])
    except (ContainerError, architecture.ArchitectureError) as error:
        raise ContainerError(f"{source!r}: {error}") from error
    except _UNREADABLE as error:
        raise ContainerError(f"{source!r} cannot be read: {first_line(error)}") from error
    wanted = {weight.spec.path: weight.spec for weight in weights_of(model)}
    for index, name in enumerate(extra["kept"]):
        spec = wanted.get(name)
        if spec is None:
            raise ContainerError(f"{source!r} is not of this model: the model lacks {name}.")
        try:
            value = stored.array(f"kept/{index}", spec.shape, spec.dtype)
        except _UNREADABLE as error:
            raise ContainerError(f"{source!r}: {name} cannot be read: {first_line(error)}") from error
        entries.append(Entry(name, spec.shape, spec.dtype, None, {}, {"value": value}))
    restored = restore(entries, model, decode, source)
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
    kept = extra.get("kept")
    if not isinstance(kept, list) or not all(isinstance(name, str) for name in kept):
        raise ContainerError(f"{EXTRA} does not list the weights that are kept in full")
    if len(set(kept)) != len(kept):
        raise ContainerError(f"{EXTRA} lists a weight twice")
    if "architecture" not in extra:
        raise ContainerError(f"{EXTRA} has no architecture")
    return extra


class _Values:
    """The values in a checkpoint by the way to their variables."""

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

    def array(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        key = self._key(name)
        if key not in self._shapes:
            raise ContainerError("it is missing")
        found, kind = tuple(self._shapes[key]), self._dtypes[key].name
        if found != shape or kind != dtype:
            raise ContainerError(
                f"it is {kind}{list(found)} in the file and {dtype}{list(shape)} in the model"
            )
        return self._reader.get_tensor(key)
