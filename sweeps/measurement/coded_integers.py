"""Reads the integers that a model's file codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from ...framework.algorithm import WeightSpec, algorithms
from ...framework.container import file
from ...framework.files.lpz import tensors_of_entry


def coded_integers(path: Path) -> dict[str, np.ndarray]:
    """Returns the integers that each weight of a file is coded as, by the weight's path.

    Weights in full, and those whose algorithm stores no integer for each element, are left out.

    Raises:
      ContainerError, FileNotFoundError: as `framework.load`.
      UnknownNameError: for an algorithm that is not installed.
    """
    found = {}
    for entry in file.read(path).entries:
        if entry.algorithm is None:
            continue
        algorithm = algorithms.get(entry.algorithm)(**entry.config)
        tensors = tensors_of_entry(entry)
        # A file does not say how many axes are spatial: of those that fit, all give the same integers.
        for spatial in range(max(1, len(entry.shape) - 1)):
            spec = WeightSpec(entry.path, entry.shape, entry.dtype, "kernel", spatial)
            try:
                unpacked = algorithm.unpack(tensors, spec)
            except (ValueError, TypeError, LookupError, ArithmeticError, tf.errors.OpError):
                continue
            whole = [
                t.numpy()
                for t in unpacked.values()
                if t.dtype.is_integer and t.shape.num_elements() == spec.size
            ]
            if whole:
                found[entry.path] = whole[0].astype(np.int64).ravel()
            break
    return found
