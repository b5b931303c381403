"""Writes TensorFlow Lite files of compressed models.

`tflite_constants.py` says how weights are held in the file; `tflite_check.py` tries it before it is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..atomic import PathLike, write_atomically
from ..forms.plain import FormError
from ..messages import first_line
from ..surgery.clone import layers_of
from ..surgery.computed_weights import computed_weights_of
from ..surgery.layer_state import MUTABLE, resources_of
from ..surgery.private import compute_in_float32, flex_operations, without_fused_recurrence
from .batch_norm import decoding_prediction
from .formats import ExportFormat, FormatError, Predict, Specs, formats
from .prediction import ExportError, composite_samples, prediction, to_decode, tracked
from .shapes import Shapes
from .tflite_check import check, start
from .tflite_constants import waiting_constants

DECODE = ("before", "during")
_TRIED = {"builtin": ("builtin",), "select": ("select",), "auto": ("builtin", "select")}
OPS = tuple(_TRIED)
_FOREIGN = re.compile(r"^\s*(?:TF Select|Flex|Custom) ops: (.+)$", re.MULTILINE)
_CUSTOM = re.compile(r"^\s*Custom ops: (.+)$", re.MULTILINE)


def export_tflite(
    model: tf.keras.Model,
    path: PathLike,
    decode: str = "during",
    ops: str = "builtin",
    fold_batch_norm: bool = False,
    sparse_kernels: bool = False,
    shapes: Shapes = None,
) -> int:
    """Writes a TensorFlow Lite file.

    >>> size = export_tflite(to_compressed(model, algorithm), "model.tflite")
    >>> tf.io.gfile.stat("model.tflite").length == size
    True

    A model in mixed precision computes in float32 there: TensorFlow Lite has few other kernels.

    Args:
      model: compressible or compressed; called before, so that it knows its input.
      path: of the file.
      decode: `before` stores plain floats; `during` stores encoded tensors, and decodes them layer by layer
        in each inference.
      ops: the operations that decoding and the model itself may use. `builtin`: TensorFlow Lite's own;
        weights are stored without their entropy code, as small integers, so that the file gets small when
        it is zipped. `select`: TensorFlow's and TensorFlow Compression's as well; weights are stored as in
        the container. The runtime then needs the Flex delegate with these operations. `auto`: the
        one of the two that gives the smaller file, for a runtime that has the delegate.
      fold_batch_norm: whether decoded weights are multiplied by the factors of the batch normalisations
        after them; see `batch_norm.py`. The converter always does this to plain weights.
      sparse_kernels: whether plain weights with many zeros are stored without their zeros, and multiplied by
        kernels for that; `decode` must be `before`. This is faster for dense layers whose zeros come in
        blocks of four inputs (docs/algorithms.md has figures). If the zeros lie anywhere, the file is
        smaller but not faster.
      shapes: of the inputs, if the file shall take others than the model; see `shapes.py`. A recurrent
        network needs a fixed batch, such as `"1,..."`, if `ops` is `builtin`.

    Returns:
      The length of the file in bytes.

    Raises:
      ShapesError: for shapes that do not fit the model.
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
    compute_in_float32(model)
    without_fused_recurrence(model)
    start()  # the process that tries the file; it starts while the file is made
    contents, problem = [], None
    for tried in _TRIED[ops]:
        function = _function(model, decode, tried, fold_batch_norm, shapes)
        try:
            contents.append(_convert(function, model, tried, sparse_kernels))
        except ExportError as error:
            problem = problem or error
    if not contents:
        assert problem is not None
        raise problem
    return write_atomically(path, min(contents, key=len))


@formats.register("tflite")
@dataclasses.dataclass(frozen=True)
class TFLite(ExportFormat):
    """Writes a TensorFlow Lite file, with builtin operations or with TensorFlow's own.

    Attributes:
      ops: `builtin`, `select` or `auto`; see `export_tflite`.
      fold_batch_norm: whether decoded weights are multiplied by the factors of the batch normalisations after
        them.
      sparse_kernels: whether plain weights with many zeros are stored sparsely; `decode` must be `before`.
      shapes: of the inputs; None takes the model's, with batches of any size.
    """

    suffix = ".tflite"
    decode_modes = DECODE

    ops: str = "builtin"
    fold_batch_norm: bool = False
    sparse_kernels: bool = False
    shapes: Shapes = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ops not in OPS:
            raise FormatError(f"ops is one of {', '.join(OPS)}, got {self.ops!r}.")
        if self.sparse_kernels and self.decode != "before":
            raise FormatError(
                f"Sparse kernels are for tflite that decodes 'before', got tflite {self.decode!r}."
            )

    def write(self, model: tf.keras.Model, path: Path) -> str:
        export_tflite(model, path, **dataclasses.asdict(self))
        foreign = flex_operations(path.read_bytes())
        return f"TensorFlow's operations: {', '.join(foreign)}" if foreign else "builtin operations alone"

    @staticmethod
    def open(path: Path, threads: int | None = None) -> tuple[Predict, Specs]:
        with _dropped_stderr():  # the delegates print when they are loaded
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


def _function(model: tf.keras.Model, decode: str, ops: str, fold_batch_norm: bool, shapes: Shapes) -> Any:
    if decode == "before":
        return prediction(model, shapes=shapes)
    return decoding_prediction(model, waiting_constants(unpack=ops == "builtin"), fold_batch_norm, shapes)


def _convert(function: Any, model: tf.keras.Model, ops: str, sparse_kernels: bool) -> bytes:
    _refuse_tables(function, model)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tracked(function, model))
    if sparse_kernels:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if ops == "select":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        needed = {name for weight in computed_weights_of(model) for name in weight.algorithm.decode_ops}
        converter.target_spec.experimental_select_user_tf_ops = sorted(needed)
    try:
        with _dropped_stderr():  # the converter prints the graph of a model that it refuses
            content = _with_all_operations(converter) if ops == "select" else converter.convert()
        check(content, function, composite_samples(model), select=ops == "select")
        return content
    except Exception as error:  # the converter has no public exception of its own
        raise ExportError(f"TensorFlow Lite cannot hold {model.name!r}: {_reason(error, ops)}.") from error


def _with_all_operations(converter: Any) -> bytes:
    """Converts with whatever operations of TensorFlow the model has: the converter's own list is shorter."""
    try:
        return converter.convert()
    except Exception as error:
        more = [name for names in _CUSTOM.findall(str(error)) for name in names.split(", ")]
        if not more:
            raise
        converter.target_spec.experimental_select_user_tf_ops += more
        return converter.convert()


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


def _reason(error: Exception, ops: str) -> str:
    """Says why a file cannot be made, and what to do about it."""
    foreign = _FOREIGN.findall(str(error))
    reason = f"it has no {', '.join(foreign)}" if foreign else first_line(error).rpartition("error: ")[2]
    advice = []
    if "TensorList" in str(error):
        advice.append("a recurrent network needs a fixed batch, such as shapes='1,...' (--shapes 1,...)")
    if ops == "builtin":
        advice.append("ops='select' (--ops select) allows TensorFlow's own operations")
        if "RangeDecoder" in str(error):
            advice.append("an algorithm that implements `unpack` needs no entropy decoder")
    return "; ".join([reason, *advice])


@contextlib.contextmanager
def _dropped_stderr() -> Iterator[None]:
    """Drops everything written to the process's standard error; Python's exceptions are raised as usual."""
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
