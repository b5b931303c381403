"""Provides the private parts of Keras 2.14 and TensorFlow 2.14 that other folders need.

Only modules of this folder import private parts, so that only this folder changes for another Keras.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
from keras.protobuf import saved_metadata_pb2
from keras.src.layers.normalization.batch_normalization import BatchNormalizationBase
from keras.src.saving import saving_lib
from keras.src.saving.legacy import hdf5_format
from tensorflow.python.framework import config
from tensorflow.python.util import tf_decorator
from tensorflow.python.util.tf_export import get_symbol_from_name

__all__ = [
    "BatchNormalizationBase",
    "SavedMetadata",
    "disable_op_determinism",
    "home_of_symbol",
    "is_keras_class_or_function",
    "load_assets",
    "names_in_group",
    "set_names_in_group",
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
