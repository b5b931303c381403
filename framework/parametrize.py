"""A computed weight in the place of a layer's weight attribute.

The layer's class is replaced by a subclass made on the fly, with a property where the attribute
was; the layer's own code reads `self.kernel` as before and gets what the algorithm computes from
its variables. `torch.nn.utils.parametrize` is the model. The variables of the algorithm are weights
of the layer like any other (`kernel_latent`, `kernel_log_step`): tracked, trained, saved.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import warnings
from typing import Any, Optional

import tensorflow as tf
from keras.src.mixed_precision import autocast_variable
from keras.src.saving import object_registration

from .algorithm import Algorithm, Tensors
from .call_scope import call_in_scope
from .clone import copy_variable, is_autocast, layers_of
from .keras_variables import load_own_variables, save_own_variables
from .slots import PLACES, SLOTS, Slot, WeightRef, is_reference, map_leaves, slots_of
from .weight_losses import losses_of, plain_loss, set_losses
from .weights import Layer, Place, Weight

_ORDER = "_lambdapress_order"  # on each holder: [(WeightRef, its variable's index among the layer's weights)]


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
    vars(place.layer).setdefault(SLOTS, {})[weight.spec.path] = slot
    reference = WeightRef(place.layer, weight.spec.path)
    for held in weight.places:
        _refer(held, reference)
        positions = [i for i, other in enumerate(held.layer._trainable_weights) if other is variable]
        vars(held.layer).setdefault(_ORDER, []).extend((reference, index) for index in positions)
        _untrack(held.layer, variable)
        set_class(held.layer)
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
    vars(slot.owner)[SLOTS][slot.spec.path] = changed
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
        set_losses(layer, [plain_loss(loss, find) for loss in losses_of(layer)])
        places = vars(layer).pop(PLACES, {})
        for state in (SLOTS, "_lambdapress_decoded"):
            vars(layer).pop(state, None)
        set_class(layer)
        for attribute, held in places.items():
            found = map_leaves(held, lambda leaf: find(leaf) if is_reference(leaf) else leaf)
            setattr(layer, attribute, found)
        # The last one taken out goes back in first, so that `get_weights` has the order that it had.
        for reference, index in reversed(vars(layer).pop(_ORDER, [])):
            variable = find(reference)
            others = [other for other in layer._trainable_weights if other is not variable]
            vars(layer)["_trainable_weights"] = [*others[:index], variable, *others[index:]]


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


def set_class(layer: Layer, marker: Optional[type] = None) -> None:
    """Gives a layer the class that its computed weights and its marker ask for, or its own back."""
    plain = getattr(type(layer), "_lambdapress_plain", type(layer))
    attributes = tuple(sorted(vars(layer).get(PLACES, {})))
    wanted = _computed_class(plain, attributes, marker) if attributes or marker else plain
    object.__setattr__(layer, "__class__", wanted)


@functools.cache
def _computed_class(plain: type, attributes: tuple[str, ...], marker: Optional[type]) -> type:
    def fill(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = plain.__module__
        namespace["_lambdapress_plain"] = plain
        namespace["__call__"] = call_in_scope(plain)
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
    held = vars(layer)[PLACES][attribute]
    return map_leaves(held, lambda leaf: leaf.slot.value() if is_reference(leaf) else leaf)
