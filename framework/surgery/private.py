"""Provides the private parts of Keras 2.14 and TensorFlow 2.14 that other folders need.

Only modules of this folder import private parts, so that only this folder changes for another Keras.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf
from keras.protobuf import saved_metadata_pb2
from keras.src.engine.functional import Functional
from keras.src.layers.normalization.batch_normalization import BatchNormalizationBase
from keras.src.saving import saving_lib
from keras.src.saving.legacy import hdf5_format
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.python.framework import config
from tensorflow.python.util import (
    _pywrap_util_port,  # pyright: ignore[reportAttributeAccessIssue]
    tf_decorator,
)
from tensorflow.python.util.tf_export import get_symbol_from_name

__all__ = [
    "BatchNormalizationBase",
    "Functional",
    "SavedMetadata",
    "average_of",
    "compute_in_float32",
    "disable_op_determinism",
    "flex_operations",
    "home_of_symbol",
    "is_keras_class_or_function",
    "load_assets",
    "names_in_group",
    "set_names_in_group",
    "uses_onednn",
    "without_fused_recurrence",
]


SavedMetadata: Any = getattr(saved_metadata_pb2, "SavedMetadata")  # noqa: B009  generated, unknown to pyright
"""The message in a SavedModel's `keras_metadata.pb`."""


def names_in_group(group: h5py.Group | h5py.File, attribute: str) -> list[str]:
    """Returns the names that an attribute lists in one of Keras's older HDF5 files."""
    return list(hdf5_format.load_attributes_from_hdf5_group(group, attribute))


def set_names_in_group(group: h5py.Group, attribute: str, names: list[str]) -> None:
    """Replaces the names that `names_in_group` returns."""
    for old in [key for key in group.attrs if key.removeprefix(attribute).isdigit() or key == attribute]:
        del group.attrs[old]
    hdf5_format.save_attributes_to_hdf5_group(group, attribute, [name.encode() for name in names])


def load_assets(model: Any, folder: Path) -> None:
    """Lets each layer of a model read its assets in the folder `assets` of a `.keras` file."""
    store = saving_lib.DiskIOStore(str(folder), mode="r")
    saving_lib._load_state(model, None, store, inner_path="", visited_trackables=set())


def is_keras_class_or_function(module: str, name: str) -> bool:
    """Tells whether `name` is a class or function that Keras itself defines, not one that it imports."""
    if get_symbol_from_name(f"{module}.{name}") is not None:
        return True
    value: Any = vars(sys.modules.get(module, object)).get(name)
    return isinstance(value, type) and f"{value.__module__}.".startswith("keras.")


def home_of_symbol(name: str) -> str:
    """Returns the module in which TensorFlow defines its public function `name`, or an empty text."""
    return getattr(tf_decorator.unwrap(get_symbol_from_name(name))[1], "__module__", "")


def disable_op_determinism() -> None:
    """Undoes `tf.config.experimental.enable_op_determinism`; TensorFlow has no public function for it."""
    config.disable_op_determinism()


def uses_onednn() -> bool:
    """Tells whether TensorFlow uses oneDNN's kernels in this process; it decides when it is imported."""
    return _pywrap_util_port.IsMklEnabled()


def flex_operations(content: bytes) -> list[str]:
    """Lists TensorFlow's own operations in a TensorFlow Lite file, which the Flex delegate must run."""
    codes: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0)).operatorCodes
    customs = [code.customCode.decode() for code in codes if code.customCode]
    return sorted(name.removeprefix("Flex") for name in customs if name.startswith("Flex"))


def compute_in_float32(model: tf.keras.Model) -> None:
    """Has the layers of a model in mixed precision compute in the dtype of their variables, float32."""
    for layer in [model, *model._flatten_layers(include_self=False)]:
        if layer.dtype_policy.name.startswith("mixed_"):
            layer._set_dtype_policy("float32")
            if hasattr(layer, "finalize_state"):  # constants that Keras has cast already
                layer.finalize_state()


def without_fused_recurrence(model: tf.keras.Model) -> None:
    """Has the recurrent layers of a model trace a loop over their steps, as if no fused kernel could be used.

    TensorFlow Lite's converter knows Keras's other function of an LSTM, and makes one operation of it. That
    operation goes on from the state in which the last inference left it, and other loops may begin with it.

    Args:
      model: is changed.
    """
    for layer in model._flatten_layers():
        if hasattr(layer, "_could_use_gpu_kernel"):
            layer._could_use_gpu_kernel = False


def average_of(optimizer: Any, variable: tf.Variable) -> tf.Variable | None:
    """Returns the moving average that an optimizer keeps of a variable; None where it keeps none (yet).

    Args:
      optimizer: of Keras with `use_ema`, or a legacy one that averages in its slot `average`, as those of
        Official Models and TensorFlow Addons do; any of them may be wrapped for loss scaling.
      variable: of a model in training.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if getattr(optimizer, "use_ema", False):
        place = getattr(optimizer, "_index_dict", {}).get(optimizer._var_key(variable))
        return None if place is None else optimizer._model_variables_moving_average[place]
    if "average" in getattr(optimizer, "get_slot_names", list)():
        try:
            return optimizer.get_slot(variable, "average")
        except KeyError:  # of a variable that is not averaged
            return None
    return None
