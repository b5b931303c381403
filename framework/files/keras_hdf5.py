"""Reads Keras's HDF5 files of weights, in both layouts, and checks a file before it takes a value.

The layout of `.keras` and `….weights.h5` files is a tree of objects. The older layout of `.h5` files is a
list of layers. To learn which weights a model has in a layout, Keras itself writes the model in that layout,
and the two files are compared.
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

from ..messages import first_line
from ..surgery.layer_state import free_sizes_as_zero
from ..surgery.private import load_assets, names_in_group, set_names_in_group
from .mismatch import PretrainedError, check

_MEMBER = "model.weights.h5"
_ASSETS = "assets/"
# Groups of a `.keras` file that belong to training and not to the model's weights.
_ASIDE = ("optimizer/", "metrics/", "compiled_metrics/", "compiled_loss/")
_MOST_TIMES, _SLACK = 8, 2**24  # largest file: this many times the model's weights, plus so many bytes

Shapes = dict[str, tuple[int, ...]]


def extract(archive: Path, to: Path, model: tf.keras.Model) -> None:
    """Extracts the weights from a `.keras` file into the HDF5 file `to`.

    Raises:
      PretrainedError: for another kind of file, or one that is too large for this model.
    """
    variables = [weight for weight in model.weights if isinstance(weight, tf.Variable)]
    weights = sum(variable.dtype.size * int(tf.size(variable)) for variable in variables)
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


def read_assets(model: tf.keras.Model, archive: Path, folder: Path) -> None:
    """Gives the layers of a model what a `.keras` file holds for them beside weights, such as vocabularies.

    Args:
      model: takes the assets.
      archive: path of the `.keras` file.
      folder: for the extracted files; must not exist.

    Raises:
      PretrainedError: for assets that are damaged, too large or do not fit.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if info.filename.startswith(_ASSETS)]
            size, most = (
                sum(info.file_size for info in members),
                _MOST_TIMES * archive.stat().st_size + _SLACK,
            )
            if size > most:
                raise PretrainedError(f"{str(archive)!r}: its assets unpack to {size:,} bytes.")
            for info in members:
                opened.extract(info, folder)
        if members:
            load_assets(model, folder / _ASSETS)
    except PretrainedError:
        raise
    except Exception as error:  # a layer's `load_assets` may raise anything
        raise PretrainedError(f"{str(archive)!r}: its assets cannot be read: {first_line(error)}") from error


def read(model: tf.keras.Model, path: Path, name: Path) -> None:
    """Gives a model the values in an HDF5 file.

    Args:
      model: takes the values.
      path: of the HDF5 file.
      name: the path that the user gave, for errors.

    Raises:
      PretrainedError: for a file that is damaged or does not fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Keras chooses the layout by the end of a file's name.
        given_file, model_file = Path(folder) / "given", Path(folder) / "own"
        try:
            by_layer = _is_by_layer(path)
            suffix = ".h5" if by_layer else ".weights.h5"
            given_file, model_file = given_file.with_suffix(suffix), model_file.with_suffix(suffix)
            with free_sizes_as_zero(model):
                model.save_weights(model_file)
            if by_layer:
                _copy_in_order(path, given_file, _names(model_file))
            else:
                os.symlink(path.resolve(), given_file)
            shapes = _layers if by_layer else _tree
            check(name, *_aligned(shapes(model_file), shapes(given_file), by_layer))
            model.load_weights(given_file)
        except PretrainedError:
            raise
        except (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError) as error:
            raise PretrainedError(f"{str(name)!r} cannot be read: {first_line(error)}") from error


def _is_by_layer(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        return "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file


def _tree(path: Path) -> Shapes:
    """Returns the shapes of the weights in a file with the tree layout, by their place in the tree."""
    with h5py.File(path, "r") as file:
        return {key: shape for key, shape in _datasets(file).items() if not key.startswith(_ASIDE)}


def _layers(path: Path) -> Shapes:
    """Returns the shapes of the weights in a file with the older layout, in order, by name."""
    with h5py.File(path, "r") as file:
        datasets = _datasets(file)
        root: Any = file["model_weights"] if "model_weights" in file else file
        prefix = "model_weights/" if "model_weights" in file else ""
        layers = names_in_group(root, "layer_names")
        layers += ["top_level_model_weights"] if "top_level_model_weights" in root else []
        shapes = {}
        for layer in layers:
            for name in names_in_group(root[layer], "weight_names"):
                shapes[f"{layer}/{name}"] = datasets[f"{prefix}{layer}/{name}"]
        return shapes


def _names(path: Path) -> list[list[str]]:
    """Returns the names of the weights in a file with the older layout, layer by layer."""
    with h5py.File(path, "r") as file:
        return [names_in_group(group, "weight_names") for group in _groups(file)]


def _groups(file: h5py.File) -> list[Any]:
    root: Any = file["model_weights"] if "model_weights" in file else file
    return [root[layer] for layer in names_in_group(root, "layer_names")]


def _copy_in_order(path: Path, copy: Path, wanted: list[list[str]]) -> None:
    """Copies a file with the older layout, and puts the weights of each layer in the order that a model has.

    Keras reads them in order. Those of a nested model come as trained ones first: where a layer was frozen
    when it was saved and is not now, or the other way round, only their names tell which is which.

    Raises:
      PretrainedError: as `_datasets`; a link to another file would be followed, and that file changed.
    """
    with h5py.File(path, "r") as file:
        _datasets(file)
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        for group, names in zip(_groups(file), wanted, strict=False):
            stored = names_in_group(group, "weight_names")
            if stored != names and len(set(names)) == len(names) and set(stored) == set(names):
                set_names_in_group(group, "weight_names", names)


def _aligned(wanted: Shapes, found: Shapes, by_layer: bool) -> tuple[Shapes, Shapes]:
    """Gives the weights of an older file the model's names, if there are as many of them.

    Keras reads such files in order and ignores the names.
    """
    if by_layer and len(wanted) == len(found):
        return wanted, dict(zip(wanted, found.values(), strict=True))
    return wanted, found


def _datasets(file: h5py.File) -> Shapes:
    """Returns the shape of every dataset in an HDF5 file, by path.

    Raises:
      PretrainedError: for links to other places, for values outside of the file (HDF5 allows both), and for
        datasets that hold no numbers.
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
