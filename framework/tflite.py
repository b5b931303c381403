"""TensorFlow Lite files of compressed models.

The converter folds whatever follows from constants into a constant: left alone it would decode each weight
and store the floats. So what a weight is decoded from is looked up, in a table with one row, at an index
that takes the layer's input to compute (and is always 0). No compiler knows that, and nothing is decoded
before its layer runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Union

import numpy as np
import tensorflow as tf

from . import entropy
from .atomic import write_atomically
from .batch_norm import decoding_prediction
from .forms import FormError
from .native_log import dropped_stderr
from .serving import ExportError, WeightFunction, prediction, to_decode
from .slots import Slot

DECODE = ("before", "during")
OPS = ("builtin", "select")
SMALL = 256
"""Weights with fewer elements are stored as floats: the operations that decode one take more bytes."""


def export_tflite(
    model: tf.keras.Model,
    path: Union[str, os.PathLike[str]],
    decode: str = "during",
    ops: str = "builtin",
    fold_batch_norm: bool = False,
    sparse_kernels: bool = False,
) -> int:
    """Writes a TensorFlow Lite file.

    Args:
      model: compressible or compressed; called before, so that it knows its input.
      path: of the file.
      decode: `before` stores plain floats; `during` stores what the weights are decoded from, layer by
        layer, on each inference.
      ops: what decoding and the model itself may use. `builtin`: TensorFlow Lite's own operations; weights
        are stored without their entropy code, as small integers, so that the file gets small once it is
        zipped.
        `select`: TensorFlow's and TensorFlow Compression's as well; weights are stored as the container has
        them. A runtime needs the Flex delegate with these operations.
      fold_batch_norm: whether decoded weights take the factors of the batch normalisations after them; see
        `batch_norm.py`. Plain weights always do: the converter sees to it.
      sparse_kernels: whether plain weights with many zeros are stored as their other elements, and multiplied
        by kernels for that; `decode` is `before` then. Faster for dense layers pruned in blocks of four
        inputs (`pruning.pattern = '4x1'`), of which docs/algorithms.md has figures; where zeros lie anywhere
        the file is smaller and not faster.

    Returns:
      Bytes of the file.

    Raises:
      FormError: for a plain model (compress it first), for a `decode` or `ops` that there is not, and for
        `sparse_kernels` with weights that are decoded.
      ExportError: for an algorithm that does not decode in a graph, unless `decode` is `before`; where the
        converter refuses, which names the operations.
    """
    if ops not in OPS:
        raise FormError(f"ops is one of {', '.join(OPS)}, got {ops!r}.")
    if sparse_kernels and decode != "before":
        raise FormError(f"sparse_kernels are of plain weights: decode is 'before' with them, got {decode!r}.")
    model = to_decode(model, decode, DECODE)
    if decode == "before":
        function = prediction(model)
    else:
        function = decoding_prediction(model, _constants(unpack=ops == "builtin"), fold_batch_norm)
    return write_atomically(path, _convert(function, model, ops, sparse_kernels))


def _convert(function: Any, model: tf.keras.Model, ops: str, sparse_kernels: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if sparse_kernels:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if ops == "select":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        converter.target_spec.experimental_select_user_tf_ops = [*entropy.DECODING_OPS, "DecodeCompressed"]
    try:
        with dropped_stderr():  # it prints the graph of what it refuses
            content = converter.convert()
            _run_once(content)
        return content
    except Exception as error:  # the converter has no exception of its own that is public
        foreign = re.findall(r"^\s*(?:TF Select|Flex|Custom) ops: (.+)$", str(error), re.MULTILINE)
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
        reason = f"it has no {', '.join(foreign)}" if foreign else first.rpartition("error: ")[2]
        advice = (
            "; ops='select' (--ops select) allows TensorFlow's own operations" if ops == "builtin" else ""
        )
        if advice and "RangeDecoder" in str(error):
            advice += ", and with `unpack` an algorithm needs no entropy decoder"
        raise ExportError(f"TensorFlow Lite cannot hold {model.name!r}: {reason}{advice}.") from error


def _run_once(content: bytes) -> None:
    """Runs a file on a batch of two zeros: the converter writes operations that the runtime then refuses."""
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()  # as it is, then for two, as who serves it would
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(
            detail["index"], [2 if n < 0 else n for n in detail["shape_signature"]]
        )
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    interpreter.invoke()


def _constants(unpack: bool) -> WeightFunction:
    """Weights from constants that wait for the layer's input."""
    waiting = _Waiting()

    def weight(slot: Slot, given: tf.Tensor) -> tf.Tensor:
        with tf.init_scope():
            small = slot.spec.size < SMALL
            encoded = slot.tensors()
            if unpack:
                encoded = slot.algorithm.unpack(encoded, slot.spec)
            values = {name: tensor.numpy() for name, tensor in encoded.items()}
            floats = slot.compute().numpy() if small else None
        if floats is not None:
            return tf.constant(floats)
        held = {
            name: waiting.hold(tf.constant(value), given) if waits else tf.constant(value)
            for (name, value), waits in zip(values.items(), _waiting(values, slot.spec.size))
        }
        return tf.ensure_shape(slot.algorithm.decode(held, slot.spec), slot.spec.shape)

    return weight


def _waiting(values: Mapping[str, Any], elements: int) -> list[bool]:
    """Which tensors wait for the layer's input: the largest, byte strings, and others that are not few.

    Steps or a codebook alone give no weight; if they wait for nothing, what follows from them is folded.
    """
    sizes = [np.size(value) for value in values.values()]
    texts = [np.asarray(value).dtype.kind in "OS" for value in values.values()]
    few = max(SMALL, elements / 64)
    return [text or size == max(sizes) or size >= few for size, text in zip(sizes, texts)]


class _Waiting:
    """Constants that are there once an input is, in one graph."""

    def __init__(self) -> None:
        self._zeros: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}

    def hold(self, value: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        if id(given) not in self._zeros:
            self._zeros[id(given)] = (given, _zero(given))
        return tf.gather(value[tf.newaxis], self._zeros[id(given)][1])


def _zero(given: tf.Tensor) -> tf.Tensor:
    """0, int32: where the greatest of the first element of `given` alone is."""
    first = given[(slice(0, 1),) * given.shape.rank] if given.shape.rank else given
    first = tf.strings.length(first) if first.dtype == tf.string else first
    return tf.argmax(tf.reshape(tf.cast(first, tf.float32), [-1]), output_type=tf.int32)
