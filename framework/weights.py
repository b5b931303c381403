"""The weights of a model: what each is called, what it is for, and every place that holds it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, Union

import tensorflow as tf
from keras.src.utils import generic_utils

from .algorithm import WeightSpec

Layer = tf.keras.layers.Layer
# What Keras itself keeps on every layer: bookkeeping, in which weights stand a second time.
_BOOKKEEPING = (set(vars(Layer())) | set(vars(tf.keras.Model()))) | {"_trainable_weights"}
_GAINS = {"gamma", "scale", "gain"}
_OFFSETS = {"beta", "shift"}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a layer holds a weight: an attribute and, if that is a container, the keys inside."""

    layer: Layer
    attribute: str
    keys: tuple[Union[str, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Weight:
    """One variable of a model, with all the places that hold it (several where weights are tied).

    `places` is empty for a variable that no layer has as an attribute. `trained` says whether the
    layer asked for it to be trained, whether or not the layer is frozen at present.
    """

    spec: WeightSpec
    variable: tf.Variable
    places: tuple[Place, ...]
    trained: bool


def walk(model: Layer) -> Iterator[tuple[str, Layer]]:
    """Yields `(path, layer)` for `model` (path "") and each layer below it, once, depth first.

    A path joins layer names by "/". Names that Keras made up count from the first of their kind in
    the same parent (`dense`, `dense_1`), not from the start of the process, so that the same code
    gives the same paths in every process.
    """
    seen: set[int] = set()

    def visit(path: str, layer: Layer) -> Iterator[tuple[str, Layer]]:
        seen.add(id(layer))
        yield path, layer
        taken: set[str] = set()
        for child in layer._flatten_layers(recursive=False, include_self=False):
            if id(child) in seen:
                continue
            name = _unique(_stable_name(child), taken)
            yield from visit(f"{path}/{name}" if path else name, child)

    return visit("", model)


def _stable_name(layer: Layer) -> str:
    kind = getattr(type(layer), "_lambdapress_plain", type(layer)).__name__
    kind = "Model" if kind == "Functional" else kind  # as Keras itself names them
    snake = generic_utils.to_snake_case(kind)
    # `Bidirectional` puts a prefix before a name that Keras made up.
    made_up = re.fullmatch(rf"((?:forward_|backward_)?{re.escape(snake)})(_\d+)?", layer.name)
    return made_up[1] if made_up else layer.name


def _unique(name: str, taken: set[str]) -> str:
    unique, count = name, 0
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    taken.add(unique)
    return unique


def places_of(layer: Layer) -> Iterator[tuple[Place, tf.Variable]]:
    """Each attribute of `layer` that is a variable, or a list, tuple or dictionary with one inside."""
    for attribute, value in list(vars(layer).items()):
        if attribute in _BOOKKEEPING or attribute.startswith(("_self_", "_obj_", "_lambdapress")):
            continue
        if isinstance(value, tf.Variable):
            yield Place(layer, attribute), value
        elif isinstance(value, (list, tuple, dict)):
            for keys, leaf in _flatten(value):
                if isinstance(leaf, tf.Variable):
                    yield Place(layer, attribute, keys), leaf


def _flatten(value: Any) -> Iterator[tuple[tuple[Union[str, int], ...], Any]]:
    if not isinstance(value, (list, tuple, dict)):
        yield (), value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        for keys, leaf in _flatten(item):
            yield (key, *keys), leaf


def weights_of(model: Layer) -> list[Weight]:
    """Every variable of a plain model once, in depth-first order, with unique paths."""
    found: dict[int, tuple[str, tf.Variable, list[Place], bool]] = {}
    taken: set[str] = set()
    for path, layer in walk(model):
        trained = {id(v) for v in layer._trainable_weights}
        names = {id(v): v.name.partition(":")[0].rpartition("/")[2] for v in _own(layer)}
        held: dict[int, list[Place]] = {}
        variables = {id(v): v for v in _own(layer)}
        for place, variable in places_of(layer):
            if id(variable) in names or id(variable) in found:
                held.setdefault(id(variable), []).append(place)
                variables[id(variable)] = variable
        for key, variable in variables.items():
            places = held.get(key, [])
            if key in found:
                found[key][2].extend(places)
                continue
            name = ".".join([places[0].attribute, *map(str, places[0].keys)]) if places else names[key]
            full = _unique(f"{path}/{name}" if path else name, taken)
            found[key] = (full, variable, places, key in trained)
    return [
        Weight(_spec(path, variable, places), variable, tuple(places), trained)
        for path, variable, places, trained in found.values()
    ]


def _own(layer: Layer) -> list[tf.Variable]:
    """The variables of a layer, and of what it holds that is a `tf.Module` but no layer."""
    modules = layer._flatten_modules(recursive=False, include_self=False)
    of_modules = [v for module in modules if not isinstance(module, Layer) for v in module.variables]
    return [*layer._trainable_weights, *layer._non_trainable_weights, *of_modules]


def _spec(path: str, variable: tf.Variable, places: list[Place]) -> WeightSpec:
    shape: tuple[int, ...] = tuple(variable.shape.as_list())  # pyright: ignore[reportAssignmentType]
    attribute = path.rpartition("/")[2].lower().strip("_")
    layer = places[0].layer if places else None
    return WeightSpec(
        path=path,
        shape=shape,
        dtype=tf.as_dtype(variable.dtype).name,
        role=_role(attribute, len(shape)),
        spatial=_spatial(layer, shape),
    )


def _role(attribute: str, rank: int) -> str:
    """What a weight is for, by the name of its attribute where that says it, or else by its rank."""
    words = set(re.split(r"[_.]", attribute))
    if words & _GAINS:
        return "gain"
    if words & _OFFSETS:
        return "offset"
    if "bias" in words or "biases" in words:
        return "bias"
    if any(word.startswith("embedding") for word in words):
        return "embedding"
    if "recurrent" in words:
        return "recurrent_kernel"
    if "depthwise" in words:
        return "depthwise_kernel"
    return "kernel" if rank >= 2 else "bias"


def _spatial(layer: Any, shape: tuple[int, ...]) -> int:
    """A convolution's kernel begins with the sizes that its layer calls `kernel_size`."""
    size = getattr(layer, "kernel_size", None)
    if len(shape) < 3 or size is None:
        return 0
    sizes = (int(size),) * (len(shape) - 2) if isinstance(size, int) else tuple(size)
    return len(sizes) if len(sizes) < len(shape) and shape[: len(sizes)] == sizes else 0
