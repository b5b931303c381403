"""Defines the types of compressible and compressed models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import tensorflow as tf

from ..surgery.parametrize import set_class
from . import keras_saving
from .plain import FormError, form_of
from .whole_training import whole_training


class Form:
    """Lets `model.save("….keras")` write models of both forms, and `tf.keras.models.load_model` read them."""

    def get_config(self) -> dict[str, Any]:
        """Returns the config that Keras stores in a `.keras` file."""
        return keras_saving.get_config(cast(tf.keras.Model, self))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> tf.keras.Model:
        """Builds the model that `get_config` described, with new values; see `keras_saving.from_config`.

        Raises:
          ValueError: for a config that `get_config` did not write.
          UnknownNameError: for an algorithm that is not installed.
        """
        with tf.keras.saving.custom_object_scope(custom_objects or {}):
            model = keras_saving.from_config(config)
        set_class(model, Compressible if form_of(model) == "compressible" else Compressed)
        return model

    def get_build_config(self) -> None:
        """Returns None, since `from_config` returns a model that is built."""

    def save(self, filepath: Any, *arguments: Any, **keywords: Any) -> None:
        """Saves the model as Keras does, but not to HDF5.

        Raises:
          FormError: for Keras's older format, HDF5.
        """
        if str(filepath).endswith((".h5", ".hdf5")) or keywords.get("save_format") == "h5":
            raise FormError(
                f"{str(filepath)!r}: Keras's HDF5 files hold no {form_of(cast(tf.keras.Model, self))} model; "
                "give a name that ends in .keras, or lambdapress.framework.save an .lpz file."
            )
        super().save(filepath, *arguments, **keywords)  # pyright: ignore[reportAttributeAccessIssue]


@tf.keras.saving.register_keras_serializable("lambdapress")
class Compressible(Form):
    """Marks a compressible model, as a base of its class.

    Attributes:
      lmbda: non-trainable float32 variable, the weight λ of the rate. `model.losses` has the terms
        λ·rate/num_params, one for each weight with a rate.
    """

    lmbda: tf.Variable

    def fit(self, *arguments: Any, **keywords: Any) -> Any:
        """Trains as Keras does. Algorithms do their last work after all callbacks (see `whole_training`)."""
        with whole_training(cast(tf.keras.Model, self)):
            return super().fit(*arguments, **keywords)  # pyright: ignore[reportAttributeAccessIssue]


@tf.keras.saving.register_keras_serializable("lambdapress")
class Compressed(Form):
    """Marks a compressed model, as a base of its class."""
