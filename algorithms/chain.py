"""Applies two algorithms to the same weight, one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gin
import tensorflow as tf

from ..framework.algorithm import Algorithm, Tensors, WeightSpec, algorithms
from ..framework.messages import alternatives, without_gin_trail
from .links import Elementwise, Structured

_SEPARATOR = "__"  # between the first algorithm's name for a tensor and the second's: weight__latent
_SHAPE = "shape"


@algorithms.register("chain")
@dataclasses.dataclass(frozen=True)
class Chain(Algorithm):
    """Applies two algorithms to a weight in turn, such as pruning and epr, or low_rank and uniform.

    The first says which numbers make up the weight (survivors, factors, tables). The second treats each
    tensor of these numbers as if it were a weight: the tensor is trained through both algorithms, and stored
    as the second stores it. The second sees 0 where the first masks. λ reaches both, and means the same to
    each as when it is used alone; the penalty is the second's.

    For the second a tensor has no spatial axes, since the tensors that the first makes of a kernel may have
    none. So `epr` has one step per tensor and no Fourier transform, under which zeros would not stay zeros.
    The penalty counts every number that is trained, including those that the first currently masks or cuts
    off: more than the stored bits.

    Attributes:
      algorithms: two entries. Each is a registered name, built with its gin bindings, of which those in the
        scope `chain` take precedence (`chain/pruning.value_bits = 6`); or `[name, {hyper-parameter: value}]`,
        built with these values alone: gin bindings, its own gin file's included, are ignored; or an
        algorithm. The first must say which numbers make up a weight (`links.Structured`), the second must
        have a number for each element (`links.Elementwise`).
    """

    algorithms: Sequence[Any] = ("pruning", "epr")

    def __post_init__(self):
        entries = self.algorithms
        if not isinstance(entries, (list, tuple)) or len(entries) != 2:
            raise ValueError(f"algorithms must be a list of two, got {entries!r}.")
        first, second = _build(entries[0], Structured, "first"), _build(entries[1], Elementwise, "second")
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
    def decode_ops(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for link in self.algorithms for name in link.decode_ops))

    @property
    def no_graph_decode(self) -> str | None:
        problems = (link.no_graph_decode for link in self.algorithms)
        return next((problem for problem in problems if problem is not None), None)

    def init(self, weight: tf.Tensor, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        """Returns the first's variables, with the second's instead of those that the second stores."""
        outer = self._first.init(weight, spec, lmbda)
        settled = self._first.settle(outer, spec)
        variables = {}
        for name, value in outer.items():
            if name not in self._first.shapes(spec):
                variables[name] = value
                continue
            # The second's other variables (a step) must suit the values that will be stored.
            inner = self._second.init(settled[name], _part(spec, name, settled[name]), lmbda)
            variables.update(_prefixed(name, self._second.assign(inner, value, _part(spec, name, value))))
        return variables

    def update(self, variables: Tensors, progress: float, spec: WeightSpec, lmbda: float = 0.0) -> Tensors:
        changed = {}
        # The first decides by unrounded numbers: some that round to 0 now are still moving.
        outer = self._outer(variables, spec, self._second.value)
        for name, value in self._first.update(outer, progress, spec, lmbda).items():
            if name in self._first.shapes(spec):
                inner = self._second.assign(_inner(variables, name), value, _part(spec, name, value))
                changed.update(_prefixed(name, inner))
            else:
                changed[name] = value
        now = {**variables, **changed}
        # The second decides by unrounded numbers: for rounded ones it would choose another step.
        for name, (inner, part) in self._settled(now, spec, self._second.value).items():
            new = _prefixed(name, self._second.update(inner, progress, part, lmbda))
            # The values themselves stay as they are: the first may have cut some off here.
            changed.update({key: value for key, value in new.items() if value.shape == variables[key].shape})
        return changed

    @property
    def has_steps(self) -> bool:
        return self._second.has_steps

    def coarser(self, variables: Tensors, factor: float, spec: WeightSpec) -> Tensors:
        changed = {}
        for name, (inner, part) in self._settled(variables, spec, self._second.value).items():
            changed.update(_prefixed(name, self._second.coarser(inner, factor, part)))
        return changed

    def project(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor:
        return self._first.project(self._outer(variables, spec), spec)

    def penalty(self, variables: Tensors, spec: WeightSpec) -> tf.Tensor | None:
        """Returns the second's penalty, over all of its tensors; None where it has none."""
        if not self.has_penalty:
            return None
        parts = {name: _part(spec, name, shape=shape) for name, shape in self._first.shapes(spec).items()}
        penalties: Any = [self._second.penalty(_inner(variables, n), part) for n, part in parts.items()]
        return tf.add_n(penalties)

    def encode(self, variables: Tensors, spec: WeightSpec) -> Tensors:
        """Returns the second's code of each tensor (`weight__code`), and any shape that is not the weight's.

        A shape is stored as the shape of a tensor without elements: in a graph only shapes are known.
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
        self, variables: Tensors, spec: WeightSpec, function: Callable[..., tf.Tensor] | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns the first's variables; `function` (by default `project`) makes them of the second's."""
        make: Any = function or self._second.project
        outer = {name: value for name, value in variables.items() if _SEPARATOR not in name}
        for name, shape in self._first.shapes(spec).items():
            outer[name] = make(_inner(variables, name), _part(spec, name, shape=shape))
        return outer

    def _settled(
        self, variables: Tensors, spec: WeightSpec, function: Callable[..., tf.Tensor] | None = None
    ) -> dict[str, Any]:
        """Returns, by name, the second's variables to store and the tensor's spec; see `_outer`."""
        parts = {}
        for name, value in self._first.settle(self._outer(variables, spec, function), spec).items():
            part = _part(spec, name, value)
            parts[name] = self._second.assign(_inner(variables, name), value, part), part
        return parts

    def _stored(self, encoded: Tensors, spec: WeightSpec) -> tuple[dict[str, Any], dict[str, tf.Tensor]]:
        """Returns the result of `_parts`, and the first's settled variables decoded from it."""
        stored = self._parts(encoded, spec)
        return stored, {name: self._second.decode(tensors, part) for name, (tensors, part) in stored.items()}

    def _parts(self, encoded: Tensors, spec: WeightSpec) -> dict[str, Any]:
        """Returns, by name, the tensors that the second has stored and the spec of the decoded tensor."""
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
    """Returns the algorithm that `link` names or is; it must be a `kind`."""
    parameters: Mapping[str, Any] = {}
    if isinstance(link, (list, tuple)) and len(link) == 2 and isinstance(link[1], Mapping):
        name, parameters = link
    else:
        name = link
    if not isinstance(name, (str, Algorithm)):
        raise ValueError(f"algorithms: a name, or [name, hyper-parameters], is expected, got {link!r}.")
    cls = algorithms.get(name) if isinstance(name, str) else type(name)
    if not issubclass(cls, kind):  # before it is built: a chain in a chain would build chains forever
        raise ValueError(f"algorithms: {cls.name!r} cannot come {place}: {_fitting(kind)} can.")
    if isinstance(name, Algorithm):
        return name
    known = [field.name for field in dataclasses.fields(cls)]
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"algorithms: {name!r} has no {parameter!r} ({alternatives(parameter, known)}).")
    try:
        if link is not name:
            return cls(**parameters)
        with gin.config_scope("chain"):
            return algorithms.build(name)
    except (TypeError, ValueError) as error:
        raise ValueError(f"algorithms: {name!r}: {without_gin_trail(error)}") from error


def _fitting(kind: type) -> str:
    return ", ".join(name for name in algorithms.names() if issubclass(algorithms.get(name), kind))


def _part(
    spec: WeightSpec, name: str, value: tf.Tensor | None = None, shape: Sequence[int] = ()
) -> WeightSpec:
    """Returns the spec of one of the first's tensors, given the tensor or its shape."""
    if value is not None:
        shape = _shape(value)
    role = "kernel" if spec.role == "depthwise_kernel" else spec.role  # a depthwise kernel has spatial axes
    return dataclasses.replace(spec, path=f"{spec.path}/{name}", shape=tuple(shape), spatial=0, role=role)


def _shape(tensor: tf.Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape.as_list())  # pyright: ignore[reportReturnType]


def _prefixed(name: str, tensors: Tensors) -> dict[str, tf.Tensor]:
    return {f"{name}{_SEPARATOR}{key}": value for key, value in tensors.items()}


def _inner(tensors: Tensors, name: str) -> dict[str, tf.Tensor]:
    """Undoes `_prefixed` for the tensors of `name`."""
    start = f"{name}{_SEPARATOR}"
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}
