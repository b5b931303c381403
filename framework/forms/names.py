"""Decides which names the layers of a model have in paths: those of a file, or numbers of our own.

Keras makes up names such as `conv2d_1`, which count on through a process. So the same code gives other names
each time, and paths number such layers within a model. In a file the same names were given: users see them
there, and mean them in rules. No layer tells one from the other; whoever loads a file does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..surgery.weights import GIVEN, Layer, walk, weights_of


def keep_names(model: Layer) -> None:
    """Keeps the names that layers have, in paths: they were given."""
    for _, layer in walk(model):
        _name(layer, layer.name)


def given_names(model: Layer) -> list[str | None]:
    """Lists the given names of a model's layers, in the order of `walk`; None for a numbered one."""
    return [vars(layer).get(GIVEN) for _, layer in walk(model)]


def give_names(model: Layer, names: Sequence[str | None]) -> None:
    """Gives the layers of a model the names that `given_names` listed of another of the same code."""
    for (_, layer), name in zip(list(walk(model)), names, strict=True):
        _name(layer, name)


def names_matter(model: Layer) -> bool:
    """Tells whether paths would be others if layers were numbered."""
    names = given_names(model)
    if not any(names):
        return False
    paths = [path for path, _ in walk(model)]
    give_names(model, [None] * len(names))
    numbered = [path for path, _ in walk(model)]
    give_names(model, names)
    return paths != numbered


def adopt_names(model: Layer, paths: Sequence[str], given: bool) -> None:
    """Gives the layers of a model the names that they have in a file.

    A file of given names may be read into a model that code builds, where Keras makes up others. Layers then
    correspond by the order of the numbers at the end of their names, among those that share the rest.

    Args:
      model: its layers are renamed where that gives the file's paths; else nothing changes.
      paths: of all weights in the file, and of layers' other state.
      given: whether the file's names were given. If not, its layers are numbered.
    """
    own = given_names(model)
    for names in _candidates(model, paths) if given else [[None] * len(own)]:
        give_names(model, names)
        if {weight.spec.path for weight in weights_of(model)} <= set(paths):
            return
    give_names(model, own)


def _candidates(model: Layer, paths: Sequence[str]) -> Iterator[list[str | None]]:
    if any(given_names(model)):
        yield given_names(model)
    keep_names(model)
    yield given_names(model)
    in_file = {ranked: path for path, ranked in _ranks(paths).items()}
    in_model = _ranks([weight.spec.path for weight in weights_of(model)])
    layers = list(walk(model))
    names = (in_file.get(in_model.get(path, "")) for path, _ in layers)
    yield [name.rpartition("/")[2] if name else None for name in names]


def _ranks(paths: Sequence[str]) -> dict[str, str]:
    """Returns, by each layer's path, the path with the rank of a number in place of the number.

    >>> _ranks(["dense_7/kernel", "dense_9/kernel"])
    {'dense_7': 'dense#0', 'dense_9': 'dense#1'}
    """
    children: dict[str, list[str]] = {}
    for path in paths:
        parts = path.split("/")[:-1]
        for depth in range(len(parts)):
            siblings = children.setdefault("/".join(parts[:depth]), [])
            if parts[depth] not in siblings:
                siblings.append(parts[depth])
    ranked = {"": ""}
    for parent, names in children.items():  # a parent comes before its children
        counts: dict[str, int] = {}
        for base, _, name in sorted(_split(name) for name in names):
            rank = counts[base] = counts.get(base, -1) + 1
            path = f"{parent}/{name}" if parent else name
            ranked[path] = f"{ranked[parent]}/{base}#{rank}".lstrip("/")
    return ranked


def _split(name: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"(.*?)_(\d+)", name)
    return (match[1], int(match[2]), name) if match else (name, 0, name)


def _name(layer: Layer, name: str | None) -> None:
    object.__setattr__(layer, GIVEN, name)
