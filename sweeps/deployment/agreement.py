"""Compares an exported file's outputs with those of the model that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...framework.errors import LambdapressError

MOST = 0.02
"""The largest difference, relative to the largest output, that rounding explains."""
_EXAMPLES = 4

Arrays = Mapping[str, np.ndarray]


class DisagreementError(LambdapressError, RuntimeError):
    """A file does not compute what its model computes; the message says how far it is off."""


def random_values(random: np.random.Generator, spec: Any, batch: int) -> np.ndarray:
    """Returns random inputs: 0 or 1 for integers, which every vocabulary has; [0, 1) for floats.

    Args:
      random: the generator.
      spec: the input's `tf.TensorSpec`.
      batch: the length of the first axis; other unknown lengths are 16.
    """
    shape = [batch if axis == 0 else size or 16 for axis, size in enumerate(spec.shape)]
    kind = spec.dtype.as_numpy_dtype
    if spec.dtype.is_integer:
        return random.integers(0, 2, shape).astype(kind)
    return random.random(shape).astype(kind)


def expected_of(model: Any) -> tuple[Arrays, Arrays]:
    """Returns random inputs by name, and what a model makes of them, by the outputs' names."""
    import tensorflow as tf

    from ...framework.export.prediction import input_specs, prediction

    random = np.random.default_rng(0)
    specs = tf.nest.flatten(input_specs(model))
    inputs = {spec.name: random_values(random, spec, _EXAMPLES) for spec in specs}
    outputs = prediction(model)(*(tf.constant(inputs[spec.name]) for spec in specs))
    return inputs, {name: value.numpy() for name, value in outputs.items()}


def difference(path: Path, inputs: Arrays, expected: Arrays) -> float:
    """Returns the largest difference of a file's outputs from the model's, relative to the largest output.

    Raises:
      DisagreementError: for more than `MOST`, for other outputs, and for outputs that are not finite.
    """
    from ...framework.export.formats import open_exported

    predict, _ = open_exported(path)
    outputs = predict(inputs)
    worst = 0.0
    for name, wanted in expected.items():
        value = np.asarray(outputs[name]) if name in outputs else None
        if value is None or value.shape != wanted.shape:
            shape = "none" if value is None else value.shape
            raise DisagreementError(
                f"{path.name}: output {name!r} of shape {wanted.shape} expected, got {shape}."
            )
        off = np.abs(value.astype(np.float64) - wanted.astype(np.float64))
        scale = float(np.max(np.abs(wanted), initial=0.0)) or 1.0
        worst = max(worst, float(np.max(off, initial=0.0)) / scale)
    if not worst <= MOST:
        raise DisagreementError(
            f"{path.name} computes something else than the model: it differs by {worst:.0%} of the largest "
            "output."
        )
    return worst
