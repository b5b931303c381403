"""Defines what an algorithm needs beyond `Algorithm` to be a link of a `chain`."""

from __future__ import annotations

import tensorflow as tf

from ..framework.algorithm import Algorithm, Tensors, WeightSpec
from .rounding import is_stored_as


class Structured(Algorithm):
    """Says which numbers make up a weight; may come first in a chain, whose second algorithm stores them."""

    @property
    def leads(self) -> bool:
        """True if the algorithm can come first in a chain as it is configured."""
        return True

    def shapes(self, spec: WeightSpec) -> dict[str, tuple[int, ...]]:
        """Returns the training shapes of the float variables that `settle` gives, by name."""
        raise NotImplementedError(f"{type(self).__name__} does not implement shapes(spec)")

    def settle(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns the fewest values that project onto the same weight, bit for bit.

        Masked values are 0 or cut off; only first axes get shorter. `project` accepts the result, and the
        next algorithm stores nothing else.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement settle(variables, spec)")

    def resume(self, settled: Tensors, spec: WeightSpec) -> Tensors:
        """Returns training variables that settle to `settled`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement resume(settled, spec)")


class Elementwise(Algorithm):
    """Keeps a number for each element of a weight; may come second in a chain."""

    def value(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        """Returns these numbers as they are trained, before any rounding, for choosing a mask or a rank."""
        del spec
        return variables["weight"]

    def assign(self, variables: Tensors, weight: tf.Tensor, spec: WeightSpec) -> Tensors:
        """Returns the variables with the numbers of `weight`; other learned variables (steps, priors) stay.

        They project onto `weight` bit for bit if it is a value that they can project onto, or such a value
        with some elements set to 0. The first axis of `weight` may have another length than before.
        """
        del spec
        return {**variables, "weight": weight}


def whole_value(encoded: Tensors, spec: WeightSpec, dtype: str) -> tf.Tensor:
    """Returns the stored tensor `value`, which has a number for each element, in the weight's shape.

    Raises:
      ValueError: where there is no `value`, or it has another shape or dtype.
    """
    value = encoded.get("value")
    if value is None or not is_stored_as(value, dtype) or value.shape != spec.shape:
        actual = "none" if value is None else f"{value.dtype.name} of shape {value.shape}"
        raise ValueError(f"{spec.path}: a value, {dtype} of shape {spec.shape}, expected, got {actual}.")
    return value
