"""Keeps the zoo: architectures by name, each with a function that builds it and inputs to call it on."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

BATCH = 3  # exports are traced for any size, and TensorFlow Lite's own check of a file takes 2
Built = tuple[tf.keras.Model, Any]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Builds a model and inputs for it, and says what its formats cannot hold.

    Attributes:
      name: of the entry.
      build: returns a fresh model and inputs, the same inputs each time.
      original: as `build`, and has what only the sender's data gives, such as an adapted vocabulary.
      slow: whether only `make test-all` runs it.
      limits: `keras`, `tflite-builtin` or `tflite-select` → a regular expression that is found in the error
        with which Keras or TensorFlow Lite refuses the plain model, and in ours.
      exports: a regular expression that is found in the names of the exports that are made; see
        `architecture_steps.exports`.
      fixed_batch: whether files with TensorFlow Lite's own operations take one size of batch alone, as
        recurrent networks need it.
      tolerance: the greatest difference from the expected output in an exported graph, relative to the
        greatest magnitude of that output.
    """

    name: str
    build: Callable[[], Built]
    original: Callable[[], Built]
    slow: bool
    limits: Mapping[str, str]
    exports: str
    fixed_batch: bool
    tolerance: float


ZOO: dict[str, Architecture] = {}


def entry(
    build: Callable[..., Built] | None = None,
    *,
    name: str = "",
    adapts: bool = False,
    slow: bool = False,
    limits: Mapping[str, str] | None = None,
    exports: str = "",
    fixed_batch: bool = False,
    tolerance: float = 1e-4,
) -> Any:
    """Puts a builder in the zoo, under its own name unless `name` is given.

    Args:
      build: builds a model and inputs.
      name: of the entry.
      adapts: whether `build` takes a truth value: whether its layers are adapted to data.
      slow, limits, exports, fixed_batch, tolerance: see `Architecture`.
    """

    def put(build: Callable[..., Built]) -> Callable[..., Built]:
        key = name or build.__name__
        assert key not in ZOO, f"two architectures are called {key}"
        fresh = (lambda: build(False)) if adapts else build
        original = (lambda: build(True)) if adapts else build
        ZOO[key] = Architecture(key, fresh, original, slow, limits or {}, exports, fixed_batch, tolerance)
        return build

    return put if build is None else put(build)


def noise(*shape: int, batch: int = BATCH, seed: int = 1) -> np.ndarray:
    """Returns normal floats, float32 [batch, *shape]."""
    return np.random.default_rng(seed).normal(size=(batch, *shape)).astype(np.float32)


def tokens(size: int, *shape: int, batch: int = BATCH, low: int = 0) -> np.ndarray:
    """Returns integers from `low` to `size` − 1, int32 [batch, *shape]."""
    return np.random.default_rng(2).integers(low, size, size=(batch, *shape)).astype(np.int32)


def randomise(model: tf.keras.Model) -> None:
    """Gives weights that begin as constants other values, as training does; gains get both signs.

    Without it, a normalisation would be nearly the identity, and a bias that gets lost would not be missed.
    """
    for layer in model._flatten_layers():
        for variable in layer._trainable_weights + layer._non_trainable_weights:
            if not isinstance(variable, tf.Variable):
                continue  # a table
            trained = any(variable is other for other in layer._trainable_weights)
            name = variable.name.partition(":")[0].rpartition("/")[2]
            value = (
                np.asarray(tf.cast(variable.read_value(), tf.float32)) if variable.dtype.is_floating else None
            )
            if value is None or not (trained or name.startswith("moving_")):
                continue
            rng = np.random.default_rng(zlib.crc32(f"{name}{value.shape}".encode()))
            if name == "moving_variance":
                value = rng.uniform(0.5, 1.5, value.shape)
            elif name.startswith("gamma"):
                value = rng.uniform(0.5, 1.5, value.shape) * rng.choice([-1, 1], value.shape)
            elif "bias" in name or (value.size and np.ptp(value) == 0):
                value = value + rng.normal(0, 0.2, value.shape)
            variable.assign(tf.cast(value, variable.dtype))
