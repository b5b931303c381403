"""What an algorithm offers beyond `Algorithm` to be a link of a `chain`."""

from __future__ import annotations

import tensorflow as tf

from ..framework.algorithm import Algorithm, Tensors, WeightSpec


class Structured(Algorithm):
    """May stand before another: it says which numbers make up the weight, the next how they are stored."""

    def shapes(self, spec: WeightSpec) -> dict[str, tuple[int, ...]]:
        """The float variables that `settle` gives, by name, with the shapes that they have in training."""
        raise NotImplementedError(f"{type(self).__name__} does not implement shapes(spec)")

    def settle(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """The fewest values that project onto the same weight, bit for bit: what is masked is 0 or cut off.

        Only first axes get shorter. `project` takes what this returns. Float tensors are what the next
        algorithm stores; integers are stored as they are.
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
