"""Calls an algorithm's methods and checks their results; errors name the method and the weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from .algorithm import Algorithm, Tensors, WeightSpec
from .errors import LambdapressError

_ROUNDING = 1e-3
"""Largest difference that is taken for rounding, as a share of the weight's largest number.

Two kernels of one device may add in a different order.
"""


class AlgorithmError(LambdapressError, ValueError):
    """An algorithm breaks a rule that `Algorithm` states; the message names the method."""


def tensors_of(algorithm: Algorithm, method: str, spec: WeightSpec, *arguments: object) -> Tensors:
    """Calls a method that returns tensors by name: `init`, `update`, `coarser`, `encode` or `restore`.

    Raises:
      AlgorithmError: if it returns something else.
      ValueError: if the method raises one; the weight's path is added to its message.
    """
    try:
        tensors = getattr(algorithm, method)(*arguments)
    except ValueError as error:
        if spec.path in str(error):
            raise
        raise ValueError(f"{spec.path}: {error}") from error
    if not isinstance(tensors, Mapping):
        raise AlgorithmError(
            f"{type(algorithm).__name__}.{method} must return a dictionary of tensors by name, got a "
            f"{type(tensors).__name__} for {spec.path}."
        )
    return tensors


def check_penalty(algorithm: Algorithm, spec: WeightSpec, penalty: tf.Tensor) -> tf.Tensor:
    """Returns the penalty; raises AlgorithmError if it is not a scalar."""
    shape = tf.convert_to_tensor(penalty).shape
    if shape.rank not in (0, None):
        raise AlgorithmError(
            f"{type(algorithm).__name__}.penalty must return a scalar, summed over the weight, got the shape "
            f"{tuple(shape)} for {spec.path}."
        )
    return penalty


def check_decoding(algorithm: Algorithm, spec: WeightSpec, variables: Tensors, encoded: Tensors) -> None:
    """Compares the weight that a receiver will decode with the one that was trained.

    Algorithms are exact to the bit (`tests/conformance`). This check refuses mistakes in an algorithm; it
    allows for sums that another kernel rounds differently.

    Raises:
      AlgorithmError: if the two differ in shape, in dtype, or by more than rounding.
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
