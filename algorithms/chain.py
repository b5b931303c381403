"""Two algorithms, one after the other, on the same weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import gin
import tensorflow as tf

from ..framework.algorithm import Algorithm, Tensors, WeightSpec, algorithms
from ..framework.registry import near_misses
from .links import Elementwise, Structured

_SEPARATOR = "__"  # between a tensor of the first algorithm and what the second makes of it: weight__latent
_SHAPE = "shape"


@algorithms.register("chain")
@dataclasses.dataclass(frozen=True)
class Chain(Algorithm):
    """One after the other on the same weight, such as pruning and epr, or low_rank and uniform.

    The first says which numbers make up the weight (survivors, factors, tables). Each tensor of them is to
    the second what a weight is to it alone: trained through both, and stored as the second stores it. What
    the first masks is 0 to the second. λ reaches both and means to each what it means to it alone; the
    penalty is the second's.

    To the second a tensor has no spatial axes, since what the first leaves of a kernel may have none: `epr`
    then has one step a tensor and no Fourier transform, under which zeros would not stay zeros. The penalty
    counts each number that is trained, those that the first masks or cuts off at present among them: more
    than the stored bits.

    Attributes:
      algorithms: two. Each is a registered name, built with what gin binds for it, in the scope `chain` at
        first (`chain/pruning.value_bits = 6`); or `[name, {hyper-parameter: value}]`, which is the class with
        these alone, whatever gin binds, its own gin file included; or an algorithm. The first is one that
        says which numbers make up a weight (`links.Structured`), the second one that has a number for each
        element (`links.Elementwise`).
    """

    algorithms: Sequence[Any] = ("pruning", "epr")

    def __post_init__(self):
        given = self.algorithms
        if not isinstance(given, (list, tuple)) or len(given) != 2:
            raise ValueError(f"algorithms must be a list of two, got {given!r}.")
        first, second = _build(given[0], Structured, "first"), _build(given[1], Elementwise, "second")
        if not first.leads:
            raise ValueError(f"algorithms: {first!r} cannot come first as it is configured.")
        object.__setattr__(self, "algorithms", (first, second))

    @property
    def trains(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(link.trains for link in self.algorithms)

    @property
    def has_penalty(self) -> bool:
        return self._second.has_penalty

    @property
    def lmbda_at_once(self) -> bool:
        return any(link.lmbda_at_once for link in self.algorithms)

    @property
    def graph_decode(self) -> bool:
        return all(link.graph_decode for link in self.algorithms)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """The first's variables, with the second's in the place of those that it is to store."""
        outer = self._first.init(weight, spec, lmbda)
        settled = self._first.settle(outer, spec)
        variables = {}
        for name, value in outer.items():
            if name not in self._first.shapes(spec):
                variables[name] = value
                continue
            # What the second finds besides the values (a step) is to suit what will be stored.
            inner = self._second.init(settled[name], _part(spec, name, settled[name]), lmbda)
            variables.update(_prefixed(name, self._second.assign(inner, value, _part(spec, name, value))))
        return variables

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        changed = {}
        # By the numbers that are trained: of those that round to 0, some are on their way.
        outer = self._outer(variables, spec, self._second.value)
        for name, value in self._first.update(outer, progress, spec, lmbda).items():
            if name in self._first.shapes(spec):
                inner = self._second.assign(_inner(variables, name), value, _part(spec, name, value))
                changed.update(_prefixed(name, inner))
            else:
                changed[name] = value
        now = {**variables, **changed}
        # Not what the second has rounded already: of that it would choose another step.
        for name, (inner, part) in self._settled(now, spec, self._second.value).items():
            new = _prefixed(name, self._second.update(inner, progress, part, lmbda))
            # Not the values themselves, of which the first may have cut some off.
            changed.update({key: value for key, value in new.items() if value.shape == variables[key].shape})
        return changed

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        return self._first.project(self._outer(variables, spec), spec)

    def penalty(self, variables: Tensors, spec: WeightSpec) -> Optional[tf.Tensor]:
        """The second's, over all of its tensors; None where it has none."""
        if not self.has_penalty:
            return None
        parts = {name: _part(spec, name, shape=shape) for name, shape in self._first.shapes(spec).items()}
        penalties: Any = [self._second.penalty(_inner(variables, n), part) for n, part in parts.items()]
        return tf.add_n(penalties)

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """What the second stores of each tensor (`weight__code`), and the shape of one that has another.

        A shape is that of a tensor without elements: in a graph only shapes are known.
        """
        encoded = {}
        for name, (inner, part) in self._settled(variables, spec).items():
            encoded.update(_prefixed(name, self._second.encode(inner, part)))
            if part.shape != spec.shape:
                encoded[f"{name}{_SEPARATOR}{_SHAPE}"] = tf.zeros([*part.shape, 0], tf.uint8)
        return encoded

    def unpack(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        unpacked = {}
        for name, (tensors, part) in self._parts(encoded, spec).items():
            unpacked.update(_prefixed(name, self._second.unpack(tensors, part)))
            shape = f"{name}{_SEPARATOR}{_SHAPE}"
            unpacked.update({shape: encoded[shape]} if shape in encoded else {})
        return unpacked

    def decode(self, encoded: Tensors, spec: WeightSpec) -> tf.Tensor:
        _, settled = self._stored(encoded, spec)
        return self._first.project(settled, spec)

    def restore(self, encoded: Tensors, spec: WeightSpec) -> Tensors:
        stored, settled = self._stored(encoded, spec)
        variables = dict(self._first.resume(settled, spec))
        for name, (tensors, part) in stored.items():
            value = variables.pop(name)
            inner = self._second.assign(self._second.restore(tensors, part), value, _part(spec, name, value))
            variables.update(_prefixed(name, inner))
        return variables

    @property
    def _first(self) -> Any:
        return self.algorithms[0]

    @property
    def _second(self) -> Any:
        return self.algorithms[1]

    def _outer(
        self, variables: Tensors, spec: WeightSpec, of: Optional[Callable[..., tf.Tensor]] = None
    ) -> dict[str, tf.Tensor]:
        """The first's variables, by the second's projection or another function `of` its variables."""
        function = of or self._second.project
        outer = {name: value for name, value in variables.items() if _SEPARATOR not in name}
        for name, shape in self._first.shapes(spec).items():
            outer[name] = function(_inner(variables, name), _part(spec, name, shape=shape))
        return outer

    def _settled(
        self, variables: Tensors, spec: WeightSpec, of: Optional[Callable[..., tf.Tensor]] = None
    ) -> dict[str, Any]:
        """What there is to store, by name: the second's variables and the tensor's spec; see `_outer`."""
        parts = {}
        for name, value in self._first.settle(self._outer(variables, spec, of), spec).items():
            part = _part(spec, name, value)
            parts[name] = self._second.assign(_inner(variables, name), value, part), part
        return parts

    def _stored(self, encoded: Tensors, spec: WeightSpec) -> tuple[dict[str, Any], dict[str, tf.Tensor]]:
        """By name what the second has stored, and the tensor's spec; and the first's settled variables."""
        stored = self._parts(encoded, spec)
        return stored, {name: self._second.decode(tensors, part) for name, (tensors, part) in stored.items()}

    def _parts(self, encoded: Tensors, spec: WeightSpec) -> dict[str, Any]:
        """By name what the second has stored, and the tensor's spec."""
        stored, shapes = {}, self._first.shapes(spec)
        foreign = [name for name in encoded if name.partition(_SEPARATOR)[0] not in shapes]
        if foreign:
            raise ValueError(f"{spec.path} is made of {', '.join(shapes)}, not of {', '.join(foreign)}.")
        for name, most in shapes.items():
            tensors = _inner(encoded, name)
            empty = tensors.pop(_SHAPE, None)
            shape = spec.shape if empty is None else _shape(empty)[:-1]
            cut = len(shape) == len(most) > 0 and shape[1:] == most[1:] and 1 <= shape[0] < most[0]
            if shape != most and not cut:
                raise ValueError(f"{name} has the shape {shape} where {most} is the most there can be.")
            part = _part(spec, name, shape=shape)
            stored[name] = tensors, part
        return stored


def _build(link: Any, kind: type, place: str) -> Any:
    """The algorithm that a link names or is, which must be of a kind."""
    given: Mapping[str, Any] = {}
    if isinstance(link, (list, tuple)) and len(link) == 2 and isinstance(link[1], Mapping):
        name, given = link
    else:
        name = link
    if not isinstance(name, (str, Algorithm)):
        raise ValueError(f"algorithms: a name, or [name, hyper-parameters], is expected, got {link!r}.")
    cls = algorithms.get(name) if isinstance(name, str) else type(name)
    if not issubclass(cls, kind):  # before it is built: a chain in a chain would build chains for ever
        raise ValueError(f"algorithms: {cls.name!r} cannot come {place}: {_fitting(kind)} can.")
    if isinstance(name, Algorithm):
        return name
    known = [field.name for field in dataclasses.fields(cls)]
    for parameter in given:
        if parameter not in known:
            near = near_misses(parameter, known) or known
            raise ValueError(f"algorithms: {name!r} has no {parameter!r}; did you mean {' or '.join(near)}?")
    try:
        if link is not name:
            return cls(**given)
        with gin.config_scope("chain"):
            return algorithms.build(name)
    except (TypeError, ValueError) as error:
        message = str(error).partition("\n  In call to")[0].strip()  # gin's account of where
        raise ValueError(f"algorithms: {name!r}: {message}") from error


def _fitting(kind: type) -> str:
    return ", ".join(name for name in algorithms.names() if issubclass(algorithms.get(name), kind))


def _part(
    spec: WeightSpec, name: str, value: Optional[tf.Tensor] = None, shape: Sequence[int] = ()
) -> WeightSpec:
    """What is known of a tensor of the first's, given itself or its shape."""
    if value is not None:
        shape = _shape(value)
    role = "kernel" if spec.role == "depthwise_kernel" else spec.role  # that has spatial axes
    return dataclasses.replace(spec, path=f"{spec.path}/{name}", shape=tuple(shape), spatial=0, role=role)


def _shape(tensor: tf.Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape.as_list())  # pyright: ignore[reportReturnType]


def _prefixed(name: str, tensors: Tensors) -> dict[str, tf.Tensor]:
    return {f"{name}{_SEPARATOR}{key}": value for key, value in tensors.items()}


def _inner(tensors: Tensors, name: str) -> dict[str, tf.Tensor]:
    """What `_prefixed` was given."""
    start = f"{name}{_SEPARATOR}"
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}
