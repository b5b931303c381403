"""What a compression algorithm is: pure functions over one weight.

An algorithm says how one weight tensor is trained, stored and restored. It never sees a layer,
a model or a file, and it holds nothing but hyper-parameters, so one instance serves every layer,
thread and trial. Subclass `Algorithm` as a frozen dataclass in one file and register it:

    @algorithms.register("my_half")
    @dataclasses.dataclass(frozen=True)
    class MyHalf(Algorithm):
        '''Stores each weight in half precision.'''

        def encode(self, variables, spec):
            return {"value": tf.cast(variables["weight"], tf.float16)}

        def decode(self, encoded, spec):
            return tf.cast(encoded["value"], spec.dtype)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar, Optional

import tensorflow as tf

from .registry import Registry

Tensors = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class WeightSpec:
    """What is known of a weight besides its values.

    Attributes:
      path: unique within its model and the same in every process, such as `backbone/conv2d_1/kernel`.
      shape: of the weight, fully known.
      dtype: name of the dtype in which the plain model keeps the weight, such as `float32`.
      role: `kernel`, `recurrent_kernel`, `depthwise_kernel`, `embedding`, `bias`, `gain` or
        `offset` (a normalisation's scale and shift).
      spatial: how many leading axes of a kernel are spatial (2 for Conv2D, 0 for Dense).
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    role: str
    spatial: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """Base of every algorithm; see the module's docstring for the smallest one.

    What must hold, and what `tests/conformance` checks for each algorithm and layer type:

    - `decode(encode(v))` equals `project(v)` bit for bit;
    - a higher `penalty` means more bytes out of `encode`;
    - when `trains`, each float variable gets a gradient from `project` or `penalty`;
    - `decode(unpack(encode(v)))` is the same weight;
    - `restore(encode(v))` gives variables that project onto the same weight again.

    λ reaches `init` and `update` alone: what follows from it is in the variables, so that the other
    functions do not depend on it. It weighs the rate in bits per weight against the loss; what has no loss
    to go by puts a distortion in its place (`algorithms/distortion.py`).

    Class attributes:
      name: set by the registry.
      trains: whether training differs from plain training. Post-training algorithms say False; they need
        `encode` and `decode` alone.
      uses_lmbda: whether λ changes the result at all. A sweep runs those that say False once a seed.
      penalty_in_bits: whether `penalty` estimates the stored bits.
    """

    name: ClassVar[str] = ""
    trains: ClassVar[bool] = False
    uses_lmbda: ClassVar[bool] = True
    penalty_in_bits: ClassVar[bool] = False

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Training variables that project onto (nearly) `weight`, which may be pretrained.

        What is encoded without any training comes from here, so a post-training algorithm has done its
        work on `weight` when this returns.

        Args:
          weight: values of shape `spec.shape` and dtype `spec.dtype`.
          spec: what else is known of the weight.
          lmbda: λ, at least 0.

        Returns:
          Initial values by name. Each becomes a variable of the layer; float ones are trained.
        """
        del spec, lmbda
        return {"weight": weight}

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """What changes outside of the gradient: masks on a schedule, a codebook fitted anew.

        Called eagerly by `training.Updates`, at fixed moments of a training, at both of its ends among them.

        Args:
          variables: at present.
          progress: how much of the training is done: 0 before its first step, 1 after its last.
          spec: of the weight.
          lmbda: λ, at least 0, without its warm-up.

        Returns:
          New values of those variables that change, each of the shape and dtype that it has.
        """
        del variables, progress, spec, lmbda
        return {}

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        """The weight that the forward pass uses, of shape `spec.shape` and dtype `spec.dtype`.

        Differentiable with respect to the float variables (straight through, where it rounds).
        """
        del spec
        return variables["weight"]

    def penalty(self, variables: Tensors, spec: WeightSpec) -> Optional[tf.Tensor]:
        """The rate: a float32 scalar summed over the weight, in bits if `penalty_in_bits`.

        An algorithm that has no penalty to train with leaves this method alone: None.
        """
        del variables, spec
        return None

    @property
    def has_penalty(self) -> bool:
        """Whether there is a rate to train with."""
        return type(self).penalty is not Algorithm.penalty

    @property
    def lmbda_at_once(self) -> bool:
        """Whether λ changes what `init` makes of a weight, so that it acts without any training."""
        return self.uses_lmbda and not self.has_penalty

    @property
    def graph_decode(self) -> bool:
        """Whether `decode` is made of TensorFlow operations in a graph, too. Only then can it be exported."""
        return True

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """What is stored, by name: byte strings, integers, or floats, as few bytes as can be.

        Called eagerly. Nothing that `decode` needs beyond the spec and the algorithm's own
        hyper-parameters may be left out: the bytes of these tensors are what a size counts.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement encode(variables, spec)")

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        """The weight, of shape `spec.shape` and dtype `spec.dtype`, from what is stored alone.

        Must also run inside a graph. Shapes of `encoded` may be taken as known.

        Raises:
          ValueError: eagerly, where the encoded tensors cannot come from `encode`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement decode(encoded, spec)")

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        """What `encode` stored, its entropy code undone: small integers, say, in the narrowest dtype.

        `decode` takes this as well, and then runs on TensorFlow's own operations alone. For devices where no
        entropy decoder runs, and files that are compressed as a whole. Called eagerly. By default nothing is
        coded.
        """
        del spec
        return encoded

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        """Training variables to go on from a stored weight; by default a fresh start from it."""
        return self.init(self.decode(encoded, spec), spec)


algorithms: Registry[Algorithm] = Registry("algorithm")
