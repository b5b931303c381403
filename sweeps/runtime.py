"""An exported file, opened as one who serves it would: a SavedModel or a TensorFlow Lite file as a function.

A SavedModel's graph runs as it is: open only what you would run as a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from ..framework import entropy  # noqa: F401  its operations have to be known where a file decodes
from ..framework.native_log import dropped_stderr
from ..framework.serving import input_specs, named, output_names

Arrays = Mapping[str, np.ndarray]
Predict = Callable[[Arrays], Arrays]


def open_exported(path: Path, threads: Optional[int] = None) -> tuple[Predict, dict[str, tf.TensorSpec]]:
    """A function from arrays by the inputs' names to arrays by the outputs' names, and the inputs.

    Args:
      path: a SavedModel's folder or a TensorFlow Lite file.
      threads: of TensorFlow Lite's interpreter; None leaves it the choice. A SavedModel takes the process's
        (`tf.config.threading`).
    """
    return _saved_model(path) if path.is_dir() else _tflite(path, threads)


def _saved_model(path: Path) -> tuple[Predict, dict[str, tf.TensorSpec]]:
    loaded: Any = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]

    def predict(inputs: Arrays, _owner: Any = loaded) -> Arrays:
        outputs = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return predict, dict(signature.structured_input_signature[1])


def _tflite(path: Path, threads: Optional[int]) -> tuple[Predict, dict[str, tf.TensorSpec]]:
    with dropped_stderr():  # its delegates announce themselves
        interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner()
    by_index = {detail["index"]: detail for detail in interpreter.get_input_details()}
    specs = {}
    for name, detail in runner.get_input_details().items():
        shape = by_index.get(detail["index"], detail)["shape_signature"]
        specs[name] = tf.TensorSpec([None if size < 0 else size for size in shape], detail["dtype"])
    return (lambda inputs: runner(**inputs)), specs


class Served(tf.keras.Model):
    """Predicts by an exported file, so that what evaluates a model evaluates the file."""

    def __init__(self, path: Path, like: tf.keras.Model):
        """Opens the file.

        Args:
          path: as in `open_exported`.
          like: the model that was exported, for the structure of its inputs and outputs.
        """
        super().__init__(name="served")
        self._predict, _ = open_exported(path)
        self._like = (like,)

    def call(self, inputs: Any, training: Optional[bool] = None, mask: Any = None) -> Any:
        del training, mask
        template = self._like[0](inputs, training=False)  # in a graph nothing of it is run
        given = _by_name(inputs, input_specs(self._like[0]))
        expected = named(template)

        def predict(*values: np.ndarray) -> list[np.ndarray]:
            outputs = self._predict(dict(zip(given, values)))
            return [np.asarray(outputs[name]) for name in expected]

        types = [value.dtype for value in expected.values()]
        outputs = tf.numpy_function(predict, list(given.values()), types, stateful=False)
        for output, value in zip(outputs, expected.values()):
            output.set_shape(value.shape)
        by_name = dict(zip(expected, outputs))
        leaves = [by_name.get(name) for name in tf.nest.flatten(output_names(template))]
        return tf.nest.pack_sequence_as(template, leaves)


def _by_name(inputs: Any, specs: Any) -> dict[str, tf.Tensor]:
    if isinstance(specs, dict):
        pairs = [(inputs[key], spec) for key, spec in specs.items()]
    elif isinstance(specs, (list, tuple)):
        pairs = list(zip(inputs, specs))
    else:
        return {specs.name: inputs}
    return {name: value for pair in pairs for name, value in _by_name(*pair).items()}
