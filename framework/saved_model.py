"""SavedModels of compressed models, and back.

The compressed weights are in it as one container, the value of one variable: once, not folded into constants,
read where it lies. A function decodes them, a layer at a time: each decoding waits for the input of the layer
that needs it. What a container has not (weights kept in full) are variables as usual.

`assets.extra/lambdapress.json` says how to make the model again from the file alone, for more training.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Union

import tensorflow as tf

from . import architecture, batch_norm, container
from .serving import prediction, to_decode
from .slots import Slot
from .storage import entries_of, kept_weights

DECODE = ("before", "during", "once")
EXTRA = "assets.extra/lambdapress.json"


def export_saved_model(
    model: tf.keras.Model,
    path: Union[str, os.PathLike[str]],
    decode: str = "during",
    fold_batch_norm: bool = False,
) -> None:
    """Writes a SavedModel for serving: one signature, `serving_default`, for batches of any size.

    Args:
      model: compressible or compressed; called before, so that it knows its input.
      path: of the folder; there must be none.
      decode: `before` stores plain floats. `during` stores the codes and decodes a layer's weights each time
        that the layer runs, which needs TensorFlow Compression's operations where it is served. `once` is the
        same but for the graph, which keeps what the first call decodes.
      fold_batch_norm: whether weights take the factors of the batch normalisations after them; see
        `batch_norm.py`.

    Raises:
      FormError: for a plain model (compress it first), and for a `decode` that there is not.
      ExportError: for an algorithm that does not decode in a graph, unless `decode` is `before`.
      FileExistsError: for a path where there is something.
    """
    path, model = Path(path), to_decode(model, decode, DECODE)
    if path.exists():
        raise FileExistsError(f"{str(path)!r} is there already; remove it or give another path.")
    module: Any = tf.Module()
    if decode == "before":
        model = batch_norm.fold_batch_norm(model) if fold_batch_norm else model
        predict: Any = prediction(model)
    else:
        weights = _Weights(model, once=decode == "once")
        predict = batch_norm.decoding_prediction(model, weights.weight, fold_batch_norm)
        module.container = weights.container
    kept = list(kept_weights(model))
    module.kept = [_inner(weight.variable) for weight in kept]
    module.other = list(predict.graph.variables)  # what else the function captures has to be tracked
    extra = {
        "version": 1,
        "kept": [weight.spec.path for weight in kept],
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


class _Weights:
    """The compressed weights of a model as a container in a variable, and how a graph decodes each."""

    def __init__(self, model: tf.keras.Model, once: bool):
        packed = container.pack([entry for entry in entries_of(model) if entry.algorithm is not None])
        contents = container.unpack(packed)
        self.ranges = container.tensor_ranges(contents)
        self.container = tf.Variable(tf.constant(packed), trainable=False, name="container")
        self._keep = hashlib.sha256(packed).hexdigest() if once else None

    def weight(self, slot: Slot, given: tf.Tensor) -> tf.Tensor:
        """Decodes a weight in a graph, once `given` has been computed."""
        if self._keep is None:
            return self._decode(slot, given)
        # A variable that only the graph has: no file holds a value for it, and its shape is known. Its name
        # is its content's, so that models with the same name share what is the same.
        kept = tf.raw_ops.VarHandleOp(
            dtype=slot.spec.dtype, shape=slot.spec.shape, shared_name=f"{self._keep}/{slot.spec.path}"
        )

        def first() -> tf.Tensor:
            value = self._decode(slot, given)
            with tf.control_dependencies([tf.raw_ops.AssignVariableOp(resource=kept, value=value)]):
                return tf.identity(value)

        def again() -> tf.Tensor:
            return tf.raw_ops.ReadVariableOp(resource=kept, dtype=slot.spec.dtype)

        return tf.ensure_shape(
            tf.cond(tf.raw_ops.VarIsInitializedOp(resource=kept), again, first), slot.spec.shape
        )

    def _decode(self, slot: Slot, given: tf.Tensor) -> tf.Tensor:
        stored = slot.variables()
        with tf.control_dependencies([given]):
            packed = self.container.read_value()
        encoded = {name: self._tensor(packed, slot.spec.path, name, like) for name, like in stored.items()}
        return tf.ensure_shape(slot.algorithm.decode(encoded, slot.spec), slot.spec.shape)

    def _tensor(self, packed: tf.Tensor, path: str, name: str, like: tf.Variable) -> tf.Tensor:
        parts = [tf.strings.substr(packed, *part) for part in self.ranges[path, name]]
        if like.dtype == tf.string:
            return tf.reshape(tf.stack(parts), like.shape)
        if like.dtype == tf.bool:
            return tf.reshape(tf.cast(tf.io.decode_raw(parts[0], tf.uint8), tf.bool), like.shape)
        return tf.reshape(tf.io.decode_raw(parts[0], like.dtype), like.shape)


def _inner(variable: Any) -> tf.Variable:
    return getattr(variable, "_variable", variable)  # of Keras's automatic casting
