"""What an algorithm offers beyond `Algorithm` to be a link of a `chain`."""

from __future__ import annotations

import tensorflow as tf

from ..framework.algorithm import Algorithm, Tensors, WeightSpec


class Structured(Algorithm):
    """May stand before another: it says which numbers make up the weight, the next how they are stored."""

    @property
    def leads(self) -> bool:
        """Whether it can stand before another as it is configured."""
        return True

    def shapes(self, spec: WeightSpec) -> dict[str, tuple[int, ...]]:
        """The float variables that `settle` gives, by name, with the shapes that they have in training."""
        raise NotImplementedError(f"{type(self).__name__} does not implement shapes(spec)")

    def settle(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """The fewest values that project onto the same weight, bit for bit: what is masked is 0 or cut off.

        Only first axes get shorter. `project` takes what this returns, and it is all that the next algorithm
        stores.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement settle(variables, spec)")

    def resume(self, settled: Tensors, spec: WeightSpec) -> Tensors:
        """Training variables that settle to `settled`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement resume(settled, spec)")


class Elementwise(Algorithm):
    """May stand after another: it has a number of its own for each element of the weight."""

    def value(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        """These numbers as they are trained, before any rounding, by which to choose a mask or a rank."""
        del spec
        return variables["weight"]

    def assign(self, variables: Tensors, weight: tf.Tensor, spec: WeightSpec) -> Tensors:
        """The same variables, but for `weight`: what they have learned besides (steps, priors) stays.

        They project onto it bit for bit, if it is a value that they can project onto, or one with some of its
        elements set to 0. Its first axis may have another length than before.
        """
        del spec
        return {**variables, "weight": weight}


def whole_value(encoded: Tensors, spec: WeightSpec, dtype: str) -> tf.Tensor:
    """The tensor `value` of what stores a number for each element, of the weight's shape.

    Raises:
      ValueError: where there is none, or one of another shape or dtype.
    """
    value = encoded.get("value")
    if value is None or value.dtype != dtype or value.shape != spec.shape:
        held = "none" if value is None else f"{value.dtype.name} of shape {value.shape}"
        raise ValueError(f"{spec.path}: a value, {dtype} of shape {spec.shape}, expected, got {held}.")
    return value
