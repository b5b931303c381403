"""Tests the bit-exact compression of floats."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from lambdapress.algorithms.planes import CODECS
from lambdapress.framework import WeightSpec, algorithms

DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}


def spec_of(values: np.ndarray) -> WeightSpec:
    return WeightSpec("w", values.shape, values.dtype.name, "kernel")


def stored(values: np.ndarray, codec: str):
    return algorithms.build("lossless", codec=codec).encode({"weight": tf.constant(values)}, spec_of(values))


def every_kind(dtype) -> np.ndarray:
    """Returns all 16-bit patterns; of wider floats, NaN payloads, infinities, zeros, denormals and noise."""
    dtype = np.dtype(dtype)
    if dtype.itemsize == 2:
        return np.arange(2**16, dtype=np.uint16).view(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    info = np.finfo(dtype)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, info.smallest_subnormal], dtype)
    quiet = np.array([np.nan], dtype).view(unsigned)
    infinity = np.array([np.inf], dtype).view(unsigned)  # a mantissa makes it a NaN, here a signalling one
    payloads = (quiet | unsigned.type(0x1234)).view(dtype), (infinity | unsigned.type(5)).view(dtype)
    noise = np.random.default_rng(0).integers(np.iinfo(unsigned).max, size=1000, dtype=unsigned).view(dtype)
    return np.concatenate([special, -special, *payloads, noise])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_bit_comes_back(codec, dtype):
    values = every_kind(DTYPES[dtype])
    algorithm, spec = algorithms.build("lossless", codec=codec), spec_of(values)
    encoded = stored(values, codec)
    assert algorithm.decode(encoded, spec).numpy().tobytes() == values.tobytes()
    in_graph = tf.function(lambda planes: algorithm.decode({"planes": planes}, spec))
    assert in_graph(encoded["planes"]).numpy().tobytes() == values.tobytes()


@pytest.mark.parametrize("codec", CODECS)
def test_at_least_15_percent_off_what_looks_like_a_trained_weight(codec):
    values = np.random.default_rng(0).normal(scale=0.05, size=(300, 100)).astype(np.float32)
    assert sum(map(len, stored(values, codec)["planes"].numpy())) < 0.85 * values.nbytes
    halves = values.astype(ml_dtypes.bfloat16)
    assert sum(map(len, stored(halves, codec)["planes"].numpy())) < 0.7 * halves.nbytes


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 0)])
def test_weights_of_hardly_any_elements(shape):
    values = np.ones(shape, np.float32)
    algorithm = algorithms.build("lossless")
    assert algorithm.decode(stored(values, "zstd"), spec_of(values)).shape == shape


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_not_decompressed(codec):
    bomb = stored(np.zeros(2**22, np.float32), codec)["planes"]
    assert max(map(len, bomb.numpy())) < 2**14
    few = WeightSpec("w", (10,), "float32", "kernel")
    with pytest.raises(ValueError, match="does not hold 10 bytes"):
        algorithms.build("lossless", codec=codec).decode({"planes": bomb}, few)


@pytest.mark.parametrize("codec", CODECS)
def test_garbage_is_refused(codec):
    spec = WeightSpec("w", (1000,), "float32", "kernel")
    algorithm = algorithms.build("lossless", codec=codec)
    with pytest.raises(ValueError, match="plane"):
        algorithm.decode({"planes": tf.constant([b"garbage"] * 4)}, spec)
    with pytest.raises(ValueError, match="4 planes expected"):
        algorithm.decode({"planes": tf.constant([b"", b""])}, spec)


def test_an_unknown_codec_is_refused_by_name():
    with pytest.raises(ValueError, match="codec must be one of .*zlib, got 'rar'"):
        algorithms.build("lossless", codec="rar")


def test_only_zlib_is_a_graphs_own():
    problems = {codec: algorithms.build("lossless", codec=codec).no_graph_decode for codec in CODECS}
    assert [codec for codec, problem in problems.items() if problem is None] == ["zlib"]
