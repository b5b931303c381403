"""Loads a whole Keras model from a third-party file without running code stored in it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from ..atomic import PathLike
from ..errors import LambdapressError
from ..forms.names import keep_names
from ..messages import first_line
from ..surgery.private import SavedMetadata

_LONGEST = 300  # characters of Keras's own errors, which may show a whole config


class KerasFileError(LambdapressError, ValueError):
    """A Keras model cannot be loaded from a file; the message says why, and what to do."""


def load_keras(path: PathLike, allow_code: bool = False) -> tf.keras.Model:
    """Loads the model in a `.keras` or `.h5` file or in a SavedModel's folder, uncompiled.

    Paths of its weights have the layers' names as they are in the file, also those such as `conv2d_1`.

    >>> tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3, name="dense_7")]).save("m.keras")
    >>> compressible = to_compressible(load_keras("m.keras"), [("^dense_7/kernel", algorithm)])
    >>> [row.path for row in size_report(compressible).rows]
    ['dense_7/kernel', 'dense_7/bias']

    Args:
      path: of the file or folder.
      allow_code: whether Python code in the file, such as a `Lambda` layer's, may run.

    Raises:
      FileNotFoundError: if there is nothing at `path`.
      KerasFileError: for any other kind of file, for layers whose classes are not registered, and for a file
        with code, unless `allow_code` is True.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {str(path)!r}.")
    h5 = path.is_file() and h5py.is_hdf5(path)
    if not h5 and not path.is_dir() and not (path.suffix == ".keras" and zipfile.is_zipfile(path)):
        raise KerasFileError(
            f"{str(path)!r} is neither an HDF5 file nor an archive whose name ends in .keras. A model is a "
            ".keras or .h5 file or a SavedModel's folder."
        )
    _check_version(path, h5)
    try:
        if not allow_code and (h5 or path.is_dir()) and _has_code(_hdf5(path) if h5 else _saved_model(path)):
            raise KerasFileError(
                f"{str(path)!r} holds Python code, of a Lambda layer, which would run. If you trust whoever "
                "wrote it: --allow-code, or allow_code=True."
            )
        model = tf.keras.models.load_model(path, compile=False, safe_mode=not allow_code)
        keep_names(model)
        return model
    except KerasFileError:
        raise
    except Exception as error:  # Keras has no exception of its own
        reason = first_line(error)
        reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
        if "safe_mode=False" in str(error):
            reason = (
                "it holds Python code, of a Lambda layer. If you trust whoever wrote it: --allow-code, or "
                "allow_code=True"
            )
        else:
            reason = (
                f"{reason.rstrip('.')}. If it has layers of your own, import the module that registers them "
                "first: --import"
            )
        raise KerasFileError(f"{str(path)!r} cannot be loaded by Keras: {reason}.") from error


def _hdf5(path: Path) -> Iterable[str]:
    """Returns the architecture in an HDF5 file, as one JSON text."""
    with h5py.File(path) as file:
        text = file.attrs.get("model_config")
    if text is None:
        raise KerasFileError(
            f"{str(path)!r} holds weights and no architecture: save the whole model, model.save(…)."
        )
    return [text.decode() if isinstance(text, bytes) else str(text)]


def _check_version(path: Path, h5: bool) -> None:
    """Refuses files of Keras 3, by their version; they describe layers in another way.

    Raises:
      KerasFileError: with that version.
    """
    version = _version_in_hdf5(path) if h5 else _version_in_archive(path) if path.is_file() else None
    major = version.partition(".")[0] if isinstance(version, str) else ""
    if major.isdigit() and int(major) > 2:
        raise KerasFileError(
            f"{str(path)!r} was written by Keras {str(version)[:20]}; this is Keras "
            f"{metadata.version('keras')}, which reads files of Keras 2. Where it was written, the "
            "environment variable TF_USE_LEGACY_KERAS=1 makes tf.keras Keras 2."
        )


def _version_in_archive(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive, archive.open("metadata.json") as file:
            return json.loads(file.read(1_000_000)).get("keras_version")
    except (KeyError, ValueError, OSError, AttributeError, zipfile.BadZipFile):  # load_model will say it
        return None


def _version_in_hdf5(path: Path) -> Any:
    with h5py.File(path) as file:
        version = file.attrs.get("keras_version")
    return version.decode(errors="replace") if isinstance(version, bytes) else version


def _saved_model(path: Path) -> Iterable[str]:
    """Returns the descriptions of the objects in a SavedModel that Keras wrote, as JSON texts.

    They are in `keras_metadata.pb` since TensorFlow 2.5, and in the SavedModel itself before.
    """
    descriptions, graph = path / "keras_metadata.pb", path / "saved_model.pb"
    try:
        if descriptions.is_file():
            return [node.metadata for node in SavedMetadata.FromString(descriptions.read_bytes()).nodes]
        if graph.is_file():
            found = _described_in(saved_model_pb2.SavedModel.FromString(graph.read_bytes()))
            if found:
                return found
    except DecodeError as error:
        raise KerasFileError(f"{str(path)!r} is damaged: {error}.") from error
    if not graph.is_file() and tf.train.latest_checkpoint(str(path)) or list(path.glob("*.index")):
        raise KerasFileError(
            f"{str(path)!r} holds checkpoints, which are values without a model. Load them into the model "
            "that the code builds, and save that; or train a task from them by trial.init_from."
        )
    raise KerasFileError(f"{str(path)!r} is no SavedModel of a Keras model: nothing in it describes layers.")


def _described_in(saved: Any) -> list[str]:
    return [
        node.user_object.metadata
        for graph in saved.meta_graphs
        for node in graph.object_graph_def.nodes
        if node.user_object.identifier.startswith("_tf_keras") and node.user_object.metadata
    ]


def _has_code(texts: Iterable[str]) -> bool:
    """Tells whether a layer's function, or one for its shape or mask, is stored as the code of a lambda."""
    return any(_marshalled(json.loads(text)) for text in texts if text)


def _marshalled(config: Any) -> bool:
    if isinstance(config, dict):
        is_lambda = any(key.endswith("_type") and value == "lambda" for key, value in config.items())
        return is_lambda or any(map(_marshalled, config.values()))
    return isinstance(config, list) and any(map(_marshalled, config))
