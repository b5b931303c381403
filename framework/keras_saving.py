"""Keras's own files (`.keras`) of compressible and compressed models: what their configs hold.

`model.save` and `tf.keras.models.load_model` need a config to make the model from, and variables to fill
in. The config has the plain model's, as Keras writes it, and for each computed weight its algorithm and
the shapes of its tensors; the variables are the algorithms' own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from .algorithm import algorithms
from .architecture import plain_config
from .clone import scope_of
from .forms import Compressed, Compressible, add_rate, form_of
from .parametrize import put_slot, set_class
from .slots import Projected, Stored, StoredOnce, slots_of
from .storage import config_of
from .weight_losses import redirect_losses
from .weights import weights_of

_FEW = 2**16  # elements that any tensor may have; of others, no more than a multiple of the weight's
_KINDS = {"Projected": Projected, "Stored": Stored, "StoredOnce": StoredOnce}


def get_config(model: tf.keras.Model) -> dict[str, Any]:
    """A compressible or compressed model's config, of types that Keras serialises."""
    return {"plain": plain_config(model), "weights": [_slot_config(slot) for slot in slots_of(model)]}


def _slot_config(slot: Any) -> dict[str, Any]:
    return {
        "path": slot.spec.path,
        "kind": type(slot).__name__,
        "algorithm": slot.algorithm.name,
        "hyper_parameters": config_of(slot.algorithm),
        "tensors": {name: [v.dtype.name, list(v.shape)] for name, v in slot.variables().items()},
    }


def from_config(config: Mapping[str, Any]) -> tf.keras.Model:
    """A model as `get_config` described it, its variables yet to be filled.

    Raises:
      ValueError: for a config that no model has.
      UnknownNameError: for an algorithm that is not installed.
    """
    model = config["plain"]
    if not isinstance(model, tf.keras.Model):
        model = tf.keras.saving.deserialize_keras_object(model)
    weights = {weight.spec.path: weight for weight in weights_of(model)}
    parameters = model.count_params()
    replaced = []
    with scope_of(model):
        for entry in config["weights"]:
            weight, kind = weights.get(entry["path"]), _KINDS.get(entry["kind"])
            if weight is None or kind is None:
                raise ValueError(
                    f"The config has {entry['kind']!r} of {entry['path']!r}, which its model lacks."
                )
            algorithm = algorithms.get(entry["algorithm"])(**entry["hyper_parameters"])
            most = max(_FEW, 4 * weight.spec.size)
            tensors = {name: _blank(name, most, *of) for name, of in entry["tensors"].items()}
            put_slot(
                weight, algorithm, tensors, kind, trainable=weight.variable.trainable and kind is Projected
            )
            replaced.append(weight)
        redirect_losses(model, replaced)
        if form_of(model) == "compressible":
            add_rate(model, 0.0, parameters)
            set_class(model, Compressible)
        else:
            set_class(model, Compressed)
    return model


def _blank(name: str, most: int, dtype: str, shape: list[int]) -> tf.Tensor:
    if math.prod(shape) > most:
        raise ValueError(f"The config has a tensor {name!r} of shape {shape}, too large for its weight.")
    return tf.fill(shape, tf.constant("" if dtype == "string" else 0, dtype))
