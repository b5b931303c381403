"""A model's architecture as text, and back, without executing what a stranger wrote."""

from __future__ import annotations

import json
from typing import Any, Optional

import tensorflow as tf

from .forms import to_plain


class ArchitectureError(ValueError):
    """An architecture that cannot be made again; the message says what stands in the way."""


def describe(model: tf.keras.Model) -> Optional[Any]:
    """What `build` makes the plain model from, of JSON's types; None for a model that Keras cannot describe.

    Keras describes Sequential and functional models, and subclasses that have a `get_config`.
    """
    logger = tf.get_logger()
    level = logger.level
    try:
        logger.setLevel("ERROR")  # Keras warns where it describes a model as nothing, which is seen here, too
        config = tf.keras.saving.serialize_keras_object(to_plain(model))
        config.pop("compile_config", None)
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
    name, module = config.get("registered_name"), config.get("module")
    if isinstance(name, str) and tf.keras.saving.get_registered_object(name) is not None:
        return
    within_keras = module is None or (isinstance(module, str) and f"{module}.".startswith("keras."))
    if within_keras and config["class_name"] not in ("Lambda", "__lambda__", "__typespec__"):
        return
    raise ArchitectureError(
        f"its architecture has {config['class_name']!r} of {module or 'no module'}, which is not "
        "one of Keras's own layers. Give the model that your own code builds, or import the code that "
        "registers it "
        "(tf.keras.saving.register_keras_serializable)"
    )
