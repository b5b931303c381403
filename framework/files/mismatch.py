"""Compares the weights of a file with those of a model, and names those that differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import LambdapressError
from ..messages import some

Shapes = Mapping[str, tuple[int, ...]]


class PretrainedError(LambdapressError, ValueError):
    """A model cannot take its values from a file; the message says what does not fit."""


def check(path: Path, wanted: Shapes, found: Shapes) -> None:
    """Compares the weights in a file with those of a model, by name; a size of 0 in the model is free.

    Raises:
      PretrainedError: for weights that only one of the two has, and for shapes that differ.
    """
    fitting = {name: found[name] for name, shape in wanted.items() if _fits(shape, found.get(name))}
    problems = differences(_as_text({**wanted, **fitting}), _as_text(found))
    if problems:
        raise PretrainedError(f"{str(path)!r} does not fit the model: {'; '.join(problems)}.")


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Lists the differences between a file's weights and a model's; empty if there are none.

    >>> differences({"kernel": "[3, 4]", "bias": "[4]"}, {"kernel": "[4, 3]"})
    ['the file lacks bias', 'kernel is [4, 3] in the file and [3, 4] in the model']

    Args:
      wanted: a description of each weight of the model, such as its shape, by name.
      found: likewise for the weights of the file.
    """
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    differing = [
        f"{name} is {found[name]} in the file and {text} in the model"
        for name, text in wanted.items()
        if name in found and found[name] != text
    ]
    problems = [f"the file lacks {some(missing)}"] if missing else []
    problems += [f"the model lacks {some(unexpected)}"] if unexpected else []
    return problems + ([some(differing)] if differing else [])


def _fits(wanted: tuple[int, ...], found: tuple[int, ...] | None) -> bool:
    return (
        found is not None
        and len(found) == len(wanted)
        and all(size in (0, other) for size, other in zip(wanted, found, strict=True))
    )


def _as_text(shapes: Shapes) -> dict[str, str]:
    return {name: str(list(shape)) for name, shape in shapes.items()}
