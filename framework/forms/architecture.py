"""Describes a model's architecture as text, and builds it again without running untrusted code."""

from __future__ import annotations

import json
from typing import Any

import tensorflow as tf

from ..errors import LambdapressError
from ..surgery.private import home_of_symbol, is_keras_class_or_function
from .plain import form_of, to_plain

_VALUES = ("__bytes__", "__numpy__", "__tensor__")
# Layers that run code, operations or methods that their config names.
_RUNNERS = ("ClassMethod", "InstanceMethod", "Lambda", "TensorFlowOpLayer", "__lambda__")
_COMPUTING = (
    "__operators__",
    "bitwise",
    "image",
    "keras.backend",
    "linalg",
    "math",
    "nn",
    "signal",
    "strings",
)


class ArchitectureError(LambdapressError, ValueError):
    """An architecture cannot be built from its description; the message says why."""


def plain_config(model: tf.keras.Model) -> dict[str, Any]:
    """Returns Keras's config of a model's plain form, without the arguments of `compile`.

    Raises:
      NotImplementedError, TypeError, ValueError: if Keras cannot describe the model.
    """
    plain = model if form_of(model) == "plain" else to_plain(model)
    config = tf.keras.saving.serialize_keras_object(plain)
    config.pop("compile_config", None)
    return config


def describe(model: tf.keras.Model) -> Any | None:
    """Returns a description from which `build` makes the plain model, or None if Keras cannot describe it.

    The description consists of JSON's types. Keras can describe Sequential and functional models, and
    subclasses that have a `get_config`.
    """
    logger = tf.get_logger()
    level = logger.level
    try:
        logger.setLevel("ERROR")  # Keras warns where its description is empty, which is handled below
        config = plain_config(model)
        return json.loads(json.dumps(config), object_hook=_without_file) if config["config"] else None
    except (NotImplementedError, TypeError, ValueError):
        return None
    finally:
        logger.setLevel(level)


def _without_file(config: dict[str, Any]) -> dict[str, Any]:
    """Takes the name of a vocabulary's file out of a config: a reader need not have that file."""
    return {**config, "vocabulary": None} if isinstance(config.get("vocabulary"), str) else config


def build(config: Any) -> tf.keras.Model:
    """Builds a plain model with new weights from a description that `describe` returned.

    It may use Keras's classes and those that code imported before has registered
    (`tf.keras.saving.register_keras_serializable`). No module is imported, and no code in the config runs.

    Raises:
      ArchitectureError: for any other description.
    """
    if config is None:
        raise ArchitectureError(
            "Keras could not describe its architecture. Give the model that your code builds"
        )
    _check(config)
    try:
        model = tf.keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # a layer's constructor may raise anything
        raise ArchitectureError(f"its architecture cannot be made again: {error}") from error
    if not isinstance(model, tf.keras.Model) or not model.built:
        raise ArchitectureError(
            "its architecture is not one of a model that knows the shape of its weights. Give the model that "
            "your own code builds"
        )
    return model


def _check(config: Any, depth: int = 0) -> None:
    if depth > 100:
        raise ArchitectureError("its architecture is nested too deeply")
    if isinstance(config, list):
        for item in config:
            _check(item, depth + 1)
    if not isinstance(config, dict):
        return
    if "class_name" in config:
        _check_class(config)
    for item in config.values():
        _check(item, depth + 1)


def _check_class(config: dict[str, Any]) -> None:
    kind, module = config["class_name"], config.get("module")
    # Keras looks up a function by the name in its config, and ignores the registered name.
    name = config.get("config") if kind == "function" else kind
    registered = name if kind == "function" else config.get("registered_name")
    if isinstance(registered, str) and tf.keras.saving.get_registered_object(registered) is not None:
        return
    if kind in _VALUES:
        return
    if _is_of_keras(module, name) and kind not in _RUNNERS and _is_harmless(config):
        return
    raise ArchitectureError(
        f"its architecture has {name!r} of {module or 'no module'}, which is not one of Keras's own layers, "
        "or one that runs what a file says. Give the model that your own code builds, or import the code "
        "that registers it (tf.keras.saving.register_keras_serializable)"
    )


def _is_of_keras(module: Any, name: Any) -> bool:
    """Tells whether these names give a class or function that Keras itself defines, not one it imports."""
    if not (isinstance(module, str) and isinstance(name, str) and f"{module}.".startswith("keras.")):
        return False
    return is_keras_class_or_function(module, name)


def _is_harmless(config: dict[str, Any]) -> bool:
    """Tells whether a layer is safe: if it calls a TensorFlow function, that function must only compute."""
    if config["class_name"] not in ("TFOpLambda", "SlicingOpLambda"):
        return True
    symbol = config["config"].get("function") if isinstance(config["config"], dict) else None
    if not isinstance(symbol, str):
        return False
    group, _, _ = symbol.rpartition(".")
    if group:
        return group in _COMPUTING
    return home_of_symbol(symbol).rpartition(".")[2] in (
        "array_ops",
        "array_ops_stack",
        "clip_ops",
        "math_ops",
    )
