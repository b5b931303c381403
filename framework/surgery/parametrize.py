"""Replaces a layer's weight attribute by a computed weight, and puts the plain variable back.

The layer's class is replaced by a subclass made on the fly, with a property instead of the attribute. The
layer's own code reads `self.kernel` as before and gets what the algorithm computes from its variables. The
design follows `torch.nn.utils.parametrize`. The variables of the algorithm are weights of the layer like any
other (`kernel_latent`, `kernel_log_step`): tracked, trained, saved.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import warnings
from typing import Any

import tensorflow as tf
from keras.src.mixed_precision import autocast_variable
from keras.src.saving import object_registration

from ..algorithm import Algorithm, Tensors
from .clone import CloneError, copy_variable, is_autocast, layers_of
from .computed_weights import (
    COMPUTED,
    PLACES,
    ComputedWeight,
    WeightRef,
    computed_weights_of,
    is_reference,
    map_leaves,
)
from .layer_state import load_own_variables, save_own_variables
from .once_per_call import call_in_scope
from .weight_losses import losses_of, plain_loss, set_losses
from .weights import Layer, Place, Weight

_MARKED = "_lambdapress_marked"  # on a class with a marker
_ORDER = "_lambdapress_order"  # on each holder: [(WeightRef, its variable's index among the layer's weights)]


def put_computed_weight(
    weight: Weight, algorithm: Algorithm, tensors: Tensors, kind: type[ComputedWeight], trainable: bool
) -> ComputedWeight:
    """Replaces a plain variable by a computed weight, in all of its places, and stops tracking the variable.

    Losses that use the variable do not change: call `redirect_losses` once per model afterwards.
    """
    place, variable = weight.places[0], weight.variable
    if variable.constraint is not None:
        warnings.warn(
            f"{weight.spec.path}: its constraint {variable.constraint!r} does not apply to a compressed "
            "weight and is dropped.",
            stacklevel=3,
        )
    computed = kind(
        spec=weight.spec,
        algorithm=algorithm,
        owner=place.layer,
        key=place.name,
        names=_add_variables(weight, tensors, trainable),
        plain={"trainable": variable.trainable, "name": variable.name.partition(":")[0]},
        autocast=is_autocast(variable),
    )
    vars(place.layer).setdefault(COMPUTED, {})[computed.key] = computed
    reference = WeightRef(place.layer, computed.key)
    for holder in weight.places:
        _refer(holder, reference)
        positions = [i for i, other in enumerate(holder.layer._trainable_weights) if other is variable]
        vars(holder.layer).setdefault(_ORDER, []).extend((reference, index) for index in positions)
        _untrack(holder.layer, variable)
        set_class(holder.layer)
    return computed


def change_computed_weight(
    computed: ComputedWeight, tensors: Tensors | None, kind: type[ComputedWeight], trainable: bool = False
) -> ComputedWeight:
    """Gives a computed weight another kind, and other variables unless `tensors` is None."""
    names = computed.names
    if tensors is not None:
        like = next(iter(computed.variables().values()))
        for attribute in computed.names.values():
            drop_variable(computed.owner, attribute)
        base = computed.key.replace(".", "_")
        path, name = computed.spec.path, computed.plain["name"]
        names = _add_tensors(path, computed.owner, base, like, name, tensors, trainable)
    vars(computed.owner).pop("_lambdapress_decoded", None)
    fields = {field.name: getattr(computed, field.name) for field in dataclasses.fields(computed)}
    changed = kind(**{**fields, "names": names})
    vars(computed.owner)[COMPUTED][computed.key] = changed
    return changed


def remove_computed_weights(model: Layer) -> None:
    """Puts a plain variable with the weight's value back in every place of every computed weight."""
    restored: dict[int, dict[str, tf.Variable]] = {}
    for computed in computed_weights_of(model):
        like = next(iter(computed.variables().values()))
        variable = _new_variable(
            like, computed.compute(), computed.plain["name"], computed.plain["trainable"]
        )
        if computed.autocast:
            variable = autocast_variable.create_autocast_variable(variable)
        restored.setdefault(id(computed.owner), {})[computed.key] = variable
        for attribute in computed.names.values():
            drop_variable(computed.owner, attribute)

    def find(reference: WeightRef) -> tf.Variable:
        return restored[id(reference.owner)][reference.key]

    for layer in layers_of(model):
        set_losses(layer, [plain_loss(loss, find) for loss in losses_of(layer)])
        places = vars(layer).pop(PLACES, {})
        for state in (COMPUTED, "_lambdapress_decoded"):
            vars(layer).pop(state, None)
        set_class(layer)
        for attribute, content in places.items():
            plain_content = map_leaves(content, lambda leaf: find(leaf) if is_reference(leaf) else leaf)
            setattr(layer, attribute, plain_content)
        # The variable taken out last goes back in first, so that `get_weights` has its old order.
        for reference, index in reversed(vars(layer).pop(_ORDER, [])):
            variable = find(reference)
            others = [other for other in layer._trainable_weights if other is not variable]
            vars(layer)["_trainable_weights"] = [*others[:index], variable, *others[index:]]


def _add_variables(weight: Weight, tensors: Tensors, trainable: bool) -> dict[str, str]:
    place, like = weight.places[0], weight.variable
    base = "_".join([place.attribute, *map(str, place.keys)])
    name = like.name.partition(":")[0]
    return _add_tensors(weight.spec.path, place.layer, base, like, name, tensors, trainable)


def _add_tensors(
    path: str, layer: Layer, base: str, like: tf.Variable, name: str, tensors: Tensors, trainable: bool
) -> dict[str, str]:
    names = {}
    for key, value in tensors.items():
        value = tf.convert_to_tensor(value)
        attribute = f"{base}_{key}"
        if hasattr(layer, attribute):
            raise ValueError(
                f"{path}: its layer has an attribute {attribute!r} already, which the algorithm's "
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
    places = vars(place.layer).setdefault(PLACES, {})
    if place.attribute not in places:
        container = vars(place.layer).pop(place.attribute)
        if place.keys:
            _untrack(place.layer, container)
        places[place.attribute] = map_leaves(container, lambda leaf: leaf)
    if not place.keys:
        places[place.attribute] = reference
        return
    inner = places[place.attribute]
    for key in place.keys[:-1]:
        inner = inner[key]
    inner[place.keys[-1]] = reference


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


def set_class(layer: Layer, marker: type | None = None) -> None:
    """Gives a layer the class that its computed weights and `marker` need, or else its original class."""
    plain = getattr(type(layer), "_lambdapress_plain", type(layer))
    attributes = tuple(sorted(vars(layer).get(PLACES, {})))
    wanted = _computed_class(plain, attributes, marker) if attributes or marker else plain
    object.__setattr__(layer, "__class__", wanted)


def is_marked(layer: Layer) -> bool:
    """Tells whether `set_class` has given a layer a marker."""
    return hasattr(type(layer), _MARKED)


def remove_markers(model: Layer) -> None:
    """Takes the markers from a model and from the models that are layers of it."""
    for layer in layers_of(model):
        if is_marked(layer):
            set_class(layer)


@functools.cache
def _computed_class(plain: type, attributes: tuple[str, ...], marker: type | None) -> type:
    def fill(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = plain.__module__
        namespace["_lambdapress_plain"] = plain
        namespace["__call__"] = call_in_scope(plain)
        if attributes:
            namespace["save_own_variables"] = save_own_variables
            namespace["load_own_variables"] = load_own_variables
        if marker:
            namespace[_MARKED] = True
        else:
            namespace["from_config"] = classmethod(_refuse_config)
        for attribute in attributes:
            namespace[attribute] = property(functools.partial(_read, attribute=attribute))

    prefix = marker.__name__ if marker else "Computed"
    bases = (marker, plain) if marker else (plain,)
    made = types.new_class(f"{prefix}{plain.__name__}", bases, exec_body=fill)
    if marker:  # Keras's files name the marker, since every process has that class
        object_registration._GLOBAL_CUSTOM_NAMES[made] = tf.keras.saving.get_registered_name(marker)
    return made


def _refuse_config(kind: type, config: Any) -> None:
    raise CloneError(
        f"The config of a {getattr(kind, '_lambdapress_plain').__name__} does not say how its weights are "  # noqa: B009
        "computed, so that no layer can be made from it; tf.keras.models.clone_model tries that with a "
        "Sequential model. to_compressible(model) and to_compressed(model) copy a model with its values, and "
        "type(model).from_config(model.get_config()) makes one with new values."
    )


def _read(layer: Layer, attribute: str) -> Any:
    content = vars(layer)[PLACES][attribute]
    return map_leaves(content, lambda leaf: leaf.computed.value() if is_reference(leaf) else leaf)
