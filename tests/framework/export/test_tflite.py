"""Tests TensorFlow Lite files: unknown sizes, other shapes, bytes a weight, a runtime that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapress.framework import (
    ExportError,
    algorithms,
    export_saved_model,
    export_tflite,
    to_compressed,
    to_plain,
)
from lambdapress.framework.export import tflite_check
from lambdapress.framework.export.formats import make_format, open_exported
from lambdapress.framework.export.shapes import ShapesError
from lambdapress.framework.export.tflite_constants import _Held as Held

k = tf.keras.layers
OPS = ["builtin", "select"]


def compressed(layers: list, name: str = "uniform", lmbda: float = 0.01, **options: Any) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return to_compressed(tf.keras.Sequential(layers), algorithms.build(name, **options), lmbda=lmbda)


def outputs(path, inputs: np.ndarray) -> np.ndarray:
    predict, specs = open_exported(path)
    (output,) = predict({next(iter(specs)): inputs}).values()
    return np.asarray(output)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


UNKNOWN = {
    "images, pooled": (
        [k.Input((None, None, 3)), k.Conv2D(8, 3, padding="same"), k.MaxPool2D(3)],
        (2, 9, 12, 3),
    ),
    "images, two valid convolutions": (
        [k.Input((None, None, 3)), k.Conv2D(9, 3), k.Conv2D(9, 3), k.GlobalAveragePooling2D()],
        (2, 9, 12, 3),
    ),
    "images, a large field": (
        [
            k.Input((None, None, 3)),
            k.Conv2D(9, 7, 4),
            k.Conv2D(9, 7, 4),
            k.Conv2D(9, 3),
            k.GlobalMaxPooling2D(),
        ],
        (2, 80, 96, 3),
    ),
    "a signal": ([k.Input((None, 9)), k.Conv1D(32, 5, dilation_rate=3), k.GlobalMaxPooling1D()], (2, 40, 9)),
}


@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize("name", UNKNOWN)
def test_axes_of_unknown_length_stay_unknown(name, ops, tmp_path):
    layers, shape = UNKNOWN[name]
    model = compressed(layers)
    export_tflite(model, tmp_path / "m.tflite", ops=ops)
    inputs = random(*shape)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", inputs), model(inputs), atol=1e-4)
    (spec,) = open_exported(tmp_path / "m.tflite")[1].values()
    assert spec.shape.as_list() == list(model.input_shape)


def test_a_text_of_unknown_length(tmp_path):
    model = compressed(
        [k.Input((None,), dtype="int32"), k.Embedding(50, 16), k.Conv1D(16, 5), k.GlobalMaxPool1D()]
    )
    export_tflite(model, tmp_path / "m.tflite")
    words = np.arange(22, dtype=np.int32).reshape(2, 11)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", words), model(words), atol=1e-5)


@pytest.mark.parametrize("decode", ["before", "during"])
def test_a_layer_that_keras_cannot_save_is_served(decode, tmp_path):
    """The converter falls back on a file without a signature if it cannot save what it converts."""
    model = compressed([k.Input((6,)), k.SpectralNormalization(k.Dense(4))])
    export_tflite(model, tmp_path / "m.tflite", decode)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", random(3, 6)), model(random(3, 6)), rtol=1e-5)


TRACED: list[str] = []


class Traced(k.Dense):
    def call(self, inputs):
        TRACED.append(self.name)
        return super().call(inputs)


@pytest.mark.parametrize("write, suffix", [(export_tflite, ".tflite"), (export_saved_model, "")])
def test_an_export_traces_a_layer_once(write, suffix, tmp_path):
    model = compressed([k.Input((6,)), Traced(4, name="traced")])
    TRACED.clear()
    write(model, tmp_path / f"m{suffix}")
    assert TRACED == ["traced"]


def test_where_no_length_can_be_found_a_warning_says_so(tmp_path):
    model = compressed([k.Input((None, 4)), k.Reshape((36, 1)), k.Conv1D(64, 5)])  # 9 × 4 elements alone
    with pytest.warns(UserWarning, match="was not tried.*shapes="):
        export_tflite(model, tmp_path / "m.tflite")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        export_tflite(model, tmp_path / "m.tflite", shapes="?,9,4")
    inputs = random(2, 9, 4)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", inputs), model(inputs), atol=1e-5)


def test_a_runtime_that_dies_is_an_error_and_the_next_file_gets_another(tmp_path):
    model = compressed([k.Input((4,)), k.Dense(64)])
    done = threading.Event()

    def kill() -> None:
        while not done.wait(0.2):
            os.kill(tflite_check._runner.start().pid, signal.SIGABRT)

    tflite_check._runner.stop()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(
            ExportError, match="cannot hold 'sequential.*: its runtime died of the file .SIGABRT"
        ):
            export_tflite(model, tmp_path / "m.tflite")
    finally:
        done.set()
        killer.join()
    assert not (tmp_path / "m.tflite").exists()
    assert export_tflite(model, tmp_path / "m.tflite") == (tmp_path / "m.tflite").stat().st_size


def test_the_process_that_tries_files_ends_with_its_parent():
    code = "from lambdapress.framework.export import tflite_check as t; print(t._runner.start().pid)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout.split()[-1]), 0)


def test_a_process_that_has_ended_is_started_anew(tmp_path):
    model = compressed([k.Input((4,)), k.Dense(64)])
    export_tflite(model, tmp_path / "m.tflite")
    tflite_check._runner.start().kill()
    tflite_check._runner.start().wait()
    assert export_tflite(model, tmp_path / "m.tflite")


RECURRENT = [
    k.LSTM(24),
    *(
        pytest.param(layer, marks=pytest.mark.slow)
        for layer in (k.GRU(24, return_sequences=True), k.SimpleRNN(24), k.Bidirectional(k.LSTM(12)))
    ),
]


@pytest.mark.parametrize("layer", RECURRENT)
@pytest.mark.parametrize("decode", ["before", "during"])
def test_a_recurrent_network_takes_a_fixed_batch_with_builtin_operations(layer, decode, tmp_path):
    model = compressed([k.Input((10, 16)), layer])
    export_tflite(model, tmp_path / "m.tflite", decode, shapes=(1, ...))
    inputs = random(1, 10, 16)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", inputs), model(inputs), atol=1e-5)


@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize(
    "layers",
    [
        [k.LSTM(6)],
        [k.LSTM(6, return_sequences=True), k.SimpleRNN(6)],
        [k.Bidirectional(k.LSTM(6, return_sequences=True)), k.GRU(12)],
    ],
    ids=["one", "beside another", "in a wrapper"],
)
def test_an_lstm_begins_each_inference_anew(layers, ops, tmp_path):
    """TensorFlow Lite's own operation for it goes on from the state that the inference before left."""
    model = compressed([k.Input((5, 4)), *layers])
    export_tflite(model, tmp_path / "m.tflite", ops=ops, shapes=(3, ...))
    predict, (name, *_) = open_exported(tmp_path / "m.tflite")
    for _ in range(3):
        outputs = predict({name: random(3, 5, 4)})["output"]
        np.testing.assert_allclose(outputs, model(random(3, 5, 4)), rtol=1e-5, atol=1e-6)


def test_a_recurrent_network_is_told_of_fixed_batches(tmp_path):
    with pytest.raises(ExportError, match="needs a fixed batch, such as shapes='1,...'"):
        export_tflite(compressed([k.Input((10, 16)), k.LSTM(24)]), tmp_path / "m.tflite")


class Subclassed(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.conv, self.pool = k.Conv2D(16, 3), k.GlobalAveragePooling2D()

    def call(self, inputs):
        return self.pool(self.conv(inputs))


@pytest.mark.parametrize("write, suffix", [(export_tflite, ".tflite"), (export_saved_model, "")])
def test_a_subclassed_model_is_not_bound_to_the_shape_of_its_first_call(write, suffix, tmp_path):
    model = Subclassed()
    model(random(1, 64, 64, 3))
    model = to_compressed(model, algorithms.build("uniform"), lmbda=0.01)
    write(model, tmp_path / f"m{suffix}", shapes="?,?,?,3")
    inputs = random(2, 20, 24, 3)
    np.testing.assert_allclose(outputs(tmp_path / f"m{suffix}", inputs), model(inputs), atol=1e-5)


@pytest.mark.parametrize(
    "shapes, message",
    [
        ((1, 28), "1,28 is no shape of 'a', which has 3 axes: [?],10,16"),
        ("1,x", "shapes='1,x' is not of the form"),
        ("b=1,...", "'b', which is no input; the model has a"),
        ((0, ...), "A length is a positive integer"),
        ((1, 10, 3), "does not take shapes=.1, 10, 3.: Input 0 of layer"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes, message, tmp_path):
    model = compressed([k.Input((10, 16), name="a"), k.Flatten(), k.Dense(4)])
    with pytest.raises(ShapesError, match=message):
        export_tflite(model, tmp_path / "m.tflite", shapes=shapes)


def test_shapes_of_several_inputs_are_given_by_name(tmp_path):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    model = tf.keras.Model([a, b], k.Dense(80)(k.Add()([a, b])))
    model = to_compressed(model, algorithms.build("uniform"))
    with pytest.raises(ShapesError, match="of one input; the model has 2: a, b"):
        export_tflite(model, tmp_path / "m.tflite", shapes="1,...")
    export_tflite(model, tmp_path / "m.tflite", shapes="a=3,...;b=3,...")
    _, specs = open_exported(tmp_path / "m.tflite")
    assert {name: spec.shape.as_list() for name, spec in specs.items()} == {"a": [3, 4], "b": [3, 4]}


def outlying(share: float) -> list:
    """A layer of which a share of the weights is a hundred times larger than the others."""
    layer = k.Dense(256)
    layer.build((None, 256))
    rng = np.random.default_rng(0)
    value = rng.normal(size=(256, 256)) * np.where(rng.random((256, 256)) < share, 100, 1)
    layer.set_weights([value.astype(np.float32), np.zeros(256, np.float32)])
    return [k.Input((256,)), layer]


@pytest.mark.parametrize("share, most", [(0.0, 1.08), (0.001, 1.12), (0.02, 1.2), (0.5, 2.1)])
def test_a_few_large_integers_do_not_double_the_file(share, most, tmp_path):
    """One byte a weight, and a few for each weight beyond; 2 bytes at most."""
    model = compressed(outlying(share), bits=13 if share else 8)
    assert export_tflite(model, tmp_path / "m.tflite") < most * 256 * 256
    inputs = random(2, 256)
    np.testing.assert_allclose(
        outputs(tmp_path / "m.tflite", inputs), to_plain(model)(inputs), rtol=1e-4, atol=1e-2
    )


@pytest.mark.parametrize("clusters", [64, 200, 256])
def test_an_index_into_a_codebook_takes_one_byte(clusters, tmp_path):
    model = compressed(outlying(0), "clustering", lmbda=0, clusters=clusters)
    assert export_tflite(model, tmp_path / "m.tflite") < 1.1 * 256 * 256
    inputs = random(2, 256)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", inputs), model(inputs), rtol=1e-4, atol=1e-3)


INTEGERS = st.lists(
    st.one_of(st.integers(-3, 3), st.integers(-300, 300), st.integers(-(2**31), 2**31 - 1)),
    min_size=1,
    max_size=400,
)


@settings(max_examples=60, deadline=None)
@given(INTEGERS, st.sampled_from([np.int16, np.int32]))
def test_held_integers_come_back(values, dtype):
    value = np.array(values, np.int64).astype(dtype)
    held = Held().hold(value, tf.ones([2, 3]))
    assert held.dtype == dtype
    np.testing.assert_array_equal(held, value)


@pytest.mark.parametrize("value", [np.float32([1, -2.5, 3e38]), b"abc\0\0", np.array([b"a\0", b""], object)])
def test_what_is_no_integer_is_held_as_it_is(value):
    np.testing.assert_array_equal(Held().hold(value, tf.ones([2, 3])).numpy(), value)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_16_bit_floats_are_held_as_the_same_float32(dtype):
    value = tf.bitcast(tf.range(-(2**15), 2**15), tf.int32)
    value = tf.bitcast(tf.cast(value, tf.int16), dtype)  # every one that there is
    held = Held().hold(value.numpy(), tf.ones([2, 3]))
    assert held.dtype == tf.float32
    np.testing.assert_array_equal(held, tf.cast(value, tf.float32))
    np.testing.assert_array_equal(np.signbit(held), np.signbit(tf.cast(value, tf.float32)))


@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize(
    "name, options",
    [
        *(("clustering", {"clusters": n}) for n in (2, 16, 64, 300)),
        *(("half", {"dtype": dtype}) for dtype in ("float16", "bfloat16")),
    ],
)
@pytest.mark.parametrize("units", [4, 300])
def test_stored_16_bit_floats_reach_any_runtime(units, name, options, ops, tmp_path):
    model = compressed([k.Input((64,)), k.Dense(units)], name, **options)
    export_tflite(model, tmp_path / "m.tflite", ops=ops)
    inputs = random(3, 64)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", inputs), model(inputs), atol=1e-5)


@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize("name", ["epr", "power_law"])
def test_a_kernel_with_many_steps(name, ops, tmp_path):
    """A step, float16, for each of 16 × 16 frequencies is more than a compiler may fold."""
    model = compressed([k.Input((32, 32, 3)), k.Conv2D(8, 16, 16)], name)
    export_tflite(model, tmp_path / "m.tflite", ops=ops)
    inputs = random(2, 32, 32, 3)
    np.testing.assert_allclose(outputs(tmp_path / "m.tflite", inputs), model(inputs), atol=1e-4)


@pytest.mark.parametrize("units, chosen", [(8, "builtin"), (2000, "select")])
def test_auto_takes_the_smaller_file(units, chosen, tmp_path):
    model = compressed([k.Input((64,)), k.Dense(units)], lmbda=0.3)
    sizes = {ops: export_tflite(model, tmp_path / ops, ops=ops) for ops in ["auto", *OPS]}
    assert min(sizes, key=lambda ops: (sizes[ops], ops != chosen)) in ("auto", chosen)
    assert sizes["auto"] == sizes[chosen] == min(sizes.values())


def test_auto_takes_what_can_hold_the_model(tmp_path):
    inputs = tf.keras.Input((4,))
    model = tf.keras.Model(inputs, tf.math.betainc(inputs, inputs, k.Dense(4)(inputs)))
    model = to_compressed(model, algorithms.build("uniform"))
    assert export_tflite(model, tmp_path / "m.tflite", ops="auto")


def test_the_file_tells_which_operations_it_needs(tmp_path):
    model = compressed([k.Input((64,)), k.Dense(2000)], lmbda=0.3)
    for ops, words in [("builtin", "builtin operations"), ("select", "TensorFlow's operations")]:
        form = make_format("tflite", "during", {"ops": ops})
        assert words in (form.write(model, tmp_path / f"{ops}.tflite") or "")
