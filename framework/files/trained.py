"""Keeps what a training has learned, so that others go on from it: latents, steps, priors, masks.

The file is a container with the variables of the compressible model in place of encoded tensors. It is as
large as the model, and is never a result: only files by `lpz.save` are.
"""

from __future__ import annotations

import os

import tensorflow as tf

from ..atomic import PathLike
from ..container import file
from ..container.file import ContainerError
from ..forms.plain import FormError, form_of, require_built
from ..forms.rate import add_rate, num_params
from ..forms.types import Compressible
from ..surgery.computed_weights import Projected
from ..surgery.parametrize import set_class
from .lpz import TRAINED, entries_of, has_given_names, metadata_of, plain_copy, put_entries


def save_trained(model: tf.keras.Model, path: PathLike) -> int:
    """Writes all variables of a compressible model, atomically, and returns the file's length in bytes.

    Raises:
      FormError: for a model in another form.
      OSError: where the file system refuses.
    """
    if form_of(model) != "compressible":
        raise FormError(f"Only a compressible model has been trained; {model.name!r} is {form_of(model)}.")
    return file.write(path, entries_of(model, encoded=False), {**metadata_of(model), TRAINED: True})


def load_trained(path: PathLike, model: tf.keras.Model, lmbda: float) -> tf.keras.Model:
    """Returns a compressible clone of a model, with the variables that `save_trained` wrote.

    Args:
      path: of the file.
      model: as in `lpz.load`.
      lmbda: λ of the clone.

    Raises:
      FileNotFoundError, UnknownNameError, FormError: as `lpz.load`.
      ContainerError: for a file that is damaged, belongs to another model, or was written by `lpz.save`.
    """
    require_built(model)
    contents = file.read(path)
    if TRAINED not in contents.metadata:
        raise ContainerError(f"{os.fspath(path)!r} is a compressed model; it has no variables to train.")
    copied = plain_copy(model)
    put_entries(contents.entries, copied, Projected, os.fspath(path), has_given_names(contents))
    add_rate(copied, lmbda, num_params(copied))
    set_class(copied, Compressible)
    return copied
