"""Writes SavedModels of compressed models, and opens them to predict.

A SavedModel holds the compressed weights as one container, the value of one variable. So they are stored only
once, are not folded into constants, and are read where they lie. A function decodes them, a layer at a time:
each decoding waits for the input of the layer that needs it. Weights kept in full are not in the container;
they are variables as usual.

`assets.extra/lambdapress.json` describes how to build the model again from the SavedModel alone, for more
training; `saved_model_reader.py` does so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..atomic import PathLike
from ..container import file
from ..files.lpz import entries_of, kept_weights
from ..files.table_entries import table_entries
from ..forms import architecture
from ..forms.names import names_matter
from ..surgery.computed_weights import ComputedWeight
from . import batch_norm
from .formats import Arrays, ExportFormat, Predict, Specs, formats
from .prediction import prediction, to_decode, tracked
from .shapes import Shapes

DECODE = ("before", "during", "once")
EXTRA = "assets.extra/lambdapress.json"


def export_saved_model(
    model: tf.keras.Model,
    path: PathLike,
    decode: str = "during",
    fold_batch_norm: bool = False,
    shapes: Shapes = None,
) -> None:
    """Writes a SavedModel for serving: one signature, `serving_default`, for batches of any size.

    >>> export_saved_model(to_compressible(model, algorithm), "served")
    >>> list(tf.saved_model.load("served").signatures)
    ['serving_default']

    Args:
      model: compressible or compressed; called before, so that it knows its input.
      path: of the folder, which must not exist.
      decode: `before` stores plain floats. `during` stores the codes and decodes a layer's weights each time
        that the layer runs; this needs TensorFlow Compression's operations where the model is served. `once`
        stores the same codes, but the graph keeps the weights that the first call decodes.
      fold_batch_norm: whether weights are multiplied by the factors of the batch normalisations after them;
        see `batch_norm.py`.
      shapes: of the inputs, if the file shall take others than the model; see `shapes.py`.

    Raises:
      FormError: for a plain model (compress it first) unless `decode` is `before`, and for another `decode`.
      ShapesError: for shapes that do not fit the model.
      ExportError: for an algorithm that does not decode in a graph, unless `decode` is `before`.
      FileExistsError: if there is something at `path`.
    """
    path, model = Path(path), to_decode(model, decode, DECODE)
    if path.exists():
        raise FileExistsError(f"{str(path)!r} is there already; remove it or give another path.")
    module: Any = tf.Module()
    if decode == "before":
        model = batch_norm.fold_batch_norm(model) if fold_batch_norm else model
        predict: Any = prediction(model, shapes=shapes)
    else:
        weights = _Weights(model, once=decode == "once")
        predict = batch_norm.decoding_prediction(model, weights.weight, fold_batch_norm, shapes)
        module.container = weights.container
    kept = list(kept_weights(model))
    module.kept = [_inner(weight.variable) for weight in kept]
    module.other = tracked(predict, model)
    tables = table_entries(model)
    module.tables = [tf.Variable(tf.constant(entry.tensors["value"]), trainable=False) for entry in tables]
    extra = {
        "version": 1,
        "kept": [weight.spec.path for weight in kept],
        "given_names": names_matter(model),
        "tables": [entry.path for entry in tables],
        "architecture": architecture.describe(model),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=path.parent))
    try:
        tf.saved_model.save(
            module,
            str(folder),
            signatures=predict,
            options=tf.saved_model.SaveOptions(save_debug_info=False, experimental_custom_gradients=False),
        )
        (folder / EXTRA).parent.mkdir()
        (folder / EXTRA).write_text(json.dumps(extra, separators=(",", ":")), encoding="utf-8")
        folder.chmod(0o755)
        os.replace(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@formats.register("savedmodel")
@dataclasses.dataclass(frozen=True)
class SavedModel(ExportFormat):
    """Writes a folder with a SavedModel, for TensorFlow and programs that serve its models.

    `open` runs the graph in the folder as it is, so open only what you would run as a program. It ignores
    `threads`, which TensorFlow sets for the whole process (`tf.config.threading`).

    Attributes:
      fold_batch_norm: whether weights are multiplied by the factors of the batch normalisations after them.
      shapes: of the inputs; None takes the model's, with batches of any size.
    """

    decode_modes = DECODE

    fold_batch_norm: bool = False
    shapes: Shapes = None

    def write(self, model: tf.keras.Model, path: Path) -> None:
        export_saved_model(model, path, **dataclasses.asdict(self))

    @staticmethod
    def open(path: Path, threads: int | None = None) -> tuple[Predict, Specs]:
        loaded: Any = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]

        def predict(inputs: Arrays, _owner: Any = loaded) -> Arrays:
            outputs = signature(**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in outputs.items()}

        return predict, dict(signature.structured_input_signature[1])


class _Weights:
    """Keeps a model's compressed weights as a container in a variable, and decodes them in a graph."""

    def __init__(self, model: tf.keras.Model, once: bool):
        packed = file.pack([entry for entry in entries_of(model) if entry.algorithm is not None])
        contents = file.unpack(packed)
        self.ranges = file.tensor_ranges(contents)
        self.container = tf.Variable(tf.constant(packed), trainable=False, name="container")
        self._keep = hashlib.sha256(packed).hexdigest() if once else None

    def weight(self, computed: ComputedWeight, layer_input: tf.Tensor) -> tf.Tensor:
        """Decodes a weight in a graph, after `layer_input` has been computed."""
        if self._keep is None:
            return self._decode(computed, layer_input)
        # A variable that only the graph has: no file holds a value for it, and its shape is known. Its name
        # comes from the container's content, so that models share a variable only if their content is equal.
        kept = tf.raw_ops.VarHandleOp(
            dtype=computed.spec.dtype,
            shape=computed.spec.shape,
            shared_name=f"{self._keep}/{computed.spec.path}",
        )

        def first() -> tf.Tensor:
            value = self._decode(computed, layer_input)
            with tf.control_dependencies([tf.raw_ops.AssignVariableOp(resource=kept, value=value)]):
                return tf.identity(value)

        def again() -> tf.Tensor:
            return tf.raw_ops.ReadVariableOp(resource=kept, dtype=computed.spec.dtype)

        return tf.ensure_shape(
            tf.cond(tf.raw_ops.VarIsInitializedOp(resource=kept), again, first), computed.spec.shape
        )

    def _decode(self, computed: ComputedWeight, layer_input: tf.Tensor) -> tf.Tensor:
        packed, zero = self.container.read_value(), _zero(layer_input)
        encoded = {
            name: self._tensor(packed, zero, computed.spec.path, name, like)
            for name, like in computed.variables().items()
        }
        return tf.ensure_shape(computed.algorithm.decode(encoded, computed.spec), computed.spec.shape)

    def _tensor(
        self, packed: tf.Tensor, zero: tf.Tensor, path: str, name: str, like: tf.Variable
    ) -> tf.Tensor:
        parts = [
            tf.strings.substr(packed, start + zero, tf.constant(length, tf.int64))
            for start, length in self.ranges[path, name]
        ]
        if like.dtype == tf.string:
            return tf.reshape(tf.stack(parts), like.shape)
        if like.dtype == tf.bool:
            return tf.reshape(tf.cast(tf.io.decode_raw(parts[0], tf.uint8), tf.bool), like.shape)
        return tf.reshape(tf.io.decode_raw(parts[0], like.dtype), like.shape)


def _zero(layer_input: tf.Tensor) -> tf.Tensor:
    """Computes 0, int64, from the first element of a tensor, if it has one.

    What depends on it waits for the tensor. A control dependency would not do: where TensorFlow replaces a
    padding and a convolution by one operation (oneDNN does), that operation would wait for its own weight.
    """
    first = tf.reshape(layer_input, [-1])[:1]
    first = tf.strings.length(first) if first.dtype == tf.string else first
    truth = tf.cast(tf.cast(first, tf.bool), tf.float32)
    return tf.argmax(tf.concat([[2.0], truth], 0))


def _inner(variable: Any) -> tf.Variable:
    return getattr(variable, "_variable", variable)  # Keras wraps variables that it casts automatically
