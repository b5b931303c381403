"""Decides which names the layers of a model have in paths: those of a file, or numbers of our own.

Keras makes up names such as `conv2d_1`, which count on through a process. So the same code gives other names
each time, and paths number such layers within a model. In a file the same names were given: users see them
there, and mean them in rules. No layer tells one from the other; whoever loads a file does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

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

    A file may be read into a model whose code counts on through a process, as Keras does where it makes up
    names, and `ResNetRS` in its own (`stem_1_conv`). Layers then correspond by the order of these numbers,
    among those that share the rest.

    Args:
      model: its layers are renamed where that gives the file's paths; else nothing changes.
      paths: of all weights in the file, and of layers' other state.
      given: whether the file's names were given. If not, its layers are numbered.
    """
    own = given_names(model)
    for names in _candidates(model, paths, given):
        give_names(model, names)
        if {weight.spec.path for weight in weights_of(model)} <= set(paths):
            return
    give_names(model, own)


def _candidates(model: Layer, paths: Sequence[str], given: bool) -> Iterator[list[str | None]]:
    if given:
        if any(given_names(model)):
            yield given_names(model)
        keep_names(model)
        yield given_names(model)
    else:
        give_names(model, [None for _ in walk(model)])
        yield given_names(model)
    own = [weight.spec.path for weight in weights_of(model)]
    in_file = {ranked: path for path, ranked in _ranks(paths, own).items()}
    in_model = _ranks(own, paths)
    layers = list(walk(model))
    names = (in_file.get(in_model.get(path, "")) for path, _ in layers)
    yield [name.rpartition("/")[2] if name else None for name in names]


def _ranks(paths: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """Returns, by each layer's path, the path with the rank of its numbers in place of the numbers.

    Numbers within names stand as they are where a name of `others`, which are of another model, has the same
    ones: they tell layers apart, and do not count on.

    >>> _ranks(["dense_7/kernel", "dense_9/kernel"], [])
    {'': '', 'dense_7': 'dense#0', 'dense_9': 'dense#1'}
    >>> _ranks(["stem_3_dense_1/kernel", "2nd/kernel"], ["stem_1_dense_1/kernel", "2nd/kernel"])
    {'': '', '2nd': '2nd#0', 'stem_3_dense_1': 'stem_?_dense#0'}
    """
    fixed = {_pattern(base) for base in _bases(paths) & _bases(others)}
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
        for base, _, name in sorted(_split(name, fixed) for name in names):
            rank = counts[base] = counts.get(base, -1) + 1
            path = f"{parent}/{name}" if parent else name
            ranked[path] = f"{ranked[parent]}/{base}#{rank}".lstrip("/")
    return ranked


def _bases(paths: Sequence[str]) -> set[str]:
    return {_without_last(name)[0] for path in paths for name in path.split("/")[:-1]}


def _pattern(base: str) -> str:
    return re.sub(r"\d+", "?", base)


def _without_last(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)_(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)


def _split(name: str, fixed: Collection[str]) -> tuple[str, tuple[int, ...], str]:
    base, last = _without_last(name)
    if _pattern(base) in fixed:
        return base, (last,), name
    return _pattern(base), (*map(int, re.findall(r"\d+", base)), last), name


def _name(layer: Layer, name: str | None) -> None:
    object.__setattr__(layer, GIVEN, name)
