"""A computed weight in the place of a layer's weight attribute.

The layer's class is replaced by a subclass made on the fly, with a property where the attribute
was; the layer's own code reads `self.kernel` as before and gets what the algorithm computes from
its variables. `torch.nn.utils.parametrize` is the model. The variables of the algorithm are weights
of the layer like any other (`kernel_latent`, `kernel_log_step`): tracked, trained, saved.

A computed weight is one `Slot`, kept by the layer that owns its variables; every place that holds
the weight (several, where weights are tied) has a `WeightRef` to it.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import threading
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, ClassVar, Optional

import tensorflow as tf
from keras.src.mixed_precision import autocast_variable
from keras.src.saving import object_registration
from tensorflow.python.ops import control_flow_v2_func_graphs as control_flow

from .algorithm import Algorithm, Tensors, WeightSpec
from .clone import copy_variable, is_autocast, layers_of, rebind
from .keras_variables import load_own_variables, save_own_variables
from .weights import Layer, Place, Weight

_SLOTS = "_lambdapress_slots"  # on an owner: {path: Slot}
_PLACES = "_lambdapress_places"  # on each holder: {attribute: WeightRef, or a container with some inside}
_ORDER = "_lambdapress_order"  # on each holder: [(WeightRef, its variable's index among the layer's weights)]


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
        value = _once_per_call(self, self.compute)
        dtype = getattr(autocast_variable._autocast_dtype, "dtype", None)
        return tf.cast(value, dtype) if self.autocast and dtype is not None else value


class Projected(Slot):
    """In a compressible model: trained variables, projected onto the weight."""

    form = "compressible"

    def compute(self) -> tf.Tensor:
        return tf.ensure_shape(self.algorithm.project(self.tensors(), self.spec), self.spec.shape)

    def penalty(self) -> Optional[tf.Tensor]:
        return self.algorithm.penalty(self.tensors(), self.spec)


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
        return vars(self.owner)[_SLOTS][self.path]


@dataclasses.dataclass(frozen=True, eq=False)
class LossOfWeights:
    """A weight loss (a kernel regulariser's) that is given the computed weights."""

    function: Callable[[], tf.Tensor]
    references: Sequence[WeightRef]

    def __call__(self) -> tf.Tensor:
        return rebind(self.function, {id(ref): ref.slot.value() for ref in self.references})()

    def rebind(self, replacements: Mapping[int, Any]) -> LossOfWeights:
        references = [
            WeightRef(replacements.get(id(ref.owner), ref.owner), ref.path) for ref in self.references
        ]
        moved = {id(old): new for old, new in zip(self.references, references)}
        return LossOfWeights(rebind(rebind(self.function, replacements), moved), references)


def slots_of(model: Layer) -> list[Slot]:
    """Every computed weight of a model, once, in depth-first order."""
    return [slot for layer in layers_of(model) for slot in vars(layer).get(_SLOTS, {}).values()]


def slot_at(layer: Layer, attribute: str) -> Optional[Slot]:
    """The computed weight that a layer has as an attribute, if it has one there."""
    reference = vars(layer).get(_PLACES, {}).get(attribute)
    return reference.slot if _is_ref(reference) else None


def put_slot(
    weight: Weight, algorithm: Algorithm, tensors: Tensors, kind: type[Slot], trainable: bool
) -> Slot:
    """Replaces a plain variable by a slot, in all of its places, and stops tracking the variable.

    The losses that hold the variable are `redirect_losses`' to mend, once per model.
    """
    place, variable = weight.places[0], weight.variable
    if variable.constraint is not None:
        warnings.warn(
            f"{weight.spec.path}: its constraint {variable.constraint!r} does not apply to a compressed "
            "weight and is dropped.",
            stacklevel=3,
        )
    slot = kind(
        spec=weight.spec,
        algorithm=algorithm,
        owner=place.layer,
        names=_add_variables(place, variable, tensors, trainable),
        plain={"trainable": variable.trainable, "name": variable.name.partition(":")[0]},
        autocast=is_autocast(variable),
    )
    vars(place.layer).setdefault(_SLOTS, {})[weight.spec.path] = slot
    reference = WeightRef(place.layer, weight.spec.path)
    for held in weight.places:
        _refer(held, reference)
        positions = [i for i, other in enumerate(held.layer._trainable_weights) if other is variable]
        vars(held.layer).setdefault(_ORDER, []).extend((reference, index) for index in positions)
        _untrack(held.layer, variable)
        _set_class(held.layer)
    return slot


def change_slot(slot: Slot, tensors: Optional[Tensors], kind: type[Slot], trainable: bool = False) -> Slot:
    """Gives a slot another kind, and other variables unless `tensors` is None."""
    names = slot.names
    if tensors is not None:
        like = next(iter(slot.variables().values()))
        for attribute in slot.names.values():
            drop_variable(slot.owner, attribute)
        base = slot.spec.path.rpartition("/")[2].replace(".", "_")
        names = _add_tensors(slot.owner, base, like, slot.plain["name"], tensors, trainable)
    vars(slot.owner).pop("_lambdapress_decoded", None)
    fields = {field.name: getattr(slot, field.name) for field in dataclasses.fields(slot)}
    changed = kind(**{**fields, "names": names})
    vars(slot.owner)[_SLOTS][slot.spec.path] = changed
    return changed


def remove_slots(model: Layer) -> None:
    """Puts a plain variable with the weight's value back in every place of every slot."""
    restored: dict[int, dict[str, tf.Variable]] = {}
    for slot in slots_of(model):
        like = next(iter(slot.variables().values()))
        variable = _new_variable(like, slot.compute(), slot.plain["name"], slot.plain["trainable"])
        if slot.autocast:
            variable = autocast_variable.create_autocast_variable(variable)
        restored.setdefault(id(slot.owner), {})[slot.spec.path] = variable
        for attribute in slot.names.values():
            drop_variable(slot.owner, attribute)

    def find(reference: WeightRef) -> tf.Variable:
        return restored[id(reference.owner)][reference.path]

    for layer in layers_of(model):
        set_losses(layer, [_plain_loss(loss, find) for loss in losses_of(layer)])
        places = vars(layer).pop(_PLACES, {})
        for state in (_SLOTS, "_lambdapress_decoded"):
            vars(layer).pop(state, None)
        _set_class(layer)
        for attribute, held in places.items():
            setattr(layer, attribute, _map(held, lambda leaf: find(leaf) if _is_ref(leaf) else leaf))
        # The last one taken out goes back in first, so that `get_weights` has the order that it had.
        for reference, index in reversed(vars(layer).pop(_ORDER, [])):
            variable = find(reference)
            others = [other for other in layer._trainable_weights if other is not variable]
            vars(layer)["_trainable_weights"] = [*others[:index], variable, *others[index:]]


def losses_of(layer: Layer) -> list[Callable[[], Any]]:
    """The losses that a layer computes whenever they are asked for: of its weights."""
    return vars(layer)["_callable_losses"]


def set_losses(layer: Layer, losses: Sequence[Callable[[], Any]]) -> None:
    vars(layer)["_callable_losses"] = list(losses)


def redirect_losses(model: Layer, weights: Sequence[Weight]) -> None:
    """Makes the weight losses that hold a variable which `put_slot` replaced take the computed weight.

    Args:
      model: whose layers have the losses.
      weights: as they were given to `put_slot`.
    """
    replaced = {
        id(weight.variable): WeightRef(weight.places[0].layer, weight.spec.path) for weight in weights
    }
    for layer in layers_of(model):
        set_losses(layer, [_redirected(loss, replaced) for loss in losses_of(layer)])


def _redirected(loss: Callable[[], Any], replaced: Mapping[int, WeightRef]) -> Callable[[], Any]:
    # Copies of the references, so that each loss can be rebound on its own.
    own = {key: copy.copy(reference) for key, reference in replaced.items()}
    redirected = rebind(loss, own)
    if redirected is loss or isinstance(redirected, LossOfWeights):
        return redirected
    return LossOfWeights(redirected, list(own.values()) if len(own) == 1 else _held(loss, own))


def _held(loss: Callable[[], Any], own: Mapping[int, WeightRef]) -> list[WeightRef]:
    return [reference for key, reference in own.items() if rebind(loss, {key: reference}) is not loss]


def _plain_loss(loss: Callable[[], Any], find: Callable[[WeightRef], tf.Variable]) -> Callable[[], Any]:
    if not isinstance(loss, LossOfWeights):
        return loss
    return rebind(loss.function, {id(ref): find(ref) for ref in loss.references})


def _add_variables(place: Place, like: tf.Variable, tensors: Tensors, trainable: bool) -> dict[str, str]:
    base = "_".join([place.attribute, *map(str, place.keys)])
    return _add_tensors(place.layer, base, like, like.name.partition(":")[0], tensors, trainable)


def _add_tensors(
    layer: Layer, base: str, like: tf.Variable, name: str, tensors: Tensors, trainable: bool
) -> dict[str, str]:
    names = {}
    for key, value in tensors.items():
        value = tf.convert_to_tensor(value)
        attribute = f"{base}_{key}"
        if hasattr(layer, attribute):
            raise ValueError(
                f"Layer {layer.name!r} has an attribute {attribute!r} already, which the algorithm's "
                f"variable {key!r} would take; rename the layer's attribute."
            )
        trained = trainable and value.dtype.is_floating
        setattr(layer, attribute, _new_variable(like, value, f"{name}_{key}", trained))
        names[key] = attribute
    return names


def _new_variable(like: tf.Variable, value: tf.Tensor, name: str, trainable: bool) -> tf.Variable:
    inner = like._variable if is_autocast(like) else like  # pyright: ignore[reportAttributeAccessIssue]
    changes = {"name": name, "dtype": value.dtype, "shape": value.shape, "trainable": trainable}
    return copy_variable(inner, value, constraint=None, **changes)


def _refer(place: Place, reference: WeightRef) -> None:
    places = vars(place.layer).setdefault(_PLACES, {})
    if place.attribute not in places:
        container = vars(place.layer).pop(place.attribute)
        if place.keys:
            _untrack(place.layer, container)
        places[place.attribute] = _map(container, lambda leaf: leaf)
    if not place.keys:
        places[place.attribute] = reference
        return
    inner = places[place.attribute]
    for key in place.keys[:-1]:
        inner = inner[key]
    inner[place.keys[-1]] = reference


def _map(value: Any, function: Callable[[Any], Any]) -> Any:
    """A copy of nested containers, as plain lists and dictionaries, with a function of each leaf."""
    if isinstance(value, dict):
        return {key: _map(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map(item, function) for item in value]
    return function(value)


def _is_ref(leaf: Any) -> bool:
    return isinstance(leaf, WeightRef)


def drop_variable(layer: Layer, attribute: str) -> None:
    """Deletes a variable that is an attribute of `layer`, and makes Keras forget it."""
    _untrack(layer, vars(layer).pop(attribute))


def _untrack(layer: Layer, tracked: Any) -> None:
    """Makes Keras forget an object that was an attribute of `layer`."""
    state = vars(layer)
    for name in ("_trainable_weights", "_non_trainable_weights", "_self_tracked_trackables"):
        state[name] = [other for other in state[name] if other is not tracked]
    dependencies = state["_self_unconditional_checkpoint_dependencies"]
    state["_self_unconditional_checkpoint_dependencies"] = [d for d in dependencies if d.ref is not tracked]
    names = state["_self_unconditional_dependency_names"]
    state["_self_unconditional_dependency_names"] = {k: v for k, v in names.items() if v is not tracked}
    layer._obj_reference_counts.pop(tracked, None)


def _set_class(layer: Layer, marker: Optional[type] = None) -> None:
    """Gives a layer the class that its computed weights and its marker ask for, or its own back."""
    plain = getattr(type(layer), "_lambdapress_plain", type(layer))
    attributes = tuple(sorted(vars(layer).get(_PLACES, {})))
    wanted = _computed_class(plain, attributes, marker) if attributes or marker else plain
    object.__setattr__(layer, "__class__", wanted)


def mark(model: Layer, marker: Optional[type]) -> None:
    """Makes `model` an instance of `marker` besides its own class, or of its own class alone."""
    _set_class(model, marker)


@functools.cache
def _computed_class(plain: type, attributes: tuple[str, ...], marker: Optional[type]) -> type:
    def fill(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = plain.__module__
        namespace["_lambdapress_plain"] = plain
        namespace["__call__"] = _call_in_scope(plain)
        if attributes:
            namespace["save_own_variables"] = save_own_variables
            namespace["load_own_variables"] = load_own_variables
        for attribute in attributes:
            namespace[attribute] = property(functools.partial(_read, attribute=attribute))

    prefix = marker.__name__ if marker else "Computed"
    bases = (marker, plain) if marker else (plain,)
    made = types.new_class(f"{prefix}{plain.__name__}", bases, exec_body=fill)
    if marker:  # Keras's files name the marker, which every process has
        object_registration._GLOBAL_CUSTOM_NAMES[made] = tf.keras.saving.get_registered_name(marker)
    return made


def _read(layer: Layer, attribute: str) -> Any:
    held = vars(layer)[_PLACES][attribute]
    return _map(held, lambda leaf: leaf.slot.value() if _is_ref(leaf) else leaf)


class _Call(threading.local):
    """The outermost call under way in this thread.

    Attributes:
      graph: its graph.
      values: the weights computed in it so far.
      inputs: what the layers under way were given, the outermost first.
      instead: see `computed_by`.
    """

    def __init__(self) -> None:
        self.graph: Any = None
        self.values: Optional[dict[Any, tf.Tensor]] = None
        self.inputs: list[Any] = []
        self.instead: Optional[Callable[[Slot, tf.Tensor], tf.Tensor]] = None


_call = _Call()


@contextlib.contextmanager
def computed_by(function: Callable[[Slot, tf.Tensor], tf.Tensor]) -> Iterator[None]:
    """While a model is traced, each computed weight is `function(slot, input)`; its variables are not read.

    `input` is a tensor that the innermost layer under way was given, in the graph that the weight is
    computed in: what depends on it cannot be computed before that layer runs.
    """
    before, _call.instead = _call.instead, function
    try:
        yield
    finally:
        _call.instead = before


def _call_in_scope(plain: Any) -> Callable[..., Any]:
    @functools.wraps(plain.__call__)
    def __call__(self, *args, **kwargs):
        outermost = _call.values is None
        if outermost:
            _call.graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
            _call.values = {}
        _call.inputs.append((args, kwargs))
        try:
            return plain.__call__(self, *args, **kwargs)
        finally:
            _call.inputs.pop()
            if outermost:
                _call.graph = _call.values = None

    return __call__


def _input_in(graph: Any) -> tf.Tensor:
    for given in reversed(_call.inputs):
        for leaf in tf.nest.flatten(given):
            if isinstance(leaf, tf.Tensor) and getattr(leaf, "graph", None) is graph:
                return leaf
    raise RuntimeError(
        "A weight is computed outside of every layer's call, where there is no input to wait for."
    )


def _once_per_call(slot: Slot, compute: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Computes a weight, or returns it if this call has computed it in this graph already.

    A recurrent cell reads its kernels in the body of a loop. The weight is computed outside of the
    loop, but never outside of the call that is under way: training steps are loops, too. Eagerly
    nothing is kept: a layer's weights are to exist only while it runs.
    """
    if tf.executing_eagerly() or _call.values is None:
        return compute()
    graph: Any = tf.compat.v1.get_default_graph()
    while graph is not _call.graph and isinstance(graph, _LOOPS_AND_BRANCHES):
        graph = graph.outer_graph
    key = (id(slot), id(graph))
    if key not in _call.values:
        with graph.as_default():
            _call.values[key] = _call.instead(slot, _input_in(graph)) if _call.instead else compute()
    return _call.values[key]


_LOOPS_AND_BRANCHES = (
    control_flow.WhileBodyFuncGraph,
    control_flow.WhileCondFuncGraph,
    control_flow.CondBranchFuncGraph,
)
