"""Puts the last work of a training off until its weights are final.

Much sets a model's weights when its training is over: averages over the last steps, the best epoch's values.
Some of it runs after the callbacks, in an order that nobody guarantees.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import tensorflow as tf

_under_way: dict[int, dict[Hashable, Callable[[], None]]] = {}  # what waits, by the ids of models


@contextmanager
def whole_training(model: tf.keras.Model) -> Iterator[None]:
    """Takes what a with-block does to `model` as one training, whose last `Algorithm.update` ends the block.

    Each `fit` of a compressible model is such a block. Where a weight is set after `fit`, make a larger one:

    >>> compressible = to_compressible(model, algorithm)
    >>> compressible.compile("adam", "mse")
    >>> data = tf.random.normal([8, 4]), tf.random.normal([8, 3])
    >>> with whole_training(compressible):
    ...     history = compressible.fit(*data, verbose=0, callbacks=[Updates()])
    ...     for variable in compressible.trainable_variables:
    ...         _ = variable.assign(variable / 2)  # stands for averages
    >>> size = save(compressible, "averaged.lpz")

    Blocks may be nested; then the outermost one counts. A block that raises ends without the update.
    """
    if id(model) in _under_way:
        yield
        return
    waiting = _under_way[id(model)] = {}
    try:
        yield
        for work in waiting.values():
            work()
    finally:
        del _under_way[id(model)]


def at_the_end(model: tf.keras.Model, key: Hashable, work: Callable[[], None]) -> None:
    """Calls `work` at the end of the training under way, or now if there is none.

    Args:
      model: in training.
      key: of two works with the same key the later one is done.
      work: takes and returns nothing.
    """
    if id(model) in _under_way:
        _under_way[id(model)][key] = work
    else:
        work()
