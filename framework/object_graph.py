"""TensorFlow checkpoints: their graph of objects held against a model's, edge by edge.

A checkpoint finds a variable by the names of the attributes that lead to it (`layer_with_weights-0`,
`kernel`), whatever key it is stored under: the same variable has other keys in a SavedModel than in a
checkpoint of the model alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from .mismatch import PretrainedError, check, first_line

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
# Edges from a model to what belongs to its training or its bookkeeping.
_ASIDE = {"optimizer", "keras_api", "save_counter", "signatures", "compiled_loss", "compiled_metrics"}

_UNREADABLE = (tf.errors.OpError, ValueError, LookupError, AssertionError)


def read(model: tf.keras.Model, prefix: Path) -> None:
    """Gives a model the values in a checkpoint of it, or of something that holds it as `model`.

    Raises:
      PretrainedError: for a checkpoint that is damaged or does not fit.
    """
    try:
        theirs = _Graph(prefix)
    except _UNREADABLE as error:
        raise PretrainedError(f"{str(prefix)!r} cannot be read: {first_line(error)}") from error
    with tempfile.TemporaryDirectory() as folder:
        own = _Graph(Path(tf.train.Checkpoint(model).write(f"{folder}/own")))
    roots = {0, theirs.children(0).get("model", 0)}  # the model alone, and what holds it, such as a training
    compared = {root: _compare(own, theirs, root) for root in roots}
    root = max(roots, key=lambda root: len(set(compared[root][0]) & set(compared[root][1])))
    check(prefix, *compared[root])
    holder = tf.train.Checkpoint(model=model) if root else tf.train.Checkpoint(model)
    try:
        holder.read(str(prefix)).assert_existing_objects_matched().expect_partial()
    except _UNREADABLE as error:
        raise PretrainedError(f"{str(prefix)!r} cannot be read: {first_line(error)}") from error


class _Graph:
    """The objects in a checkpoint, by number, and which of them have values."""

    def __init__(self, prefix: Path):
        reader: Any = tf.train.load_checkpoint(str(prefix))
        self._graph = trackable_object_graph_pb2.TrackableObjectGraph()
        self._graph.ParseFromString(reader.get_tensor(_GRAPH))
        self._shapes: Mapping[str, list[int]] = reader.get_variable_to_shape_map()

    def children(self, number: int) -> dict[str, int]:
        """By the name of the attribute; without what is of training."""
        children = self._graph.nodes[number].children
        return {c.local_name: c.node_id for c in children if c.local_name not in _ASIDE}

    def shape(self, number: int) -> Any:
        """Of the variable that an object is, or None."""
        keys = [a.checkpoint_key for a in self._graph.nodes[number].attributes if a.name == _VALUE]
        return tuple(self._shapes[keys[0]]) if keys else None

    def reachable(self, root: int) -> dict[int, str]:
        """Every object below `root`, with the shortest way to it."""
        ways, pending = {root: ""}, [root]
        for number in pending:
            for name, child in self.children(number).items():
                if child not in ways:
                    ways[child] = f"{ways[number]}/{name}".lstrip("/")
                    pending.append(child)
        return ways


def _compare(own: _Graph, theirs: _Graph, root: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The shapes of our variables and of theirs, by our names for those that we have."""
    partner, pending = {0: root}, [0]
    for number in pending:
        others = theirs.children(partner[number])
        for name, child in own.children(number).items():
            if child not in partner and name in others:
                partner[child] = others[name]
                pending.append(child)
    ways = own.reachable(0)
    wanted = {way: own.shape(n) for n, way in ways.items() if own.shape(n) is not None}
    taken = {partner[n]: way for n, way in ways.items() if n in partner}
    found = {}
    for number, way in theirs.reachable(root).items():
        if theirs.shape(number) is not None:
            found[taken.get(number, way)] = theirs.shape(number)
    return wanted, found
