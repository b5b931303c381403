"""Counts what a model has and does: weights that are not 0, multiply-adds, bytes while it trains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from ...framework import Algorithm, size_report
from ...framework.export.prediction import input_specs
from ...framework.files.size_report import estimated_bytes
from ...framework.surgery.computed_weights import Projected, computed_weights_of

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_LOOPS = ("While", "StatelessWhile", "If", "StatelessIf", "Case", "TensorListReserve", "CudnnRNNV3")


def nonzeros(model: tf.keras.Model) -> int:
    """Counts the elements of a plain model's weights that are not 0."""
    return sum(int(np.count_nonzero(variable.numpy())) for variable in model.weights)


def decided_at_the_end(model: tf.keras.Model) -> list[str]:
    """Names the algorithms of a compressible model whose `update` decides sizes, some not before the end.

    Of a model in training without any, the bytes that it would take at the moment say what it will take.
    """
    algorithms = [w.algorithm for w in computed_weights_of(model) if isinstance(w, Projected)]
    return sorted({a.name for a in algorithms if type(a).update is not Algorithm.update})


def bytes_so_far(model: tf.keras.Model) -> float:
    """Returns the bytes that a compressible model's weights would take if it were stored now.

    They are estimated by the rate where that is in bits, and else encoded. A file's header is left out.
    """
    estimated = estimated_bytes(model)
    if estimated is not None:
        return estimated
    sizes = size_report(model)
    return sizes.size_bytes - sizes.overhead_bytes


def multiply_adds(model: tf.keras.Model) -> int | None:
    """Counts the multiply-adds of a model's matrix products and convolutions for one example.

    Weights that are 0 count as any: it is what the dense network does.

    Returns:
      The number; None where it does not follow from the graph: unknown sizes of inputs, loops of recurrent
      layers, branches.
    """

    def predict(inputs: Any) -> Any:
        return model(inputs, training=False)

    def single(spec: tf.TensorSpec) -> tf.TensorSpec:
        return tf.TensorSpec([1, *spec.shape[1:]], spec.dtype)

    try:
        specs = tf.nest.map_structure(single, input_specs(model))
        traced: Any = tf.function(predict).get_concrete_function(specs)
        return _of_graph(traced.graph)
    except (ValueError, TypeError, LookupError, tf.errors.OpError):  # a model that one example does not suit
        return None


def _of_graph(graph: Any) -> int:
    """Counts a graph's multiply-adds.

    Raises:
      ValueError: where a size is unknown, or operations run an unknown number of times.
    """
    total = 0
    for op in graph.get_operations():
        if op.type in _CALLS:
            total += _of_graph(graph._get_function(op.get_attr("f").name).graph)
        elif op.type in _LOOPS:
            raise ValueError(f"{op.name} runs an unknown number of times")
        elif op.type in _COUNTS:
            total += _COUNTS[op.type](op)
    return total


def _elements(tensor: Any) -> int:
    return math.prod(_shape(tensor))


def _shape(tensor: Any) -> list[int]:
    shape = tensor.shape.as_list()
    if shape and shape[0] is None and tensor.graph.outer_graph is not None:
        shape[0] = 1  # a layer's own function may have been traced for batches of any size
    if None in shape:
        raise ValueError(f"the size of {tensor.name} is unknown")
    return shape


def _result(op: Any) -> Any:
    """Returns an operation's output, of a dilated convolution on space moved to the batch its cropped one."""
    (output,) = op.outputs
    back = [after for after in output.consumers() if after.type == "BatchToSpaceND"]
    return back[0].outputs[0] if back else output


def _of_product(op: Any) -> int:
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return _elements(op.outputs[0]) * _shape(op.inputs[0])[-2 if transposed else -1]


def _of_convolution(op: Any) -> int:
    return _elements(_result(op)) * math.prod(_shape(op.inputs[1])[:-1])


def _of_depthwise(op: Any) -> int:
    return _elements(_result(op)) * math.prod(_shape(op.inputs[1])[:2])


def _of_transposed(op: Any) -> int:
    return _elements(op.inputs[2]) * math.prod(_shape(op.inputs[1])[:-1])


def _of_einsum(op: Any) -> int:
    """Multiplies the sizes of all distinct labels; those that `...` stands for are the output's."""
    terms, _, result = op.get_attr("equation").decode().partition("->")
    sizes: dict[str, int] = {}
    rest = 1
    for term, tensor in zip([*terms.split(","), result], [*op.inputs, op.outputs[0]], strict=True):
        shape = _shape(tensor)
        before, dots, after = term.strip().partition("...")
        middle = len(shape) - len(before) - len(after)
        sizes.update(zip(before, shape, strict=False))
        sizes.update(zip(after, shape[len(shape) - len(after) :], strict=True))
        rest = math.prod(shape[len(before) : len(before) + middle]) if dots else 1
    return math.prod(sizes.values()) * rest


_COUNTS = {
    "MatMul": _of_product,
    "BatchMatMul": _of_product,
    "BatchMatMulV2": _of_product,
    "BatchMatMulV3": _of_product,
    "Conv2D": _of_convolution,
    "Conv3D": _of_convolution,
    "DepthwiseConv2dNative": _of_depthwise,
    "Conv2DBackpropInput": _of_transposed,
    "Conv3DBackpropInputV2": _of_transposed,
    "Einsum": _of_einsum,
}
