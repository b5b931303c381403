"""Lists the weights of a model, with the path and role of each and all places that hold it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf
from keras.src.utils import generic_utils

from ..algorithm import WeightSpec

Layer = tf.keras.layers.Layer
# Attributes that Keras itself keeps on every layer; they list weights a second time.
_BOOKKEEPING = (set(vars(Layer())) | set(vars(tf.keras.Model()))) | {"_trainable_weights"}
_GAINS = {"gamma", "scale", "gain"}
_OFFSETS = {"beta", "shift"}
GIVEN = "_lambdapress_name"  # attribute of a layer: its name in paths, where that was given


@dataclasses.dataclass(frozen=True)
class Place:
    """Locates a weight in a layer: an attribute and, if that is a container, the keys inside."""

    layer: Layer
    attribute: str
    keys: tuple[str | int, ...] = ()

    @property
    def name(self) -> str:
        """The attribute and the keys, joined by dots."""
        return ".".join([self.attribute, *map(str, self.keys)])


@dataclasses.dataclass(frozen=True)
class Weight:
    """One variable of a model, with all places that hold it (several if weights are tied).

    The shape in `spec` is that of the value; the variable's own may have sizes that are free.

    `places` is empty for a variable that no layer has as an attribute. `trained` says whether the layer made
    the variable to be trained, even if the layer is frozen at present.
    """

    spec: WeightSpec
    variable: tf.Variable
    places: tuple[Place, ...]
    trained: bool


Holdings = Callable[[Layer], Iterable[tuple[Place, Any]]]


def walk(model: Layer) -> Iterator[tuple[str, Layer]]:
    """Yields `(path, layer)` for `model` (path "") and each layer below it, once, depth first.

    A path joins layer names by "/". Names that Keras made up are numbered within their parent (`dense`,
    `dense_1`), not from the start of the process, so that the same code gives the same paths in every
    process. A layer whose name was given (see `forms/names.py`) keeps it.
    """
    seen: set[int] = set()

    def visit(path: str, layer: Layer) -> Iterator[tuple[str, Layer]]:
        seen.add(id(layer))
        yield path, layer
        taken: set[str] = set()
        for child in layer._flatten_layers(recursive=False, include_self=False):
            if id(child) in seen:
                continue
            name = _unique(vars(child).get(GIVEN) or _stable_name(child), taken)
            yield from visit(f"{path}/{name}" if path else name, child)

    return visit("", model)


def _stable_name(layer: Layer) -> str:
    kind = getattr(type(layer), "_lambdapress_plain", type(layer)).__name__
    kind = "Model" if kind == "Functional" else kind  # as Keras itself names them
    snake = generic_utils.to_snake_case(kind)
    # `Bidirectional` adds a prefix to a name that Keras made up.
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
    """Yields each place in which `layer` holds a variable, with the variable.

    A place is an attribute, or a position in one that is a list, tuple or dictionary, at any depth.
    """
    for attribute, value in list(vars(layer).items()):
        if attribute in _BOOKKEEPING or attribute.startswith(("_self_", "_obj_", "_lambdapress")):
            continue
        if isinstance(value, tf.Variable):
            yield Place(layer, attribute), value
        elif isinstance(value, (list, tuple, dict)):
            for keys, leaf in flatten(value):
                if isinstance(leaf, tf.Variable):
                    yield Place(layer, attribute, keys), leaf


def flatten(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yields each leaf of nested containers, with the keys that lead to it."""
    if not isinstance(value, (list, tuple, dict)):
        yield (), value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        for keys, leaf in flatten(item):
            yield (key, *keys), leaf


def weights_of(model: Layer, held: Holdings = places_of) -> list[Weight]:
    """Lists the variables of a model, each once, in depth-first order, with unique paths.

    Args:
      model: whose variables; for one that is not plain, `held` is `held_by` of `computed_weights.py`.
      held: yields what a layer holds: variables, and anything else that takes a path.
    """
    return [
        Weight(_spec(path, variable, places), variable, tuple(places), trained)
        for path, variable, places, trained in named_in(model, held)
        if isinstance(variable, tf.Variable)
    ]


def named_in(model: Layer, held: Holdings) -> list[tuple[str, Any, list[Place], bool]]:
    """Lists what a model's layers hold, each once: its unique path, itself, its places, if it is trained."""
    listed: dict[int, tuple[str, Any, list[Place], bool]] = {}
    taken: set[str] = set()
    for path, layer in walk(model):
        trained = {id(v) for v in layer._trainable_weights}
        names = {id(v): v.name.partition(":")[0].rpartition("/")[2] for v in _own(layer)}
        layer_places: dict[int, list[Place]] = {}
        variables = {id(v): v for v in _own(layer)}
        for place, variable in held(layer):
            if id(variable) in names or id(variable) in listed or not isinstance(variable, tf.Variable):
                layer_places.setdefault(id(variable), []).append(place)
                variables[id(variable)] = variable
        for key, variable in variables.items():
            places = layer_places.get(key, [])
            if key in listed:
                listed[key][2].extend(places)
                continue
            name = places[0].name if places else names[key]
            full = _unique(f"{path}/{name}" if path else name, taken)
            listed[key] = (full, variable, places, key in trained)
    return list(listed.values())


def _own(layer: Layer) -> list[tf.Variable]:
    """Lists the variables of a layer itself, and of each `tf.Module` in it that is not a layer."""
    modules = layer._flatten_modules(recursive=False, include_self=False)
    of_modules = [v for module in modules if not isinstance(module, Layer) for v in module.variables]
    own = [*layer._trainable_weights, *layer._non_trainable_weights]
    # Keras lists handlers of tables there as well.
    return [*(weight for weight in own if isinstance(weight, tf.Variable)), *of_modules]


def _spec(path: str, variable: tf.Variable, places: list[Place]) -> WeightSpec:
    known = variable.shape if variable.shape.is_fully_defined() else variable.read_value().shape
    shape: tuple[int, ...] = tuple(known.as_list())  # pyright: ignore[reportAssignmentType]
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
    """Returns the role of a weight, by the name of its attribute if that tells, or else by its rank."""
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
    """Returns how many leading axes of a kernel are spatial: those that its layer's `kernel_size` gives."""
    size = getattr(layer, "kernel_size", None)
    if len(shape) < 3 or size is None:
        return 0
    sizes = (int(size),) * (len(shape) - 2) if isinstance(size, int) else tuple(size)
    return len(sizes) if len(sizes) < len(shape) and shape[: len(sizes)] == sizes else 0
