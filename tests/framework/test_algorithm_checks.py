"""Checks that an error for a mistake in a user's algorithm names the method that makes it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import Algorithm, WeightSpec, algorithms, save, to_compressible
from lambdapress.framework.algorithm_checks import AlgorithmError, check_decoding


@dataclasses.dataclass(frozen=True)
class Sound(Algorithm):
    """A correct algorithm in half precision, whose `project` rounds as `encode` does."""

    name = "sound"

    def project(self, variables, spec):
        return tf.cast(tf.cast(variables["weight"], tf.float16), spec.dtype)

    def encode(self, variables, spec):
        return {"value": tf.cast(variables["weight"], tf.float16)}

    def decode(self, encoded, spec):
        return tf.cast(encoded["value"], spec.dtype)


class Doubles(Sound):
    def decode(self, encoded, spec):
        return 2 * super().decode(encoded, spec)


class Flattens(Sound):
    def decode(self, encoded, spec):
        return tf.reshape(super().decode(encoded, spec), [-1])


class NoDictionary(Sound):
    def encode(self, variables, spec):
        return variables["weight"]


class NoInitialDictionary(Sound):
    def init(self, weight, spec, lmbda=0.0):
        return weight


class NoScalar(Sound):
    def penalty(self, variables, spec):
        return tf.abs(variables["weight"])


class Refuses(Sound):
    def encode(self, variables, spec):
        raise ValueError("out of codes")


def dense() -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=(4,))])


def test_a_sound_algorithm_is_saved(tmp_path):
    assert save(to_compressible(dense(), Sound()), tmp_path / "m.lpz") > 0


@pytest.mark.parametrize(
    "algorithm, message",
    [
        (Doubles(), "Doubles.decode does not give what Doubles.project gives for dense/kernel: 12 of 12"),
        (
            Flattens(),
            r"Flattens.decode gives float32\[12\] for dense/kernel, and Flattens.project float32\[4, 3",
        ),
        (NoDictionary(), "NoDictionary.encode must return a dictionary of tensors by name, got a .*Tensor"),
        (NoInitialDictionary(), "NoInitialDictionary.init must return a dictionary of tensors by name"),
        (
            NoScalar(),
            r"NoScalar.penalty must return a scalar, summed over the weight, got the shape \(4, 3\)",
        ),
        (Refuses(), "dense/kernel: out of codes"),
    ],
)
def test_a_mistake_is_named(algorithm, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        model = to_compressible(dense(), algorithm)
        model.losses  # noqa: B018
        save(model, tmp_path / "m.lpz")
    assert not (tmp_path / "m.lpz").exists()


def test_rounding_is_no_mistake_and_what_is_not_finite_is_compared_as_it_is():
    spec = WeightSpec("w", (4,), "float32", "kernel")
    trained = np.array([np.nan, np.inf, 1.0, -2.0], np.float32)
    for decoded, sound in (
        (trained * np.float32(1 + 1e-6), True),
        (np.array([0.0, np.inf, 1.0, -2.0], np.float32), False),
        (np.array([np.nan, 1.0, 1.0, -2.0], np.float32), False),
        (np.array([np.nan, np.inf, 1.1, -2.0], np.float32), False),
    ):
        algorithm = algorithms.build("none")
        arguments = algorithm, spec, {"weight": tf.constant(trained)}, {"value": tf.constant(decoded)}
        if sound:
            check_decoding(*arguments)
        else:
            with pytest.raises(AlgorithmError, match="1 of 4 numbers differ"):
                check_decoding(*arguments)
