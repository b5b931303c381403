"""Values for a plain model from a file: of Keras, of TensorFlow, or a container.

A file gives numbers and nothing else. No architecture is read from it, so nothing that it says is executed
or unpickled: layers, functions and graphs that a Keras file or a SavedModel holds are left alone. The model
says which weights there must be, and a file that has others, or in other shapes, is refused by name before
any value is taken.
"""

from __future__ import annotations

import glob
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, Union

import tensorflow as tf

from . import keras_hdf5, object_graph
from .clone import scope_of
from .container import ARTEFACT, MAGIC
from .forms import FormError, form_of, require_built, to_plain
from .mismatch import PretrainedError
from .storage import load
from .weights import weights_of

PathLike = Union[str, "os.PathLike[str]"]

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_KINDS = (
    "a .keras or .h5 file, a SavedModel's folder, a TensorFlow checkpoint (its prefix, or a folder of some), "
    "an .lpz file or a trial's folder"
)


def initialise(model: tf.keras.Model, path: PathLike) -> None:
    """Gives every weight of a plain model the value that it has in a file.

    Args:
      model: plain and built; its own code made it, and says which weights there are.
      path: one of
        - a `.keras` file or the weights that `save_weights("….weights.h5")` wrote;
        - an HDF5 file, of a whole model or of its weights;
        - a SavedModel's folder;
        - the prefix of a TensorFlow checkpoint of the model (`save_weights`, `tf.train.Checkpoint(model)` or
          `tf.train.Checkpoint(model=model, …)`), or a folder of such checkpoints, whose latest counts;
        - an `.lpz` file, or the folder of a trial that has one.

    Raises:
      PretrainedError: where there is nothing that can be read, or it does not fit the model: the message
        names weights that the file lacks, weights that it has too many, and shapes that differ.
      ContainerError: the same, for an `.lpz` file.
      FormError: for a model that is not plain, or not built.
    """
    if form_of(require_built(model)) != "plain":
        raise FormError(f"Only a plain model can be initialised; {model.name!r} is {form_of(model)}.")
    kind, found = _locate(path)
    with scope_of(model):
        _READERS[kind](model, found)


def content_hash(path: PathLike) -> str:
    """The SHA-256 of what `initialise` would read, in hexadecimal digits.

    Raises:
      PretrainedError: where there is nothing that can be read.
    """
    kind, found = _locate(path)
    digest = hashlib.sha256()
    parts = [found]
    if kind == "checkpoint":
        start = glob.escape(os.fspath(found))
        parts = [Path(part) for part in sorted(glob.glob(f"{start}.index") + glob.glob(f"{start}.data-*"))]
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _locate(path: PathLike) -> tuple[str, Path]:
    """What kind of file there is, and where exactly."""
    given = Path(path)
    if given.is_dir():
        if (given / ARTEFACT).is_file():
            return "container", given / ARTEFACT
        if (given / "saved_model.pb").is_file():
            return "checkpoint", given / "variables" / "variables"
        latest = tf.train.latest_checkpoint(os.fspath(given))
        if latest is None:
            raise PretrainedError(f"In {str(given)!r} there is nothing to start from; give {_KINDS}.")
        return "checkpoint", Path(latest)
    if given.is_file():
        with given.open("rb") as file:
            start = file.read(8)
        for magic, kind in ((MAGIC, "container"), (_ZIP, "keras"), (_HDF5, "hdf5")):
            if start.startswith(magic):
                return kind, given
        if given.suffix != ".index":
            raise PretrainedError(f"{str(given)!r} is no file of weights that can be read; give {_KINDS}.")
        given = given.with_suffix("")
    if Path(f"{given}.index").is_file():
        return "checkpoint", given
    raise PretrainedError(f"There is nothing at {str(path)!r} to start from; give {_KINDS}.")


def _from_container(model: tf.keras.Model, path: Path) -> None:
    restored = weights_of(to_plain(load(path, model)))
    for weight, value in zip(weights_of(model), restored):
        weight.variable.assign(value.variable)


def _from_keras(model: tf.keras.Model, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        extracted = Path(folder) / "model.weights.h5"
        keras_hdf5.extract(path, extracted, model)
        keras_hdf5.read(model, extracted, path)


def _from_hdf5(model: tf.keras.Model, path: Path) -> None:
    keras_hdf5.read(model, path, path)


_READERS: Mapping[str, Callable[[tf.keras.Model, Path], None]] = {
    "container": _from_container,
    "keras": _from_keras,
    "hdf5": _from_hdf5,
    "checkpoint": object_graph.read,
}
