"""Loads a whole Keras model from a third-party file without running code stored in it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf
from google.protobuf.message import DecodeError

from ..atomic import PathLike
from ..errors import LambdapressError
from ..messages import first_line
from ..surgery.private import SavedMetadata


class KerasFileError(LambdapressError, ValueError):
    """A Keras model cannot be loaded from a file; the message says why, and what to do."""


def load_keras(path: PathLike, allow_code: bool = False) -> tf.keras.Model:
    """Loads the model in a `.keras` or `.h5` file or in a SavedModel's folder, uncompiled.

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
    try:
        if not allow_code and (h5 or path.is_dir()) and _has_code(_hdf5(path) if h5 else _saved_model(path)):
            raise KerasFileError(
                f"{str(path)!r} holds Python code, of a Lambda layer, which would run. If you trust whoever "
                "wrote it: --allow-code, or allow_code=True."
            )
        return tf.keras.models.load_model(path, compile=False, safe_mode=not allow_code)
    except KerasFileError:
        raise
    except Exception as error:  # Keras has no exception of its own
        reason = first_line(error)
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


def _saved_model(path: Path) -> Iterable[str]:
    """Returns the descriptions of the objects in a SavedModel that Keras wrote, as JSON texts."""
    metadata = path / "keras_metadata.pb"
    if not metadata.is_file():
        raise KerasFileError(f"{str(path)!r} is no SavedModel of a Keras model: it has no keras_metadata.pb.")
    try:
        return [node.metadata for node in SavedMetadata.FromString(metadata.read_bytes()).nodes]
    except DecodeError as error:
        raise KerasFileError(f"{str(metadata)!r} is damaged: {error}.") from error


def _has_code(texts: Iterable[str]) -> bool:
    """Tells whether a layer's function, or one for its shape or mask, is stored as the code of a lambda."""
    return any(_marshalled(json.loads(text)) for text in texts if text)


def _marshalled(config: Any) -> bool:
    if isinstance(config, dict):
        is_lambda = any(key.endswith("_type") and value == "lambda" for key, value in config.items())
        return is_lambda or any(map(_marshalled, config.values()))
    return isinstance(config, list) and any(map(_marshalled, config))
