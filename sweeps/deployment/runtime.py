"""Predicts with an exported file, opened as a serving program would open it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ...framework.export.formats import open_exported
from ...framework.export.prediction import by_name, named, output_names


class Served(tf.keras.Model):
    """Predicts with an exported file, so that code that evaluates models can evaluate the file."""

    def __init__(self, path: Path, like: tf.keras.Model):
        """Opens the file.

        Args:
          path: a file or folder that an export format wrote.
          like: the model that was exported, for the structure of its inputs and outputs.
        """
        super().__init__(name="served")
        self._predict, _ = open_exported(path)
        self._like = (like,)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        del training, mask
        template = self._like[0](inputs, training=False)  # in a graph this is traced, never run
        named_inputs = by_name(inputs, self._like[0])
        expected = named(template)

        def predict(*values: np.ndarray) -> list[np.ndarray]:
            outputs = self._predict(dict(zip(named_inputs, values, strict=True)))
            return [np.asarray(outputs[name]) for name in expected]

        types = [value.dtype for value in expected.values()]
        outputs = tf.numpy_function(predict, list(named_inputs.values()), types, stateful=False)
        outputs = tf.nest.flatten(outputs)  # outside of a graph, one output comes without a list
        for output, value in zip(outputs, expected.values(), strict=True):
            output.set_shape(value.shape)
        found = dict(zip(expected, outputs, strict=True))
        leaves = [found.get(name) for name in tf.nest.flatten(output_names(template))]
        return tf.nest.pack_sequence_as(template, leaves, expand_composites=True)
