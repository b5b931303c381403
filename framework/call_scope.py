"""The call of a model that is under way: what its layers were given, and each weight computed once."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any, Callable, Optional

import tensorflow as tf
from tensorflow.python.ops import control_flow_v2_func_graphs as control_flow


class _Call(threading.local):
    """The outermost call under way in this thread.

    Attributes:
      graph: its graph.
      values: the weights computed in it so far.
      inputs: what the layers under way were given, the outermost first.
      instead: see `computed_by`.
    """

    def __init__(self) -> None:
        self.graph: Any = None
        self.values: Optional[dict[Any, tf.Tensor]] = None
        self.inputs: list[Any] = []
        self.instead: Optional[Callable[[Any, tf.Tensor], tf.Tensor]] = None


_call = _Call()


@contextlib.contextmanager
def computed_by(function: Callable[[Any, tf.Tensor], tf.Tensor]) -> Iterator[None]:
    """While a model is traced, each computed weight is `function(slot, input)`; its variables are not read.

    `input` is a tensor that the innermost layer under way was given, in the graph that the weight is
    computed in: what depends on it cannot be computed before that layer runs.
    """
    before, _call.instead = _call.instead, function
    try:
        yield
    finally:
        _call.instead = before


def call_in_scope(plain: Any) -> Callable[..., Any]:
    """The `__call__` of a class made from `plain`: a call in which each weight is computed once."""

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
    for given in reversed(_call.inputs):
        for leaf in tf.nest.flatten(given):
            if isinstance(leaf, tf.Tensor) and getattr(leaf, "graph", None) is graph:
                return leaf
    raise RuntimeError(
        "A weight is computed outside of every layer's call, where there is no input to wait for."
    )


def once_per_call(slot: Any, compute: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Computes a weight, or returns it if this call has computed it in this graph already.

    A recurrent cell reads its kernels in the body of a loop. The weight is computed outside of the
    loop, but never outside of the call that is under way: training steps are loops, too. Eagerly
    nothing is kept: a layer's weights are to exist only while it runs.
    """
    if tf.executing_eagerly() or _call.values is None:
        return compute()
    graph: Any = tf.compat.v1.get_default_graph()
    while graph is not _call.graph and isinstance(graph, _LOOPS_AND_BRANCHES):
        graph = graph.outer_graph
    key = (id(slot), id(graph))
    if key not in _call.values:
        with graph.as_default():
            _call.values[key] = _call.instead(slot, _input_in(graph)) if _call.instead else compute()
    return _call.values[key]


_LOOPS_AND_BRANCHES = (
    control_flow.WhileBodyFuncGraph,
    control_flow.WhileCondFuncGraph,
    control_flow.CondBranchFuncGraph,
)
