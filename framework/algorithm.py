"""Defines a compression algorithm: a set of pure functions over one weight.

An algorithm says how one weight tensor is trained, stored and restored. It never sees a layer, a model or a
file. It holds only hyper-parameters, so one instance serves every layer, thread and trial. Subclass
`Algorithm` as a frozen dataclass in one file and register it:

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
from typing import Any, ClassVar

import tensorflow as tf

from .entropy import DECODING_OPS
from .registry import Registry

Tensors = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class WeightSpec:
    """Describes a weight without its values.

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
        """The number of elements."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """Trains, stores and restores one weight; the base of every algorithm.

    The module's docstring shows the smallest algorithm. `tests/conformance` checks for each algorithm and
    layer type that:

    - `decode(encode(v))` equals `project(v)` bit for bit;
    - a higher `penalty` means more bytes out of `encode`;
    - when `trains`, each float variable gets a gradient from `project` or `penalty`;
    - `decode(unpack(encode(v)))` is the same weight;
    - `restore(encode(v))` gives variables that project onto the same weight again.

    Only `init` and `update` are given λ. Everything that follows from it is in the variables, so the other
    functions do not depend on it. λ weighs the rate in bits per weight against the loss, or against a
    distortion if an algorithm has no loss (`algorithms/distortion.py`).

    Class attributes:
      name: set by the registry.
      trains: whether training differs from plain training. Post-training algorithms say False; they need
        only `encode` and `decode`.
      uses_lmbda: whether λ changes the result at all. If not, a sweep runs the algorithm once a seed.
      penalty_in_bits: whether `penalty` estimates the stored bits.
    """

    name: ClassVar[str] = ""
    trains: ClassVar[bool] = False
    uses_lmbda: ClassVar[bool] = True
    penalty_in_bits: ClassVar[bool] = False

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns training variables that project onto (nearly) `weight`, which may be pretrained.

        Without training, these variables are encoded as they are. So a post-training algorithm does its
        work on `weight` here.

        Args:
          weight: values of shape `spec.shape` and dtype `spec.dtype`.
          spec: describes the weight.
          lmbda: λ, at least 0.

        Returns:
          Initial values by name. Each becomes a variable of the layer; float ones are trained.
        """
        del spec, lmbda
        return {"weight": weight}

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns new values of variables that no gradient changes: a mask on a schedule, a new codebook.

        Called eagerly by `training.Updates` at fixed points of a training, including its start and its end.
        The last call sees the weights as they will be stored, averages or the best epoch's included.

        Args:
          variables: their present values.
          progress: how much of the training is done: 0 before its first step, 1 after its last.
          spec: of the weight.
          lmbda: λ, at least 0, without its warm-up.

        Returns:
          New values of the variables that change, each with the variable's shape and dtype.
        """
        del variables, progress, spec, lmbda
        return {}

    def coarser(self, variables: Tensors, factor: float, spec: WeightSpec) -> Tensors:
        """Returns new values of the variables that change where steps become `factor` times as large.

        So that one training gives several sizes: a trained model is encoded anew, with other steps. An
        algorithm without steps does not override this method.

        Args:
          variables: those of a finished training.
          factor: above 0; below 1 for finer steps.
          spec: of the weight.

        Returns:
          As `update`.
        """
        del variables, factor, spec
        return {}

    @property
    def has_steps(self) -> bool:
        """True if `coarser` changes anything."""
        return type(self).coarser is not Algorithm.coarser

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        """Returns the weight that the forward pass uses, of shape `spec.shape` and dtype `spec.dtype`.

        Differentiable with respect to the float variables (straight through, where it rounds).
        """
        del spec
        return variables["weight"]

    def penalty(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor | None:
        """Returns the rate: a float32 scalar summed over the weight, in bits if `penalty_in_bits`.

        An algorithm without a penalty to train with does not override this method, which returns None.
        """
        del variables, spec
        return None

    @property
    def has_penalty(self) -> bool:
        """True if there is a rate to train with."""
        return type(self).penalty is not Algorithm.penalty

    @property
    def lmbda_at_once(self) -> bool:
        """True if λ changes the result of `init`, so that it acts without any training."""
        return self.uses_lmbda and not self.has_penalty

    def in_full(self, spec: WeightSpec) -> str | None:
        """Returns the reason why the algorithm stores such a weight in full; None where it does not.

        So that nobody believes to have compressed a model of which the algorithm takes nothing.
        """
        del spec
        return None

    @property
    def decode_ops(self) -> tuple[str, ...]:
        """Names of operations that `decode` may use in a graph and that TensorFlow Lite lacks.

        By default those of this framework's entropy codes. An algorithm that decodes by other operations
        adds their names.
        """
        return DECODING_OPS

    @property
    def no_graph_decode(self) -> str | None:
        """The reason why `decode` cannot run in a graph, and what to do about it; None if it can.

        A weight can only be decoded where a model is served if `decode` runs in a graph.
        """
        return None

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns the tensors to store, by name: byte strings, integers or floats, in as few bytes as it can.

        Called eagerly. The tensors must hold everything that `decode` needs beyond the spec and the
        algorithm's own hyper-parameters: sizes count the bytes of these tensors.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement encode(variables, spec)")

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        """Returns the weight, of shape `spec.shape` and dtype `spec.dtype`, from the stored tensors alone.

        Must also run inside a graph. Shapes of `encoded` may be taken as known. A runtime that lacks 16-bit
        floats hands over float32 of the same values instead.

        Raises:
          ValueError: eagerly, where the encoded tensors cannot come from `encode`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement decode(encoded, spec)")

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        """Returns the stored tensors without their entropy code: small integers, say, in the narrowest dtype.

        `decode` takes the result as well, and then uses TensorFlow's own operations alone. This is for
        devices where no entropy decoder runs, and for files that are compressed as a whole. Called eagerly.
        By default nothing is entropy coded, and the tensors come back as they are.
        """
        del spec
        return encoded

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        """Returns training variables to continue from a stored weight; by default those of a fresh start."""
        return self.init(self.decode(encoded, spec), spec)


algorithms: Registry[Algorithm] = Registry("algorithm")
"""Every algorithm by name. (`lambdapress.algorithms` is the package that registers ours.)"""


def config_of(algorithm: Algorithm) -> dict[str, Any]:
    """Returns the hyper-parameters of `algorithm` that differ from their defaults, as JSON's types."""
    fields = dataclasses.fields(algorithm)
    values = {field.name: getattr(algorithm, field.name) for field in fields}
    defaults = {field.name: field.default for field in fields}
    return {name: _plain(value) for name, value in values.items() if value != defaults[name]}


def _plain(value: Any) -> Any:
    """Returns a hyper-parameter as a container holds it: an algorithm becomes its name and config."""
    if isinstance(value, Algorithm):
        return [value.name, config_of(value)]
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
