"""Gives a plain model the values in a file of Keras or TensorFlow, or in a container.

Only numbers are read from a file. Its architecture is ignored, so nothing in it is executed or unpickled:
layers, functions and graphs in a Keras file or a SavedModel are not used. The model determines which weights
there must be. A file with other weights, or with other shapes, is refused before any value is taken, with an
error that names them.
"""

from __future__ import annotations

import glob
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from ..atomic import PathLike
from ..container.format import DEFAULT_NAME, MAGIC
from ..forms.plain import FormError, form_of, require_built, to_plain
from ..surgery.clone import scope_of
from ..surgery.layer_state import states_of
from ..surgery.weights import weights_of
from . import keras_hdf5, tf_checkpoint
from .derived_state import refresh_derived_state
from .lpz import load
from .mismatch import PretrainedError
from .table_entries import lacking_vocabulary

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_KINDS = (
    "a .keras or .h5 file, a SavedModel's folder, a TensorFlow checkpoint (its prefix, or a folder of some), "
    f"an .lpz file or a folder with a {DEFAULT_NAME}"
)


def initialise(model: tf.keras.Model, path: PathLike) -> None:
    """Gives every weight of a plain model the value that it has in a file.

    Args:
      model: plain and built; it determines which weights there must be.
      path: one of
        - a `.keras` file or the weights that `save_weights("….weights.h5")` wrote;
        - an HDF5 file, of a whole model or of its weights;
        - a SavedModel's folder;
        - the prefix of a TensorFlow checkpoint of the model (`save_weights`, `tf.train.Checkpoint(model)` or
          `tf.train.Checkpoint(model=model, …)`), or a folder of such checkpoints: the latest is read;
        - an `.lpz` file, or a folder with a `model.lpz`, such as a trial's.

    Raises:
      PretrainedError: if there is nothing that can be read, or if it does not fit the model: the message
        names weights that the file lacks, weights that the model lacks, and shapes that differ. Also if it
        has no vocabulary (a checkpoint never has) for a lookup layer of the model that was not adapted.
      ContainerError: likewise, for an `.lpz` file.
      FormError: for a model that is not plain, or not built.
    """
    if form_of(require_built(model)) != "plain":
        raise FormError(f"Only a plain model can be initialised; {model.name!r} is {form_of(model)}.")
    kind, source = _locate(path)
    with scope_of(model):
        _READERS[kind](model, source)
        problem = lacking_vocabulary(model)
        if problem:
            raise PretrainedError(f"{str(path)!r} has {problem}.")
        refresh_derived_state(model)


def content_hash(path: PathLike) -> str:
    """Returns the SHA-256 of the bytes that `initialise` would read, in hexadecimal digits.

    Raises:
      PretrainedError: if there is nothing that can be read.
    """
    kind, source = _locate(path)
    digest = hashlib.sha256()
    parts = [source]
    if kind == "checkpoint":
        start = glob.escape(os.fspath(source))
        parts = [Path(part) for part in sorted(glob.glob(f"{start}.index") + glob.glob(f"{start}.data-*"))]
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _locate(path: PathLike) -> tuple[str, Path]:
    """Returns the kind of the file to read, a key of `_READERS`, and its exact path or prefix."""
    source = Path(path)
    if source.is_dir():
        if (source / DEFAULT_NAME).is_file():
            return "container", source / DEFAULT_NAME
        if (source / "saved_model.pb").is_file():
            return "checkpoint", source / "variables" / "variables"
        latest = tf.train.latest_checkpoint(os.fspath(source))
        if latest is None:
            raise PretrainedError(f"In {str(source)!r} there is nothing to start from; give {_KINDS}.")
        return "checkpoint", Path(latest)
    if source.is_file():
        with source.open("rb") as file:
            start = file.read(8)
        for magic, kind in ((MAGIC, "container"), (_ZIP, "keras"), (_HDF5, "hdf5")):
            if start.startswith(magic):
                return kind, source
        if source.suffix != ".index":
            raise PretrainedError(f"{str(source)!r} is no file of weights that can be read; give {_KINDS}.")
        source = source.with_suffix("")
    if Path(f"{source}.index").is_file():
        return "checkpoint", source
    raise PretrainedError(f"There is nothing at {str(path)!r} to start from; give {_KINDS}.")


def _from_container(model: tf.keras.Model, path: Path) -> None:
    restored = to_plain(load(path, model))
    for weight, value in zip(weights_of(model), weights_of(restored), strict=True):
        weight.variable.assign(value.variable)
    for state, value in zip(states_of(model), states_of(restored), strict=True):
        state.write(value.read())


def _from_keras(model: tf.keras.Model, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        extracted = Path(folder) / "model.weights.h5"
        keras_hdf5.extract(path, extracted, model)
        keras_hdf5.read(model, extracted, path)
        keras_hdf5.read_assets(model, path, Path(folder) / "assets")


def _from_hdf5(model: tf.keras.Model, path: Path) -> None:
    keras_hdf5.read(model, path, path)


_READERS: Mapping[str, Callable[[tf.keras.Model, Path], None]] = {
    "container": _from_container,
    "keras": _from_keras,
    "hdf5": _from_hdf5,
    "checkpoint": tf_checkpoint.read,
}
