"""A model's architecture as text, and back, without executing what a stranger wrote."""

from __future__ import annotations

import json
import sys
from typing import Any, Optional

import tensorflow as tf
from tensorflow.python.util import tf_decorator
from tensorflow.python.util.tf_export import get_symbol_from_name

from .forms import form_of, to_plain

_VALUES = ("__bytes__", "__numpy__", "__tensor__")
# Layers that run whatever they are given: code, operations, methods.
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


class ArchitectureError(ValueError):
    """An architecture that cannot be made again; the message says what stands in the way."""


def plain_config(model: tf.keras.Model) -> dict[str, Any]:
    """Keras's config of a model's plain form, without what it was compiled with.

    Raises:
      NotImplementedError, TypeError, ValueError: where Keras cannot describe it.
    """
    plain = model if form_of(model) == "plain" else to_plain(model)
    config = tf.keras.saving.serialize_keras_object(plain)
    config.pop("compile_config", None)
    return config


def describe(model: tf.keras.Model) -> Optional[Any]:
    """What `build` makes the plain model from, of JSON's types; None for a model that Keras cannot describe.

    Keras describes Sequential and functional models, and subclasses that have a `get_config`.
    """
    logger = tf.get_logger()
    level = logger.level
    try:
        logger.setLevel("ERROR")  # Keras warns where it describes a model as nothing, which is seen here, too
        config = plain_config(model)
        return json.loads(json.dumps(config)) if config["config"] else None
    except (NotImplementedError, TypeError, ValueError):
        return None
    finally:
        logger.setLevel(level)


def build(config: Any) -> tf.keras.Model:
    """A plain model from what `describe` returned, its weights new.

    Classes are those of Keras and those that were registered
    (`tf.keras.saving.register_keras_serializable`) by code that is imported already; no module is
    imported, and no code that the config holds is run.

    Raises:
      ArchitectureError: for anything else.
    """
    if config is None:
        raise ArchitectureError(
            "Keras could not describe its architecture. Give the model that your code builds"
        )
    _check(config)
    try:
        model = tf.keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # a layer's constructor may raise whatever it likes
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
    # Keras looks up a function by its own name, which is its config, whatever name is registered.
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
    """Whether Keras finds a class or function of its own under these names, and nothing that it imported."""
    if not (isinstance(module, str) and isinstance(name, str) and f"{module}.".startswith("keras.")):
        return False
    if get_symbol_from_name(f"{module}.{name}") is not None:
        return True
    found = vars(sys.modules.get(module, object)).get(name)
    return isinstance(found, type) and f"{found.__module__}.".startswith("keras.")


def _is_harmless(config: dict[str, Any]) -> bool:
    """Whether a layer that calls a TensorFlow function, if it is one, calls one that only computes."""
    if config["class_name"] not in ("TFOpLambda", "SlicingOpLambda"):
        return True
    symbol = config["config"].get("function") if isinstance(config["config"], dict) else None
    if not isinstance(symbol, str):
        return False
    group, _, _ = symbol.rpartition(".")
    if group:
        return group in _COMPUTING
    home = getattr(tf_decorator.unwrap(get_symbol_from_name(symbol))[1], "__module__", "")
    return home.rpartition(".")[2] in ("array_ops", "array_ops_stack", "clip_ops", "math_ops")
