"""Copies any Keras model, built or pretrained, so that the copy shares no weight with the original.

Keras cannot do this: `clone_model` refuses subclassed models, stops at nested ones and drops weights;
`copy.deepcopy` goes through serialisation, which needs every class to be registered. This module copies the
model's object graph instead. First each layer gets an empty shell of its own class. Then each shell is
filled with a deep copy of the original layer's attributes, in which layers and variables are replaced by
their copies. So the clone has the same classes, attributes (`.backbone`), sharing of layers, names, values
and losses, however the model was built.

The module uses private attributes of Keras 2.14, as others of this folder do.
"""

from __future__ import annotations

import copy
import types
import uuid
import weakref
from collections.abc import Iterator
from typing import Any, cast

import tensorflow as tf
from keras.src.engine import base_layer_utils, functional, node
from keras.src.mixed_precision import autocast_variable
from keras.src.saving.legacy.saved_model import load as saved_model_load
from keras.src.utils import object_identity
from tensorflow.python.eager.polymorphic_function import polymorphic_function
from tensorflow.python.trackable import data_structures  # pyright: ignore[reportAttributeAccessIssue]

from ..errors import LambdapressError
from .layer_state import MUTABLE, contents_of, resources_of
from .rebind import rebind

Memo = dict[int, Any]

# Attributes that `compile` and `fit` leave on a model. They belong to the original (its optimizer's slots
# are for the original's variables), so a clone is uncompiled, like a model fresh from its constructor.
_COMPILED = {
    "_compile_config",
    "_compiled_trainable_state",
    "_is_compiled",
    "_jit_compile",
    "_predict_counter",
    "_pss_evaluation_shards",
    "_run_eagerly",
    "_steps_per_execution",
    "_steps_per_execution_tuner",
    "_test_counter",
    "_train_counter",
    "_training_state",
    "compiled_loss",
    "compiled_metrics",
    "history",
    "loss",
    "optimizer",
    "predict_function",
    "stop_training",
    "test_function",
    "train_function",
    "train_tf_function",
}
# Attributes that the last call left on a layer.
_OF_A_CALL = ("_losses", "_eager_losses")
# Attributes that loading a SavedModel leaves on its layers: functions over the original's variables.
_LOADED = {"signatures", "_serialized_attributes"}
_CONTAINERS = (list, tuple, dict, data_structures.ListWrapper, data_structures._DictWrapper)
# Objects that belong to the process, or that never change: the clone shares them.
_SHARED = (tf.distribute.Strategy, types.ModuleType, tf.TypeSpec, tf.DType)


class CloneError(LambdapressError, ValueError):
    """A model holds an object that cannot be copied; the message names the layer and the attribute."""


def clone(model: tf.keras.Model) -> tf.keras.Model:
    """Returns an uncompiled copy of `model` with the same classes, structure and values, but its own weights.

    Variables are created in the current `tf.distribute` scope or, outside of one, in the scope in which the
    model was created.

    Raises:
      CloneError: if an attribute of a layer cannot be copied.
    """
    with scope_of(model):
        return _clone(model)


def scope_of(model: tf.keras.Model):
    """Returns the strategy scope in which variables for `model` must be created."""
    strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else model.distribute_strategy
    return strategy.scope()


def layers_of(model: tf.keras.layers.Layer) -> list[tf.keras.layers.Layer]:
    """Lists `model` and every layer reachable from it, each once, in tracking order."""
    unique = {id(layer): layer for layer in model._flatten_layers()}
    return list(unique.values())


def _clone(model: tf.keras.Model) -> tf.keras.Model:
    layers = layers_of(model)
    for layer in layers:
        _check_has_code(layer)
    memo: Memo = {id(layer): object.__new__(type(layer)) for layer in layers}
    memo[id(model.distribute_strategy)] = model.distribute_strategy  # random generators refer to it
    for layer in layers:
        for _, resource in resources_of(layer):
            if id(resource) not in memo:
                memo[id(resource)] = _copy_table(resource) if isinstance(resource, MUTABLE) else resource
        for variable in layer._trainable_weights + layer._non_trainable_weights:
            if id(variable) not in memo and isinstance(variable, tf.Variable):
                memo[id(variable)] = copy_variable(variable)
            elif id(variable) not in memo and hasattr(variable, "_trackable"):  # stands for a table
                tracked = memo.get(id(variable._trackable), variable._trackable)
                memo[id(variable)] = base_layer_utils.TrackableWeightHandler(tracked)
        for value in vars(layer).values():
            if isinstance(value, polymorphic_function.Function):  # `tf.function` as an attribute
                memo[id(value)] = value
                memo[id(value)] = value._clone(rebind(value.python_function, memo))
    _keep_foreign_nodes(layers, memo)
    for layer in layers:
        _fill(memo[id(layer)], layer, memo)
    for layer in layers:
        shell = memo[id(layer)]
        _renumber_tensors(shell)
        if isinstance(shell, tf.keras.Model):
            shell.__dict__["_checkpoint"] = tf.train.Checkpoint(root=weakref.ref(shell))
    # `memo` has ids as keys: `layers` keeps the originals alive until here.
    return memo[id(model)]


def _check_has_code(layer: tf.keras.layers.Layer) -> None:
    if isinstance(layer, saved_model_load.RevivedLayer):  # includes RevivedNetwork
        raise CloneError(
            f"Cannot clone layer {layer.name!r}: it was loaded from a SavedModel without the code of its "
            f"class, {type(layer).__name__}, so that what it computes is bound to its own variables. Before "
            "loading, import the module that registers the class "
            "(tf.keras.saving.register_keras_serializable); on the command line, by --import."
        )


def copy_variable(variable: tf.Variable, value: Any = None, **changes: Any) -> tf.Variable:
    """Makes a variable like `variable`, with the same value or with `value`.

    Keeps name, dtype, trainability, constraint, distribution and automatic casting, unless `changes` gives
    another.
    """
    properties: dict[str, Any] = {
        "trainable": variable.trainable,
        "name": variable.name.partition(":")[0],
        "dtype": variable.dtype,
        "constraint": variable.constraint,
        "synchronization": variable.synchronization,
        "aggregation": variable.aggregation,
        "shape": variable.shape,
        **changes,
    }
    created = tf.Variable(variable.read_value() if value is None else value, **properties)
    if is_autocast(variable):
        created = autocast_variable.create_autocast_variable(created)
    return cast(tf.Variable, created)


def _copy_table(table: Any) -> Any:
    """Makes a table like one that can change, with equal contents; a copy of its handle would share them."""
    copied = copy.copy(table)
    if not copied._is_anonymous:
        copied._shared_name = f"table_{uuid.uuid4().hex}"
    copied._resource_handle = copied._create_resource()
    copied.insert(*contents_of(table))
    return copied


def is_autocast(variable: tf.Variable) -> bool:
    """Tells whether Keras casts the variable to the layer's compute dtype (mixed precision)."""
    return isinstance(variable, autocast_variable.AutoCastVariable)


def _keep_foreign_nodes(layers: list[tf.keras.layers.Layer], memo: Memo) -> None:
    """Lets the clone share the calls that tie these layers to other models.

    A layer remembers every functional model that it was used in. Copying those calls would copy models that
    nobody asked for.
    """
    for layer in layers:
        for call in _nodes(layer):
            parents = [history.layer for history in (t._keras_history for t in call.keras_inputs)]
            if any(id(other) not in memo for other in [call.layer, *parents]):
                memo[id(call)] = call


def _nodes(layer: tf.keras.layers.Layer) -> Iterator[Any]:
    yield from layer._inbound_nodes
    yield from layer._outbound_nodes


def _fill(shell: tf.keras.layers.Layer, layer: tf.keras.layers.Layer, memo: Memo) -> None:
    is_model = isinstance(layer, tf.keras.Model)
    state = dict(layer.__getstate__())
    fresh = vars(tf.keras.Model()) if is_model else {}
    filled: dict[str, Any] = {}
    for name, value in state.items():
        if is_model and name in _COMPILED:
            if name in fresh:
                filled[name] = fresh[name]
            continue
        if name in ("_checkpoint", "_obj_reference_counts_dict", *_LOADED):
            continue
        if name == "call" and _is_own_call(value, layer):
            continue
        if name in _OF_A_CALL:
            filled[name] = []
            continue
        if name.startswith("_self_unconditional"):
            value = _without(value, _LOADED | _COMPILED if is_model else _LOADED)
        try:
            filled[name] = _copy_value(value, memo)
        except CloneError:
            raise
        except Exception as error:
            raise CloneError(
                f"Cannot clone layer {layer.name!r} ({type(layer).__name__}): its attribute {name!r}, a "
                f"{type(value).__name__}, cannot be copied ({type(error).__name__}: {error}). Give that "
                "object a __deepcopy__ method, or set the attribute after cloning."
            ) from error
    shell.__setstate__(filled)
    counts = object_identity.ObjectIdentityDictionary()
    for tracked, count in state.get("_obj_reference_counts_dict", {}).items():
        if id(tracked) in memo:
            counts[memo[id(tracked)]] = count
    shell.__dict__["_obj_reference_counts_dict"] = counts


def _is_own_call(value: Any, layer: tf.keras.layers.Layer) -> bool:
    """Tells whether an attribute `call` is only the class's method again.

    Saving a SavedModel puts other functions there and then the method back, where it hides the class: what a
    class made on the fly computes would not be called.
    """
    function = getattr(value, "__func__", None)
    return getattr(value, "__self__", None) is layer and any(
        vars(kind).get("call") is function for kind in type(layer).__mro__
    )


def _without(dependencies: Any, names: set[str]) -> Any:
    """Returns Keras's list or dictionary of tracked objects without those called `names`."""
    if isinstance(dependencies, list):
        return [reference for reference in dependencies if reference.name not in names]
    return {name: value for name, value in dependencies.items() if name not in names}


def _copy_value(value: Any, memo: Memo) -> Any:
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, _SHARED) or _of_a_graph(value):
        return value
    if _item_by_item(value):
        items = {key: _copy_value(item, memo) for key, item in _items(value)}
        memo[id(value)] = type(value)(items if isinstance(value, dict) else list(items.values()))
        return memo[id(value)]
    if callable(value) and not isinstance(value, tf.Module):
        return rebind(value, memo)
    return copy.deepcopy(value, memo)


def _items(value: Any) -> Any:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _item_by_item(value: Any) -> bool:
    """Tells whether a container holds functions or tensors of a graph, and so cannot be deep-copied.

    A deep copy would leave the functions as they are, bound to the original's objects.
    """
    if type(value) not in _CONTAINERS:
        return False
    return any(
        (callable(item) and not isinstance(item, tf.Module)) or _of_a_graph(item) or _item_by_item(item)
        for _, item in _items(value)
    )


def _of_a_graph(value: Any) -> bool:
    return tf.is_tensor(value) and not hasattr(value, "numpy") and not node.is_keras_tensor(value)


def _renumber_tensors(layer: tf.keras.layers.Layer) -> None:
    """Updates the ids by which functional models find symbolic tensors to those of the copies."""
    for call in layer._inbound_nodes:
        if not isinstance(call, node.Node) or call.layer is not layer:
            continue
        call._keras_inputs_ids_and_indices = [
            (str(id(argument)), index)
            for index, argument in enumerate(call._flat_arguments)
            if node.is_keras_tensor(argument)
        ]
        call.flat_input_ids = [str(id(tensor)) for tensor in call._keras_inputs]
        call.flat_output_ids = [str(id(tensor)) for tensor in tf.nest.flatten(call.outputs)]
    if isinstance(layer, functional.Functional) and layer.__dict__.get("_graph_initialized", True):
        if getattr(layer, "_nodes_by_depth", None):
            layer._compute_tensor_usage_count()
