"""Reads a TensorFlow checkpoint after comparing its object graph with a model's, edge by edge.

A checkpoint identifies a variable by the names of the attributes that lead to it (`layer_with_weights-0`,
`kernel`). The key under which it is stored does not matter: the same variable has another key in a SavedModel
than in a checkpoint of the model alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from ..messages import first_line
from ..surgery.layer_state import free_sizes_as_zero
from .mismatch import PretrainedError, check

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
# Edges from a model to objects of its training or its bookkeeping.
_ASIDE = {"optimizer", "keras_api", "save_counter", "signatures", "compiled_loss", "compiled_metrics"}

_UNREADABLE = (tf.errors.OpError, ValueError, LookupError, AssertionError)


def read(model: tf.keras.Model, prefix: Path) -> None:
    """Gives a model the values in a checkpoint of it, or of an object that holds it as `model`.

    Raises:
      PretrainedError: for a checkpoint that is damaged or does not fit.
    """
    try:
        file_graph = _Graph(prefix)
    except _UNREADABLE as error:
        raise PretrainedError(f"{str(prefix)!r} cannot be read: {first_line(error)}") from error
    with tempfile.TemporaryDirectory() as folder, free_sizes_as_zero(model):
        model_graph = _Graph(Path(tf.train.Checkpoint(model).write(f"{folder}/own")))
    # Object 0 is the model itself, or an object that holds it, such as a training.
    roots = {0, file_graph.children(0).get("model", 0)}
    compared = {root: _compare(model_graph, file_graph, root) for root in roots}
    root = max(roots, key=lambda root: len(set(compared[root][0]) & set(compared[root][1])))
    check(prefix, *compared[root])
    holder = tf.train.Checkpoint(model=model) if root else tf.train.Checkpoint(model)
    try:
        holder.read(str(prefix)).assert_existing_objects_matched().expect_partial()
    except _UNREADABLE as error:
        raise PretrainedError(f"{str(prefix)!r} cannot be read: {first_line(error)}") from error


class _Graph:
    """Holds the objects in a checkpoint, by number, and the shapes of those that are variables."""

    def __init__(self, prefix: Path):
        reader: Any = tf.train.load_checkpoint(str(prefix))
        self._graph = trackable_object_graph_pb2.TrackableObjectGraph()
        self._graph.ParseFromString(reader.get_tensor(_GRAPH))
        self._shapes: Mapping[str, list[int]] = reader.get_variable_to_shape_map()

    def children(self, number: int) -> dict[str, int]:
        """Returns the numbers of an object's children by attribute, without those of training."""
        children = self._graph.nodes[number].children
        return {c.local_name: c.node_id for c in children if c.local_name not in _ASIDE}

    def shape(self, number: int) -> Any:
        """Returns the shape of an object that is a variable, or else None."""
        keys = [a.checkpoint_key for a in self._graph.nodes[number].attributes if a.name == _VALUE]
        return tuple(self._shapes[keys[0]]) if keys else None

    def reachable(self, root: int) -> dict[int, str]:
        """Returns the shortest way to every object below `root`, by the object's number."""
        ways, pending = {root: ""}, [root]
        for number in pending:
            for name, child in self.children(number).items():
                if child not in ways:
                    ways[child] = f"{ways[number]}/{name}".lstrip("/")
                    pending.append(child)
        return ways


def _compare(model_graph: _Graph, file_graph: _Graph, root: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the shapes of the model's and of the file's variables, by the model's names if it has them."""
    partner, pending = {0: root}, [0]
    for number in pending:
        others = file_graph.children(partner[number])
        for name, child in model_graph.children(number).items():
            if child not in partner and name in others:
                partner[child] = others[name]
                pending.append(child)
    ways = model_graph.reachable(0)
    wanted = {way: model_graph.shape(n) for n, way in ways.items() if model_graph.shape(n) is not None}
    taken = {partner[n]: way for n, way in ways.items() if n in partner}
    found = {}
    for number, way in file_graph.reachable(root).items():
        if file_graph.shape(number) is not None:
            found[taken.get(number, way)] = file_graph.shape(number)
    return wanted, found
