"""Says which variables of a model an optimizer of Official Models may average."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..framework.forms.rate import lmbdas_of


def averaged(model: tf.keras.Model) -> Any:
    """Returns what stands for `model` where an optimizer makes its averages (`shadow_copy`).

    Experiments that average more than what is trained (`trainable_weights_only: False`) mean the statistics
    of batch normalisation. Of masks, codes and counters there is no average, and λ is the user's.

    Returns:
      An object with `trainable_variables` and `variables`, the model's without those.
    """

    lmbdas = lmbdas_of(model)

    def chosen(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
        return [v for v in variables if v.dtype.is_floating and id(v) not in lmbdas]

    return types.SimpleNamespace(
        trainable_variables=chosen(model.trainable_variables), variables=chosen(model.variables)
    )
