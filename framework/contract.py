"""An algorithm's methods as the framework calls them: what goes wrong names the weight, and the method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from .algorithm import Algorithm, Tensors, WeightSpec

_ROUNDING = 1e-3
"""Of the largest number in a weight: two kernels of one device may add in another order."""


class AlgorithmError(ValueError):
    """An algorithm that does not keep to what `Algorithm` asks of it; the message says which method."""


def tensors_of(algorithm: Algorithm, method: str, spec: WeightSpec, *arguments: object) -> Tensors:
    """What a method that gives tensors by name (`init`, `update`, `encode`, `restore`) gives.

    Raises:
      AlgorithmError: where it gives something else.
      ValueError: as the method does, with the weight's path in the message.
    """
    try:
        found = getattr(algorithm, method)(*arguments)
    except ValueError as error:
        if spec.path in str(error):
            raise
        raise ValueError(f"{spec.path}: {error}") from error
    if not isinstance(found, Mapping):
        raise AlgorithmError(
            f"{type(algorithm).__name__}.{method} must return a dictionary of tensors by name, got a "
            f"{type(found).__name__} for {spec.path}."
        )
    return found


def check_penalty(algorithm: Algorithm, spec: WeightSpec, penalty: tf.Tensor) -> tf.Tensor:
    """The penalty; raises AlgorithmError where it is no scalar."""
    shape = tf.convert_to_tensor(penalty).shape
    if shape.rank not in (0, None):
        raise AlgorithmError(
            f"{type(algorithm).__name__}.penalty must return a scalar, summed over the weight, got the shape "
            f"{tuple(shape)} for {spec.path}."
        )
    return penalty


def check_decoding(algorithm: Algorithm, spec: WeightSpec, variables: Tensors, encoded: Tensors) -> None:
    """Holds what a receiver will decode against what was trained.

    Algorithms are exact to the bit (`tests/conformance`); what is refused here is a mistake in one, not a
    sum that another kernel rounds in another way.

    Raises:
      AlgorithmError: where the two differ.
    """
    projected, decoded = algorithm.project(variables, spec), algorithm.decode(encoded, spec)
    name = type(algorithm).__name__
    if decoded.shape != projected.shape or decoded.dtype != projected.dtype:
        raise AlgorithmError(
            f"{name}.decode gives {decoded.dtype.name}{list(decoded.shape)} for {spec.path}, and "
            f"{name}.project {projected.dtype.name}{list(projected.shape)}."
        )
    trained, received = projected.numpy(), decoded.numpy()
    if trained.tobytes() == received.tobytes():
        return
    trained, received = trained.astype(np.float64), received.astype(np.float64)
    limit = _ROUNDING * np.max(np.abs(trained), initial=0, where=np.isfinite(trained))
    wrong = ~np.isclose(received, trained, rtol=0, atol=limit, equal_nan=True)
    if wrong.any():
        raise AlgorithmError(
            f"{name}.decode does not give what {name}.project gives for {spec.path}: {np.sum(wrong):,} of "
            f"{wrong.size:,} numbers differ, the first of them {received[wrong][0]:g} where "
            f"{trained[wrong][0]:g} was trained. What is decoded must be the projected weight."
        )
