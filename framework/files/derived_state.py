"""Makes layers compute again what they derive from their variables."""

from __future__ import annotations

import tensorflow as tf

from ..surgery.clone import layers_of


def refresh_derived_state(model: tf.keras.Model) -> None:
    """Calls `finalize_state` on each layer that has it, once a model's variables have new values.

    Preprocessing layers keep constants that follow from their variables, such as the mean and deviation by
    which `Normalization` divides. Keras calls the same method after it has loaded its own files.

    Args:
      model: is changed.
    """
    for layer in layers_of(model):
        finalize = getattr(layer, "finalize_state", None)
        if callable(finalize) and layer.built:
            finalize()
