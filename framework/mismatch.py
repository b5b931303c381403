"""What does not fit between a file of weights and a model, told by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]


class PretrainedError(ValueError):
    """A file that a model cannot take its values from; the message says what does not fit."""


def check(path: Path, wanted: Shapes, found: Shapes) -> None:
    """Holds the weights in a file against those of a model, by name.

    Raises:
      PretrainedError: for weights that the file lacks or has too many, and for shapes that differ.
    """
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    differing = [
        f"{name} is {list(found[name])} in the file and {list(shape)} in the model"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    problems = []
    if missing:
        problems.append(f"the file lacks {some(missing)}")
    if unexpected:
        problems.append(f"the model lacks {some(unexpected)}")
    if differing:
        problems.append(some(differing))
    if problems:
        raise PretrainedError(f"{str(path)!r} does not fit the model: {'; '.join(problems)}.")


def some(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def first_line(error: Exception) -> str:
    """What an error of TensorFlow's says first; the type's name of one that says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
