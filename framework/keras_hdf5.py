"""Keras's HDF5 files of weights, of both layouts: looked through before a value is taken.

The layout of `.keras` files, and of `….weights.h5`, is a tree of objects; the older one of `.h5` files is a
list of layers. Which weights a model would have in either is asked of Keras itself: it writes the model in
the same layout, and the two are compared.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from .mismatch import PretrainedError, check

_MEMBER = "model.weights.h5"
# What a `.keras` file has beside the model's weights is of its training.
_ASIDE = ("optimizer/", "metrics/", "compiled_metrics/", "compiled_loss/")
_MOST_TIMES, _SLACK = 8, 2**24  # a file may be so many times as large as its model's weights, and bytes more

Shapes = dict[str, tuple[int, ...]]


def extract(archive: Path, to: Path, model: tf.keras.Model) -> None:
    """Takes the weights out of a `.keras` file.

    Raises:
      PretrainedError: for what is no such file, or is too large to be of this model.
    """
    weights = sum(variable.dtype.size * int(tf.size(variable)) for variable in model.weights)
    try:
        with zipfile.ZipFile(archive) as opened:
            size = opened.getinfo(_MEMBER).file_size
            if size > _MOST_TIMES * weights + _SLACK:
                raise PretrainedError(
                    f"{str(archive)!r} does not fit the model: it unpacks to {size:,} bytes, and the model's "
                    f"weights are {weights:,}."
                )
            with opened.open(_MEMBER) as source, to.open("wb") as target:
                shutil.copyfileobj(source, target)
    except KeyError:
        raise PretrainedError(f"{str(archive)!r} is no .keras file: it has no {_MEMBER}.") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise PretrainedError(f"{str(archive)!r} cannot be read: {error}") from error


def read(model: tf.keras.Model, path: Path, name: Path) -> None:
    """Gives a model the values in an HDF5 file.

    Args:
      model: takes the values.
      path: of the HDF5 file.
      name: of the file that the user gave, for errors.

    Raises:
      PretrainedError: for a file that is damaged or does not fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Keras goes by the end of a file's name.
        given, own = Path(folder) / "given", Path(folder) / "own"
        try:
            by_layer = _is_by_layer(path)
            suffix = ".h5" if by_layer else ".weights.h5"
            given, own = given.with_suffix(suffix), own.with_suffix(suffix)
            os.symlink(path.resolve(), given)
            model.save_weights(own)
            shapes = _layers if by_layer else _tree
            check(name, *_aligned(shapes(own), shapes(given), by_layer))
            model.load_weights(given)
        except PretrainedError:
            raise
        except (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise PretrainedError(f"{str(name)!r} cannot be read: {reason}") from error


def _is_by_layer(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        return "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file


def _tree(path: Path) -> Shapes:
    """The shapes of an object tree's weights, by their place in it."""
    with h5py.File(path, "r") as file:
        return {key: shape for key, shape in _datasets(file).items() if not key.startswith(_ASIDE)}


def _layers(path: Path) -> Shapes:
    """The shapes of the weights of an older file, in order, by their names."""
    from keras.src.saving.legacy import hdf5_format

    with h5py.File(path, "r") as file:
        held = _datasets(file)
        root: Any = file["model_weights"] if "model_weights" in file else file
        prefix = "model_weights/" if "model_weights" in file else ""
        layers = list(hdf5_format.load_attributes_from_hdf5_group(root, "layer_names"))
        layers += ["top_level_model_weights"] if "top_level_model_weights" in root else []
        shapes = {}
        for layer in layers:
            for name in hdf5_format.load_attributes_from_hdf5_group(root[layer], "weight_names"):
                shapes[f"{layer}/{name}"] = held[f"{prefix}{layer}/{name}"]
        return shapes


def _aligned(wanted: Shapes, found: Shapes, by_layer: bool) -> tuple[Shapes, Shapes]:
    """Older files are read in order: where they have as many weights as the model, names do not count."""
    if by_layer and len(wanted) == len(found):
        return wanted, dict(zip(wanted, found.values()))
    return wanted, found


def _datasets(file: h5py.File) -> Shapes:
    """The shape of every dataset by its path.

    Raises:
      PretrainedError: for links to other places and for values outside of the file, which HDF5 allows.
    """
    shapes: Shapes = {}

    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Group):
            if not all(isinstance(item.get(key, getlink=True), h5py.HardLink) for key in item):
                raise PretrainedError(f"{file.filename!r} has links, which no file of weights needs.")
            return
        if item.external or item.is_virtual or item.dtype.kind not in "fiubV":
            raise PretrainedError(f"{file.filename!r}: {path} holds no numbers of its own.")
        shapes[path] = tuple(item.shape)

    visit("", file)
    file.visititems(visit)
    return shapes
