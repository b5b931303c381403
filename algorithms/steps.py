"""Stores quantisation steps as small integers, and chooses a step for a λ.

A step is 2^(code/32). Its code takes two bytes, and some step is within 1.1% of any number. Codes are never
trained (only float variables are). A step is the same number on every machine, since it is made from a table
and an exponent.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

_PER_OCTAVE = 32
_MANTISSAS = (2.0 ** (np.arange(_PER_OCTAVE) / _PER_OCTAVE)).astype(np.float32)
_LOWEST, _HIGHEST = -100 * _PER_OCTAVE, 100 * _PER_OCTAVE  # far from float32's denormals and its infinity
OFF = -(2**15)
"""Used instead of a code where values are not rounded."""

_SAMPLE = 2**16
_CANDIDATES = 2.0 ** np.arange(-8, 2.25, 0.25)  # in units of the root mean square


def code_of(step: np.ndarray) -> np.ndarray:
    """Returns the codes, int16, of the smallest steps that are at least `step`; any code for a 0."""
    with np.errstate(divide="ignore"):
        codes = np.ceil(_PER_OCTAVE * np.log2(np.asarray(step, np.float64)) - 1e-3)
    return np.clip(codes, _LOWEST, _HIGHEST).astype(np.int16)


def scaled(code: tf.Tensor, factor: float) -> tf.Tensor:
    """Returns the codes, int16, of steps that are `factor` times as large, to the nearest that has a code."""
    moved = tf.cast(code, tf.int32) + round(_PER_OCTAVE * math.log2(factor))
    moved = tf.cast(tf.clip_by_value(moved, _LOWEST, _HIGHEST), tf.int16)
    return tf.where(code == OFF, code, moved)


def step_of(code: tf.Tensor) -> tf.Tensor:
    """Returns the steps of codes, float32 of the same shape; works in graphs, too."""
    code = tf.clip_by_value(tf.cast(code, tf.int32), _LOWEST, _HIGHEST)
    octave = tf.math.floordiv(code, _PER_OCTAVE)
    power = tf.bitcast(tf.bitwise.left_shift(octave + 127, 23), tf.float32)
    return tf.gather(tf.constant(_MANTISSAS), code - octave * _PER_OCTAVE) * power


def entropy(counts: np.ndarray) -> float:
    """Computes the entropy of the distribution that `counts` show, in bits per value."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def best_step(values: np.ndarray, lmbda: float, sensitivity: float) -> float:
    """Returns the step Δ that minimises sensitivity·Σ(x−Δ·round(x/Δ))²/Σx² + λ·bits per value.

    Candidates lie between 2⁻⁸ and 4 times the root mean square of the values.

    Args:
      values: finite floats, any shape; many values are represented by a random sample, always the same one.
      lmbda: λ.
      sensitivity: see `distortion.Sensitive`.

    Returns:
      The step, in units of the values; 0 where they are all 0.
    """
    flat = np.ravel(values)
    rms = float(np.sqrt(np.mean(np.square(flat, dtype=np.float64)))) if flat.size else 0.0
    if rms == 0:
        return 0.0
    if flat.size >= 2 * _SAMPLE:  # at random: regular intervals may hit a few channels only
        flat = flat[np.random.default_rng(0).integers(flat.size, size=_SAMPLE)]
    x = flat.astype(np.float64) / rms

    def cost(step: float) -> float:
        rounded = np.rint(x / step)
        _, counts = np.unique(rounded, return_counts=True)
        return sensitivity * float(np.mean((x - step * rounded) ** 2)) + lmbda * entropy(counts)

    return rms * float(min(_CANDIDATES, key=cost))
