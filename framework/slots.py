"""What a computed weight is: a slot, kept by the layer that owns its variables, and references to it.

Every place that holds the weight (several, where weights are tied) has a `WeightRef` to the one `Slot`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Callable, ClassVar, Optional

import tensorflow as tf
from keras.src.mixed_precision import autocast_variable

from .algorithm import Algorithm, Tensors, WeightSpec
from .call_scope import once_per_call
from .clone import layers_of
from .contract import check_penalty
from .weights import Layer

SLOTS = "_lambdapress_slots"  # on an owner: {path: Slot}
PLACES = "_lambdapress_places"  # on each holder: {attribute: WeightRef, or a container with some inside}


@dataclasses.dataclass(frozen=True, eq=False)
class Slot:
    """One computed weight: whose variables, and how the weight comes from them.

    Attributes:
      owner: the layer whose attributes the variables are.
      names: the algorithm's name of a tensor → the attribute of the owner that holds it.
      plain: properties of the variable that stood here, to make it again.
      autocast: whether Keras would cast the weight to the layer's compute dtype.
    """

    spec: WeightSpec
    algorithm: Algorithm
    owner: Layer
    names: Mapping[str, str]
    plain: Mapping[str, Any]
    autocast: bool
    form: ClassVar[str]

    def tensors(self) -> Tensors:
        """The algorithm's variables as tensors, by its names for them."""
        return {name: tf.convert_to_tensor(v) for name, v in self.variables().items()}

    def variables(self) -> dict[str, tf.Variable]:
        return {name: getattr(self.owner, attribute) for name, attribute in self.names.items()}

    def compute(self) -> tf.Tensor:
        raise NotImplementedError

    def value(self) -> tf.Tensor:
        """The weight, computed once per model call and graph, in the dtype that the layer computes in."""
        value = once_per_call(self, self.compute)
        dtype = getattr(autocast_variable._autocast_dtype, "dtype", None)
        return tf.cast(value, dtype) if self.autocast and dtype is not None else value


class Projected(Slot):
    """In a compressible model: trained variables, projected onto the weight."""

    form = "compressible"

    def compute(self) -> tf.Tensor:
        return tf.ensure_shape(self.algorithm.project(self.tensors(), self.spec), self.spec.shape)

    def penalty(self) -> Optional[tf.Tensor]:
        penalty = self.algorithm.penalty(self.tensors(), self.spec)
        return None if penalty is None else check_penalty(self.algorithm, self.spec, penalty)


class Stored(Slot):
    """In a compressed model: encoded tensors, decoded each time that a call needs the weight."""

    form = "compressed"

    def compute(self) -> tf.Tensor:
        return tf.ensure_shape(self.algorithm.decode(self.tensors(), self.spec), self.spec.shape)


class StoredOnce(Stored):
    """As `Stored`, but what the first call decodes is kept beside the encoded tensors."""

    def compute(self) -> tf.Tensor:
        kept = vars(self.owner).setdefault("_lambdapress_decoded", _Kept())
        if self.spec.path not in kept:
            with tf.init_scope():
                kept[self.spec.path] = super().compute()
        return kept[self.spec.path]


class _Kept(dict):
    """Decoded weights of one layer; a clone decodes its own."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Kept:
        return _Kept()


@dataclasses.dataclass(frozen=True, eq=False)
class WeightRef:
    """Stands for a computed weight wherever its variable stood."""

    owner: Layer
    path: str

    @property
    def slot(self) -> Slot:
        return vars(self.owner)[SLOTS][self.path]


def slots_of(model: Layer) -> list[Slot]:
    """Every computed weight of a model, once, in depth-first order."""
    return [slot for layer in layers_of(model) for slot in vars(layer).get(SLOTS, {}).values()]


def slot_at(layer: Layer, attribute: str) -> Optional[Slot]:
    """The computed weight that a layer has as an attribute, if it has one there."""
    reference = vars(layer).get(PLACES, {}).get(attribute)
    return reference.slot if is_reference(reference) else None


def map_leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    """A copy of nested containers, as plain lists and dictionaries, with a function of each leaf."""
    if isinstance(value, dict):
        return {key: map_leaves(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_leaves(item, function) for item in value]
    return function(value)


def is_reference(leaf: Any) -> bool:
    """Whether what a place holds is a computed weight."""
    return isinstance(leaf, WeightRef)
