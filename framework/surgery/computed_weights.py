"""Defines a computed weight: one that an algorithm computes from its variables.

The layer that owns the variables keeps the `ComputedWeight`. Every place that holds the weight (several if
weights are tied) has a `WeightRef` to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import tensorflow as tf
from keras.src.mixed_precision import autocast_variable

from ..algorithm import Algorithm, Tensors, WeightSpec
from ..algorithm_checks import check_penalty
from .clone import layers_of
from .once_per_call import once_per_call
from .weights import Layer, Place, flatten, named_in, places_of

COMPUTED = "_lambdapress_computed_weights"  # on an owner: {key: ComputedWeight}
PLACES = "_lambdapress_places"  # on each holder: {attribute: WeightRef, or a container with some inside}


@dataclasses.dataclass(frozen=True, eq=False)
class ComputedWeight:
    """Computes a weight of a model from an algorithm's variables.

    Attributes:
      spec: describes the weight.
      algorithm: computes the weight.
      owner: the layer whose attributes the variables are.
      key: the weight's name among those of its owner; unlike its path, the same in every model.
      names: the algorithm's name of a tensor → the attribute of the owner that holds it.
      plain: properties of the replaced variable, to make it again.
      autocast: whether Keras would cast the weight to the layer's compute dtype.
      form: of models with such weights: `compressible` or `compressed`; a class attribute.
    """

    spec: WeightSpec
    algorithm: Algorithm
    owner: Layer
    key: str
    names: Mapping[str, str]
    plain: Mapping[str, Any]
    autocast: bool
    form: ClassVar[str]

    def tensors(self) -> Tensors:
        """Returns the algorithm's variables as tensors, by the algorithm's names."""
        return {name: tf.convert_to_tensor(v) for name, v in self.variables().items()}

    def variables(self) -> dict[str, tf.Variable]:
        return {name: getattr(self.owner, attribute) for name, attribute in self.names.items()}

    def compute(self) -> tf.Tensor:
        raise NotImplementedError

    def value(self) -> tf.Tensor:
        """Returns the weight in the layer's compute dtype; computes it once per model call and graph."""
        value = once_per_call(self, self.compute)
        dtype = getattr(autocast_variable._autocast_dtype, "dtype", None)
        return tf.cast(value, dtype) if self.autocast and dtype is not None else value


class Projected(ComputedWeight):
    """Projects trained variables onto the weight, in a compressible model."""

    form = "compressible"

    def compute(self) -> tf.Tensor:
        return tf.ensure_shape(self.algorithm.project(self.tensors(), self.spec), self.spec.shape)

    def penalty(self) -> tf.Tensor | None:
        penalty = self.algorithm.penalty(self.tensors(), self.spec)
        return None if penalty is None else check_penalty(self.algorithm, self.spec, penalty)


class Stored(ComputedWeight):
    """Decodes encoded tensors each time that a call needs the weight, in a compressed model."""

    form = "compressed"

    def compute(self) -> tf.Tensor:
        return tf.ensure_shape(self.algorithm.decode(self.tensors(), self.spec), self.spec.shape)


class StoredOnce(Stored):
    """Decodes like `Stored`, but keeps what the first call decodes beside the encoded tensors."""

    def compute(self) -> tf.Tensor:
        kept = vars(self.owner).setdefault("_lambdapress_decoded", _Kept())
        if self.key not in kept:
            with tf.init_scope():
                kept[self.key] = super().compute()
        return kept[self.key]


class _Kept(dict):
    """Holds the decoded weights of one layer; a copy is empty, so that a clone decodes its own."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Kept:
        return _Kept()


@dataclasses.dataclass(frozen=True, eq=False)
class WeightRef:
    """Stands for a computed weight in each place that held the weight's variable."""

    owner: Layer
    key: str

    @property
    def computed(self) -> ComputedWeight:
        return vars(self.owner)[COMPUTED][self.key]


def computed_weights_of(model: Layer) -> list[ComputedWeight]:
    """Lists the computed weights of a model, each once, in depth-first order.

    Their paths are those in this model, also if they were computed in a model that is a layer of it.
    """
    stored = [computed for layer in layers_of(model) for computed in vars(layer).get(COMPUTED, {}).values()]
    paths = {id(held): path for path, held, _, _ in named_in(model, held_by)} if stored else {}
    return [_renamed(computed, paths[id(computed)]) for computed in stored]


def name_computed_weights(model: Layer) -> None:
    """Gives the computed weights of a model their paths in this model, for good."""
    for computed in computed_weights_of(model):
        vars(computed.owner)[COMPUTED][computed.key] = computed


def _renamed(computed: ComputedWeight, path: str) -> ComputedWeight:
    if computed.spec.path == path:
        return computed
    return dataclasses.replace(computed, spec=dataclasses.replace(computed.spec, path=path))


def held_by(layer: Layer) -> Iterator[tuple[Place, Any]]:
    """Yields each place in which a layer holds a variable or a computed weight, with what it holds."""
    yield from places_of(layer)
    for attribute, content in vars(layer).get(PLACES, {}).items():
        for keys, leaf in flatten(content):
            if is_reference(leaf):
                yield Place(layer, attribute, keys), leaf.computed


def computed_weight_at(layer: Layer, attribute: str) -> ComputedWeight | None:
    """Returns the computed weight that a layer has as an attribute, or None."""
    reference = vars(layer).get(PLACES, {}).get(attribute)
    return reference.computed if is_reference(reference) else None


def map_leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    """Applies a function to each leaf of nested containers; returns plain lists and dictionaries."""
    if isinstance(value, dict):
        return {key: map_leaves(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_leaves(item, function) for item in value]
    return function(value)


def is_reference(leaf: Any) -> bool:
    """Tells whether a leaf of a place's value stands for a computed weight."""
    return isinstance(leaf, WeightRef)
