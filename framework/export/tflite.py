"""Writes TensorFlow Lite files of compressed models.

The converter folds everything that follows from constants into a constant. Left alone, it would decode each
weight and store the floats. So the graph looks up each encoded tensor in a table with one row, at an index
that is computed from the layer's input and is always 0. No compiler knows that it is 0, so nothing is
decoded before its layer runs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..atomic import PathLike, write_atomically
from ..forms.plain import FormError
from ..messages import first_line
from ..surgery.clone import layers_of
from ..surgery.computed_weights import ComputedWeight, computed_weights_of
from ..surgery.layer_state import MUTABLE, resources_of
from .batch_norm import decoding_prediction
from .formats import ExportFormat, FormatError, Predict, Specs, formats
from .native_log import dropped_stderr
from .prediction import ExportError, WeightFunction, composite_samples, prediction, to_decode

DECODE = ("before", "during")
OPS = ("builtin", "select")
SMALL = 256
"""The number of elements below which a weight is stored as floats: decoding operations take more bytes."""


def export_tflite(
    model: tf.keras.Model,
    path: PathLike,
    decode: str = "during",
    ops: str = "builtin",
    fold_batch_norm: bool = False,
    sparse_kernels: bool = False,
) -> int:
    """Writes a TensorFlow Lite file.

    >>> size = export_tflite(to_compressed(model, algorithm), "model.tflite")
    >>> tf.io.gfile.stat("model.tflite").length == size
    True

    Args:
      model: compressible or compressed; called before, so that it knows its input.
      path: of the file.
      decode: `before` stores plain floats; `during` stores encoded tensors, and decodes them layer by layer
        in each inference.
      ops: the operations that decoding and the model itself may use. `builtin`: TensorFlow Lite's own;
        weights are stored without their entropy code, as small integers, so that the file gets small when
        it is zipped. `select`: TensorFlow's and TensorFlow Compression's as well; weights are stored as in
        the container. The runtime then needs the Flex delegate with these operations.
      fold_batch_norm: whether decoded weights are multiplied by the factors of the batch normalisations
        after them; see `batch_norm.py`. The converter always does this to plain weights.
      sparse_kernels: whether plain weights with many zeros are stored without their zeros, and multiplied by
        kernels for that; `decode` must be `before`. This is faster for dense layers whose zeros come in
        blocks of four inputs (docs/algorithms.md has figures). If the zeros lie anywhere, the file is
        smaller but not faster.

    Returns:
      The length of the file in bytes.

    Raises:
      FormError: for a plain model (compress it first) unless `decode` is `before`, for another `decode` or
        `ops`, and for `sparse_kernels` with weights that are decoded.
      ExportError: for an algorithm that does not decode in a graph, unless `decode` is `before`; if the
        converter refuses the model, and then the message names the operations.
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


@formats.register("tflite")
@dataclasses.dataclass(frozen=True)
class TFLite(ExportFormat):
    """Writes a TensorFlow Lite file, with builtin operations or with TensorFlow's own.

    Attributes:
      ops: `builtin` or `select`; see `export_tflite`.
      fold_batch_norm: whether decoded weights are multiplied by the factors of the batch normalisations after
        them.
      sparse_kernels: whether plain weights with many zeros are stored sparsely; `decode` must be `before`.
    """

    suffix = ".tflite"
    decode_modes = DECODE

    ops: str = "builtin"
    fold_batch_norm: bool = False
    sparse_kernels: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ops not in OPS:
            raise FormatError(f"ops is one of {', '.join(OPS)}, got {self.ops!r}.")
        if self.sparse_kernels and self.decode != "before":
            raise FormatError(
                f"Sparse kernels are for tflite that decodes 'before', got tflite {self.decode!r}."
            )

    def write(self, model: tf.keras.Model, path: Path) -> None:
        export_tflite(model, path, **dataclasses.asdict(self))

    @staticmethod
    def open(path: Path, threads: int | None = None) -> tuple[Predict, Specs]:
        with dropped_stderr():  # the delegates print when they are loaded
            interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
            # Not allocated yet: TensorFlow's own operations would keep the sizes of a batch of one.
            runner = interpreter.get_signature_runner()
        by_index = {detail["index"]: detail for detail in interpreter.get_input_details()}
        specs = {}
        for name, detail in runner.get_input_details().items():
            shape = by_index.get(detail["index"], detail)["shape_signature"]
            specs[name] = tf.TensorSpec([None if size < 0 else size for size in shape], detail["dtype"])
        return (lambda inputs: runner(**inputs)), specs

    @classmethod
    def measured(cls) -> Sequence[ExportFormat]:
        return [*(cls(decode=decode) for decode in cls.decode_modes), cls(ops="select")]


def _convert(function: Any, model: tf.keras.Model, ops: str, sparse_kernels: bool) -> bytes:
    _refuse_tables(function, model)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if sparse_kernels:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if ops == "select":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        needed = {name for weight in computed_weights_of(model) for name in weight.algorithm.decode_ops}
        converter.target_spec.experimental_select_user_tf_ops = sorted(needed)
    try:
        with dropped_stderr():  # the converter prints the graph of a model that it refuses
            content = converter.convert()
            _run_once(content, composite_samples(model))
        return content
    except Exception as error:  # the converter has no public exception of its own
        foreign = re.findall(r"^\s*(?:TF Select|Flex|Custom) ops: (.+)$", str(error), re.MULTILINE)
        reason = f"it has no {', '.join(foreign)}" if foreign else first_line(error).rpartition("error: ")[2]
        advice = (
            "; ops='select' (--ops select) allows TensorFlow's own operations" if ops == "builtin" else ""
        )
        if advice and "RangeDecoder" in str(error):
            advice += "; an algorithm that implements `unpack` needs no entropy decoder"
        raise ExportError(f"TensorFlow Lite cannot hold {model.name!r}: {reason}{advice}.") from error


def _refuse_tables(function: Any, model: tf.keras.Model) -> None:
    """Raises ExportError for a table that can change, which would be empty in a file, without a word."""
    captured = [id(resource) for resource, _ in function.graph.captures]
    for layer in layers_of(model):
        for name, table in resources_of(layer):
            if isinstance(table, MUTABLE) and id(table.resource_handle) in captured:
                raise ExportError(
                    f"TensorFlow Lite cannot hold {model.name!r}: a {type(table).__name__} ({name} of layer "
                    f"{layer.name!r}) has no contents in such a file. A tf.lookup.StaticHashTable has."
                )


def _run_once(content: bytes, samples: Mapping[str, np.ndarray]) -> None:
    """Runs a file on a batch of two zeros, to find operations in it that the runtime refuses.

    `samples` has the tensors of ragged and sparse inputs, for which zeros mean nothing.
    """
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()  # as it is, and then for two, as a program that serves it would
    inputs = {}
    for detail in interpreter.get_input_details():
        name = detail["name"].removeprefix("serving_default_").removesuffix(":0")
        shape = [2 if n < 0 else n for n in detail["shape_signature"]]
        inputs[detail["index"]] = samples[name] if name in samples else np.zeros(shape, detail["dtype"])
        interpreter.resize_tensor_input(detail["index"], inputs[detail["index"]].shape)
    interpreter.allocate_tensors()
    for index, value in inputs.items():
        interpreter.set_tensor(index, value)
    interpreter.invoke()


def _constants(unpack: bool) -> WeightFunction:
    """Returns a function that decodes weights from constants that wait for the layer's input."""
    waiting = _Waiting()

    def weight(computed: ComputedWeight, layer_input: tf.Tensor) -> tf.Tensor:
        with tf.init_scope():
            small = computed.spec.size < SMALL
            encoded = computed.tensors()
            if unpack:
                encoded = computed.algorithm.unpack(encoded, computed.spec)
            values = {name: tensor.numpy() for name, tensor in encoded.items()}
            floats = computed.compute().numpy() if small else None
        if floats is not None:
            return tf.constant(floats)
        constants = {
            name: waiting.hold(tf.constant(value), layer_input) if waits else tf.constant(value)
            for (name, value), waits in zip(values.items(), _waiting(values, computed.spec.size), strict=True)
        }
        return tf.ensure_shape(computed.algorithm.decode(constants, computed.spec), computed.spec.shape)

    return weight


def _waiting(values: Mapping[str, Any], elements: int) -> list[bool]:
    """Tells which tensors wait for the layer's input: the largest, byte strings, and others of some size.

    Steps or a codebook alone do not give a weight, so they need not wait: the converter folds only what
    follows from them.
    """
    sizes = [np.size(value) for value in values.values()]
    texts = [np.asarray(value).dtype.kind in "OS" for value in values.values()]
    few = max(SMALL, elements / 64)
    return [text or size == max(sizes) or size >= few for size, text in zip(sizes, texts, strict=True)]


class _Waiting:
    """Makes constants wait for an input, in one graph."""

    def __init__(self) -> None:
        self._zeros: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}

    def hold(self, value: tf.Tensor, layer_input: tf.Tensor) -> tf.Tensor:
        if id(layer_input) not in self._zeros:
            self._zeros[id(layer_input)] = (layer_input, _zero(layer_input))
        return tf.gather(value[tf.newaxis], self._zeros[id(layer_input)][1])


def _zero(layer_input: tf.Tensor) -> tf.Tensor:
    """Computes 0, int32 [1], as the index of the greatest among the first element of `layer_input` alone."""
    first = layer_input[(slice(0, 1),) * layer_input.shape.rank] if layer_input.shape.rank else layer_input
    first = tf.strings.length(first) if first.dtype == tf.string else first
    return tf.argmax(tf.reshape(tf.cast(first, tf.float32), [-1]), output_type=tf.int32)
