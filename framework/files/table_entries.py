"""Stores a model's state that is in no variable, such as an adapted vocabulary, as entries of a container.

An entry's value is bytes, uint8 [length]: the state's arrays as deflated msgpack.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterable, Sequence

import msgpack
import numpy as np
import tensorflow as tf

from ..container.file import ContainerError, Entry
from ..container.format import DTYPES, chunks_of
from ..messages import some
from ..surgery.layer_state import State, Vocabulary, states_of

_TEXT = "string"
_MAX_INFLATION, _SLACK = (
    64,
    2**16,
)  # most bytes that a value may inflate to: so many times it, and so many more
_UNFIT = (ValueError, TypeError, LookupError, RuntimeError, OSError, tf.errors.OpError)


def table_entries(model: tf.keras.Model) -> list[Entry]:
    """Returns an entry for each state of a model's layers that no variable and no code gives."""
    values = {state.path: _packed(state.read()) for state in states_of(model) if state.stored()}
    return [Entry(path, value.shape, "uint8", None, {}, {"value": value}) for path, value in values.items()]


def take_tables(model: tf.keras.Model, entries: dict[str, Entry], source: str) -> None:
    """Gives a model's layers the state in entries, and removes those entries.

    A state that the entries lack stays as the code gave it, with a warning: earlier releases wrote none.

    Args:
      model: is changed.
      entries: by path.
      source: name of the entries' origin, for errors.

    Raises:
      ContainerError: for a value that is damaged or does not fit, and for a lookup layer that has no
        vocabulary, neither in the entries nor in the model.
    """
    lacking = []
    for state in states_of(model):
        entry = entries.pop(state.path, None)
        if entry is not None:
            _give(state, entry, source)
        elif state.stored():
            lacking.append(state)
    problem = lacking_vocabulary(model)
    if problem:
        raise ContainerError(f"{source!r} has {problem}.")
    if lacking:
        paths, hint = some([state.path for state in lacking]), lacking[0].hint
        warnings.warn(
            f"{source!r} has no {paths}; the model keeps its own. If that differs, {hint}.", stacklevel=4
        )


def lacking_vocabulary(model: tf.keras.Model) -> str:
    """Names a model's lookup layers without a vocabulary, and says what to do; empty if there are none."""
    empty = [s for s in states_of(model) if isinstance(s, Vocabulary) and not len(s.read()[0])]
    if not empty:
        return ""
    return f"no {some([state.path for state in empty])}, nor has the model: {empty[0].hint}"


def _give(state: State, entry: Entry, source: str) -> None:
    try:
        if entry.algorithm is not None or entry.dtype != "uint8":
            raise ValueError("it is no state of a layer")
        state.write(_unpacked(np.asarray(entry.tensors["value"]).tobytes()))
    except _UNFIT as error:
        raise ContainerError(
            f"{source!r}: {entry.path} does not fit the model: {error}. Where it is built, {state.hint}."
        ) from error


def _packed(arrays: Sequence[np.ndarray]) -> np.ndarray:
    rows = []
    for array in arrays:
        is_text = array.dtype == object
        content = [bytes(item) for item in array.ravel()] if is_text else chunks_of(array)[0]
        rows.append([_TEXT if is_text else array.dtype.name, list(array.shape), content])
    plain: bytes = msgpack.packb(rows)  # pyright: ignore[reportAssignmentType]
    deflated = zlib.compress(plain, 9)
    if len(plain) > _bound(deflated):
        deflated = zlib.compress(plain, 0)
    return np.frombuffer(deflated, np.uint8)


def _unpacked(value: bytes) -> list[np.ndarray]:
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(value, _bound(value))
        rows = msgpack.unpackb(plain)
    except (zlib.error, msgpack.UnpackException) as error:
        raise ValueError(f"it is damaged ({error})") from None
    if not inflate.eof or inflate.unused_data or not isinstance(rows, list):
        raise ValueError("it is damaged")
    return [_array(*row) for row in rows]


def _array(kind: str, shape: Sequence[int], content: bytes | Iterable[bytes]) -> np.ndarray:
    if kind == _TEXT:
        items = list(content)
        if not all(isinstance(item, bytes) for item in items):
            raise ValueError("it has a text that is not bytes")
        array = np.empty(len(items), object)
        array[:] = items
    else:
        width = DTYPES[kind].itemsize
        numbers = np.frombuffer(content, f"<u{width}")  # pyright: ignore[reportCallIssue, reportArgumentType]
        array = numbers.astype(f"=u{width}").view(DTYPES[kind])
    if array.size != math.prod(shape):
        raise ValueError(f"it has {array.size} values for the shape {list(shape)}")
    return array.reshape(shape)


def _bound(deflated: bytes) -> int:
    return _MAX_INFLATION * len(deflated) + _SLACK
