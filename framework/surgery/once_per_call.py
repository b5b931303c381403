"""Keeps track of the model call under way, so that it computes each weight once.

An export can replace the computation, and make each weight wait for an input of its layer.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_v2_func_graphs as control_flow


class _CallUnderWay(threading.local):
    """Holds the state of the outermost call under way in this thread.

    Attributes:
      graph: in which the call is traced; None for an eager call.
      values: the weights that the call has computed so far; None outside of a call.
      inputs: arguments of the layers under way, the outermost first.
      instead: computes weights instead of their algorithms; see `computed_by`.
    """

    def __init__(self) -> None:
        self.graph: Any = None
        self.values: dict[Any, tf.Tensor] | None = None
        self.inputs: list[Any] = []
        self.instead: Callable[[Any, tf.Tensor], tf.Tensor] | None = None


_call = _CallUnderWay()


@contextlib.contextmanager
def computed_by(function: Callable[[Any, tf.Tensor], tf.Tensor]) -> Iterator[None]:
    """Lets `function(computed, input)` compute each weight while a model is traced.

    The variables of the weight are not read then.

    `input` is an input tensor of the innermost layer under way, in the graph in which the weight is computed.
    Operations that depend on it cannot run before that layer does.
    """
    before, _call.instead = _call.instead, function
    try:
        yield
    finally:
        _call.instead = before


def call_in_scope(plain: Any) -> Callable[..., Any]:
    """Returns a `__call__` for a subclass of `plain`; within a call each weight is computed once."""

    @functools.wraps(plain.__call__)
    def __call__(self, *args, **kwargs):
        outermost = _call.values is None
        if outermost:
            _call.graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
            _call.values = {}
        _call.inputs.append((args, kwargs))
        try:
            return plain.__call__(self, *args, **kwargs)
        finally:
            _call.inputs.pop()
            if outermost:
                _call.graph = _call.values = None

    return __call__


def _input_in(graph: Any) -> tf.Tensor:
    for arguments in reversed(_call.inputs):
        for leaf in tf.nest.flatten(arguments):
            # A ragged or sparse tensor's last part is never empty: the ends of its rows, or its shape.
            part = tf.nest.flatten(leaf, expand_composites=True)[-1]
            if isinstance(part, tf.Tensor) and getattr(part, "graph", None) is graph:
                return part
    raise RuntimeError(
        "A weight is computed outside of every layer's call, where there is no input to wait for."
    )


def once_per_call(computed: Any, compute: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Computes a weight, or returns it if this call has already computed it in this graph.

    A recurrent cell reads its kernels in the body of a loop. The weight is computed outside of the loop, but
    never outside of the call under way: training loops are loops, too. In eager mode nothing is kept, so
    that a layer's weights exist only while the layer runs.
    """
    if tf.executing_eagerly() or _call.values is None:
        return compute()
    graph: Any = tf.compat.v1.get_default_graph()
    while graph is not _call.graph and isinstance(graph, _LOOPS_AND_BRANCHES):
        graph = graph.outer_graph
    key = (id(computed), id(graph))
    if key not in _call.values:
        with graph.as_default():
            _call.values[key] = _call.instead(computed, _input_in(graph)) if _call.instead else compute()
    return _call.values[key]


_LOOPS_AND_BRANCHES = (
    control_flow.WhileBodyFuncGraph,
    control_flow.WhileCondFuncGraph,
    control_flow.CondBranchFuncGraph,
)
