"""Describes compressible and compressed models for Keras's own files (`.keras`), and builds them again.

`model.save` and `tf.keras.models.load_model` need a config that describes the model, and variables to fill
in. The config holds the plain model's config, as Keras writes it, and for each computed weight its algorithm
and the shapes of its tensors. The variables are those of the algorithms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from ..algorithm import algorithms, config_of
from ..algorithm_checks import tensors_of
from ..surgery.clone import clone
from ..surgery.computed_weights import ComputedWeight, Projected, Stored, StoredOnce, computed_weights_of
from ..surgery.replace_weights import Replacement, replace_weights
from ..surgery.weights import weights_of
from .architecture import plain_config
from .names import give_names, given_names
from .plain import form_of
from .rate import add_rate

_FEW = 2**16  # elements that any tensor may have; more are allowed only up to a multiple of the weight's
_KINDS = {"Projected": Projected, "Stored": Stored, "StoredOnce": StoredOnce}


def get_config(model: tf.keras.Model) -> dict[str, Any]:
    """Returns the config of a compressible or compressed model, of types that Keras serialises."""
    return {
        "lmbda": float(model.lmbda) if form_of(model) == "compressible" else 0.0,
        "plain": plain_config(model),
        "names": given_names(model),
        "weights": [_weight_config(computed) for computed in computed_weights_of(model)],
    }


def _weight_config(computed: ComputedWeight) -> dict[str, Any]:
    return {
        "path": computed.spec.path,
        "kind": type(computed).__name__,
        "algorithm": computed.algorithm.name,
        "hyper_parameters": config_of(computed.algorithm),
        "tensors": {name: _layout(variable) for name, variable in computed.variables().items()},
    }


def _layout(tensor: Any) -> list[Any]:
    return [tf.as_dtype(tensor.dtype).name, list(tensor.shape)]


def from_config(config: Mapping[str, Any]) -> tf.keras.Model:
    """Builds the model that `get_config` described, with new values and without its form's class.

    As from any config, a compressible model's weights are initialised as those of a new model. Tensors that
    depend on what was compressed, which those of a compressed model all do, are blank.

    Raises:
      ValueError: for a config that `get_config` did not write.
      UnknownNameError: for an algorithm that is not installed.
    """
    model = config["plain"]
    if not isinstance(model, tf.keras.Model):
        model = tf.keras.saving.deserialize_keras_object(model)
    if not model.built:
        raise ValueError(
            f"The config of {model.name!r}, a {type(model).__name__}, gives a model that is not built, so "
            "that it has no weights to compute. To copy the model as it is: to_compressible(model) or "
            "to_compressed(model)."
        )
    if any(config.get("names", ())):  # configs of earlier releases have none
        give_names(model, config["names"])
    # Building has called the model: a `call` that is a `tf.function` was traced, and goes on reading
    # variables that are about to be replaced. A clone has traced nothing.
    model = clone(model)
    parameters = model.count_params()
    lmbda = config.get("lmbda")  # configs of earlier releases have none
    replace_weights(model, _replacements(model, config["weights"], lmbda))
    if form_of(model) == "compressible":
        add_rate(model, lmbda or 0.0, parameters)
    return model


def _replacements(model: tf.keras.Model, entries: Any, lmbda: float | None) -> Iterator[Replacement]:
    weights = {weight.spec.path: weight for weight in weights_of(model)}
    for entry in entries:
        weight, kind = weights.get(entry["path"]), _KINDS.get(entry["kind"])
        if weight is None or kind is None:
            raise ValueError(f"The config has {entry['kind']!r} of {entry['path']!r}, which its model lacks.")
        algorithm = algorithms.get(entry["algorithm"])(**entry["hyper_parameters"])
        most = max(_FEW, 4 * weight.spec.size)
        tensors = {name: _blank(name, most, *layout) for name, layout in entry["tensors"].items()}
        if kind is Projected and lmbda is not None:
            value = tf.cast(weight.variable.read_value(), weight.spec.dtype)
            fresh = tensors_of(algorithm, "init", weight.spec, value, weight.spec, float(lmbda))
            if {name: _layout(tensor) for name, tensor in fresh.items()} == entry["tensors"]:
                tensors = fresh
        trainable = weight.variable.trainable and kind is Projected
        yield Replacement(weight, algorithm, tensors, kind, trainable)


def _blank(name: str, most: int, dtype: str, shape: list[int]) -> tf.Tensor:
    if math.prod(shape) > most:
        raise ValueError(f"The config has a tensor {name!r} of shape {shape}, too large for its weight.")
    return tf.fill(shape, tf.constant("" if dtype == "string" else 0, dtype))
