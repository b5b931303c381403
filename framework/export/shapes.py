"""Gives a model's inputs other shapes in an exported file: a fixed batch, say, or axes of any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any

import tensorflow as tf

from ..errors import LambdapressError

Shape = Sequence[int | None | EllipsisType]
Shapes = str | Shape | Mapping[str, Shape] | None
"""The shape of the only input, or shapes by the inputs' names, or a text of them.

A length is an integer, or None (in a text: `?`) where any will do. `...` stands for the axes that are not
given, as the model has them: `(1, ...)` or `"1,..."` fixes a batch of one, `"image=1,...;mask=1,..."` of two
inputs. An input that is not named keeps its shape, with batches of any size. None changes nothing.
"""


class ShapesError(LambdapressError, ValueError):
    """Shapes that are no shapes of a model's inputs; the message says what they must be."""


def with_shapes(specs: Any, shapes: Any) -> Any:
    """Returns the structure of `tf.TensorSpec`s with other shapes.

    >>> spec = tf.TensorSpec([None, 28, 28, 1], name="image")
    >>> with_shapes(spec, (1, ...)).shape.as_list(), with_shapes(spec, "?,?,?,1").shape.as_list()
    ([1, 28, 28, 1], [None, None, None, 1])

    Args:
      specs: of a model's inputs, with their names.
      shapes: see `Shapes`.

    Raises:
      ShapesError: for a text that is not of this form, an unknown name, or a shape of another rank.
    """
    if shapes is None:
        return specs
    leaves = tf.nest.flatten(specs)
    by_name = _by_name(_parsed(shapes) if isinstance(shapes, str) else shapes, [leaf.name for leaf in leaves])
    changed = [
        tf.TensorSpec(_completed(by_name[leaf.name], leaf), leaf.dtype, leaf.name)
        if leaf.name in by_name
        else leaf
        for leaf in leaves
    ]
    return tf.nest.pack_sequence_as(specs, changed)


def _by_name(shapes: Any, names: list[str]) -> Mapping[str, Any]:
    if not isinstance(shapes, Mapping):
        if len(names) != 1:
            raise ShapesError(
                f"shapes={shapes!r} is of one input; the model has {len(names)}: {', '.join(names)}."
            )
        return {names[0]: shapes}
    unknown = [name for name in shapes if name not in names]
    if unknown:
        raise ShapesError(f"shapes has {unknown[0]!r}, which is no input; the model has {', '.join(names)}.")
    return shapes


def _completed(shape: Any, spec: tf.TensorSpec) -> list[int | None]:
    """Returns a shape with the model's own lengths where `...` stands."""
    own = spec.shape.as_list()
    given = list(shape)
    if given.count(...) == 1:
        place = given.index(...)
        rest = len(own) - len(given) + 1
        given[place : place + 1] = own[place : place + rest] if rest >= 0 else []
    good = all(n is None or (isinstance(n, int) and not isinstance(n, bool) and n > 0) for n in given)
    if len(given) != len(own) or not good:
        raise ShapesError(
            f"shapes: {_text(shape)} is no shape of {spec.name!r}, which has {len(own)} axes: {_text(own)}. "
            "A length is a positive integer, or ? (None) for any."
        )
    return given


def _text(shape: Any) -> str:
    return ",".join("..." if n is ... else "?" if n is None else str(n) for n in shape)


def _parsed(text: str) -> Any:
    """Reads `1,...` or `image=1,...;mask=?,8`."""
    parts = [part.rpartition("=") for part in text.split(";")]
    try:
        shapes = {
            name.strip(): [_length(word.strip()) for word in shape.split(",")] for name, _, shape in parts
        }
    except ValueError:
        raise ShapesError(
            f"shapes={text!r} is not of the form '1,...' or 'image=1,?,?,3;mask=1,...': lengths, ? for any, "
            "... for the model's own."
        ) from None
    if len(parts) == 1 and not parts[0][1]:
        return shapes[""]
    return shapes


def _length(word: str) -> Any:
    return ... if word == "..." else None if word == "?" else int(word)
