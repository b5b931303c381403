"""Tests codes: values come back, in about as many bits as their entropy; bad codes end in an error."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapress.framework import entropy
from lambdapress.framework.entropy import (
    CodeError,
    best_table,
    cumulative,
    gamma_decode,
    gamma_encode,
    range_decode,
    range_encode,
)

SMALL = st.integers(-4, 4)
LARGE = st.integers(-(2**30) + 1, 2**30 - 1)
VALUES = st.lists(st.one_of(SMALL, SMALL, SMALL, st.integers(-3000, 3000), LARGE), min_size=1, max_size=60)
RNG = np.random.default_rng(5)


def int32(values) -> np.ndarray:
    return np.asarray(values, np.int32)


def ranged(values) -> dict:
    return range_encode(tf.constant(values), best_table(values))


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_what_is_encoded_is_decoded(values):
    values = int32(values)
    np.testing.assert_array_equal(gamma_decode(gamma_encode(tf.constant(values)), values.shape), values)
    np.testing.assert_array_equal(range_decode(ranged(values), values.shape), values)


@pytest.mark.parametrize(
    "values",
    [
        [2**30 - 1, -(2**30) + 1],
        [7] * 50,
        [0],
        [5000] * 9,
        [-5000, 5000],
        [-2047, 2047, 0, 0, 0, 0],
        [-2046, 2046, 0, 0, 0, 0],
        np.round(RNG.standard_cauchy(500) * 10),
    ],
    ids=str,
)
def test_escapes_and_single_symbols(values):
    values = int32(values)
    np.testing.assert_array_equal(range_decode(ranged(values), values.shape), values)


def test_all_of_int32_but_its_least_has_a_gamma_code():
    values = int32([2**31 - 1, -(2**31) + 1, 0, 0, 1])
    np.testing.assert_array_equal(gamma_decode(gamma_encode(tf.constant(values)), [5]), values)
    with pytest.raises(CodeError, match="2147483648"):
        gamma_encode(tf.constant(int32([-(2**31)])))


@pytest.mark.parametrize("value", [2**30, -(2**30), 2**31 - 1, -(2**31)])
def test_an_integer_too_large_for_the_range_coder_is_refused(value):
    with pytest.raises(CodeError, match=str(value)):
        ranged(int32([value, 0, 0]))


def test_no_values_at_all():
    empty = tf.zeros([0, 3], tf.int32)
    assert gamma_decode(gamma_encode(empty), [0, 3]).shape == (0, 3)
    encoded = range_encode(empty, best_table(int32([1, 2, 2])))
    assert range_decode(encoded, [0, 3]).shape == (0, 3)


@pytest.mark.parametrize("size", [2, 3, 100, 4096])
def test_cumulative_frequencies_leave_room_for_every_entry(size):
    levels = RNG.integers(0, 125, size).astype(np.uint8)
    head, *upto = cumulative(tf.constant(levels)).numpy()[0].tolist()
    assert head == entropy.PRECISION
    assert upto[0] == 0 and upto[-1] == 2**head
    assert np.all(np.diff(upto) >= 1)
    frequencies = 2.0 ** (-levels.astype(float) / 4)
    expected = frequencies / frequencies.sum()
    np.testing.assert_allclose(np.diff(upto) / 2**head, expected, atol=(size + 2) / 2**head)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0, 100.0])
def test_codes_are_close_to_the_entropy(scale):
    values = int32(np.round(RNG.laplace(scale=scale, size=50_000)))
    _, counts = np.unique(values, return_counts=True)
    share = counts / counts.sum()
    bits = -(counts * np.log2(share)).sum()
    encoded = ranged(values)
    table_bits = 8 * len(encoded["levels"])
    strings = [encoded[name].numpy() for name in ("code", "escapes") if name in encoded]
    assert bits * 0.99 <= 8 * sum(map(len, strings)) <= bits * 1.03 + table_bits
    # The estimate that chooses the table equals the bytes that the table takes.
    actual = sum(map(len, strings)) + len(encoded["levels"]) + 2
    assert best_table(values).num_bytes == pytest.approx(actual, rel=0.02)


def test_the_gamma_code_costs_what_the_formula_says():
    # Runs of no zeros, and 2·(1+⌊log2 x⌋) bits per value; whole bytes.
    values = int32([1, 2, 3, 4, -8, 100])
    bits = sum(1 + 2 * (1 + np.floor(np.log2(abs(v)))) for v in values)
    assert len(gamma_encode(tf.constant(values)).numpy()) == np.ceil(bits / 8)


def test_graphs_decode_the_same():
    values = int32(np.round(RNG.standard_cauchy((40, 5)) * 3))
    encoded, code = ranged(values), gamma_encode(tf.constant(values))
    assert "escapes" in encoded
    np.testing.assert_array_equal(tf.function(lambda: range_decode(encoded, (40, 5)))(), values)
    np.testing.assert_array_equal(tf.function(lambda: gamma_decode(code, (40, 5)))(), values)


def hostile_code(rng: np.random.Generator) -> bytes:
    length = int(rng.integers(0, 100))
    kind = rng.integers(4)
    return bytes(length) if kind == 0 else b"\xff" * length if kind == 1 else rng.bytes(length)


def test_random_gamma_codes_end_in_values_or_in_an_error():
    rng, outcomes = np.random.default_rng(6), set()
    for _ in range(1000):
        shape = [int(rng.integers(0, 200))]
        try:
            outcomes.add(gamma_decode(tf.constant(hostile_code(rng)), shape).shape == shape)
        except CodeError as error:
            outcomes.add(type(error))
    assert outcomes == {True, CodeError}


def test_random_range_codes_and_tables_end_in_values_or_in_an_error():
    rng, outcomes = np.random.default_rng(7), set()
    for _ in range(1000):
        top, shape = rng.choice([20, 125, 256]), [int(rng.integers(0, 200))]
        encoded = {
            "code": tf.constant(hostile_code(rng)),
            "lowest": tf.constant(rng.integers(-(2**15), 2**15), tf.int16),
            "levels": tf.constant(rng.integers(0, top, int(rng.integers(0, 60))), tf.uint8),
        }
        if rng.integers(2):
            encoded["escapes"] = tf.constant(hostile_code(rng))
        try:
            outcomes.add(range_decode(encoded, shape).shape == shape)
        except CodeError as error:
            outcomes.add(type(error))
    assert outcomes == {True, CodeError}


@pytest.mark.timeout(60)
def test_a_code_that_made_the_coder_loop_for_ever_ends():
    # All escapes, then only zeros: TensorFlow Compression's own escapes never returned from this.
    for code in (b"\x80", b"\xff\xff", b"\xff" * 38, b"\x80\x00\x00"):
        encoded = {"code": code, "lowest": 0, "levels": np.zeros(2, np.uint8), "escapes": b""}
        with pytest.raises(CodeError):
            range_decode({name: tf.constant(value) for name, value in encoded.items()}, [100])


@pytest.mark.parametrize(
    "changed",
    [
        {"lowest": tf.constant([0, 1])},
        {"lowest": tf.constant(0.5)},
        {"lowest": tf.constant("x")},
        {"levels": tf.constant([1, -1, 2])},
        {"levels": tf.constant([1, 125, 2])},
        {"levels": tf.constant([1.0, 2.0])},
        {"levels": tf.constant([[1, 2]])},
        {"levels": tf.constant([1])},
        {"levels": tf.zeros([5000], tf.uint8)},
        {"code": tf.constant([b"a", b"b"])},
        {"escapes": tf.constant(b"")},
        {"escapes": tf.constant([b"", b""])},
    ],
    ids=str,
)
def test_tables_that_no_encoder_makes_are_refused(changed):
    values = int32([0, 1, 0, 2, 9000, 0, -1, 0, 1] * 9)
    with pytest.raises(CodeError):
        range_decode({**ranged(values), **changed}, values.shape)
