"""Tests exported files: their predictions, contents and requirements, and the effect of damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    ContainerError,
    ExportError,
    FormError,
    algorithms,
    export_saved_model,
    export_tflite,
    form_of,
    load_exported,
    to_compressed,
    to_compressible,
    to_plain,
)
from lambdapress.framework.export.formats import make_format, open_exported
from lambdapress.framework.export.saved_model import EXTRA
from lambdapress.framework.export.tflite_constants import SMALL
from lambdapress.sweeps.deployment.runtime import Served

k = tf.keras.layers
ALGORITHMS = ["power_law", "epr"]
SAVED_MODELS = ["before", "during", "once"]
LITE = [("before", "builtin"), ("during", "builtin"), ("during", "select")]


@pytest.fixture(scope="module")
def plain() -> tf.keras.Model:
    tf.keras.utils.set_random_seed(1)
    inputs = tf.keras.Input((8, 8, 3))
    x = k.ReLU()(k.BatchNormalization()(k.Conv2D(24, 3, use_bias=False)(inputs)))
    x = k.DepthwiseConv2D(3, depth_multiplier=2)(x)
    model = tf.keras.Model(inputs, k.Dense(5)(k.Dense(300, "relu")(k.Flatten()(x))))
    rng = np.random.default_rng(1)
    for variable in model.weights:
        noise = rng.normal(scale=0.1, size=variable.shape)
        variable.assign(np.abs(noise) + 0.5 if "variance" in variable.name else noise)
    return model


@pytest.fixture(scope="module", params=ALGORITHMS)
def compressed(request, plain) -> tf.keras.Model:
    return to_compressed(plain, algorithms.build(request.param))


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(2).random((count, 8, 8, 3)).astype(np.float32)


def largest_kernel(model) -> int:
    return max(int(tf.size(variable)) for variable in to_plain(model).weights)


# Predictions.


@pytest.mark.parametrize("decode", SAVED_MODELS)
def test_a_saved_model_predicts_as_the_model_and_comes_back(decode, compressed, tmp_path):
    export_saved_model(compressed, tmp_path / "m", decode)
    predict, specs = open_exported(tmp_path / "m")
    (name,) = specs
    expected = compressed(images()).numpy()
    for _ in range(3):  # with `once`, later calls take another path than the first
        np.testing.assert_allclose(predict({name: images()})["output"], expected, rtol=1e-6, atol=1e-6)

    again = load_exported(tmp_path / "m")
    assert form_of(again) == ("plain" if decode == "before" else "compressed")
    np.testing.assert_array_equal(again(images()), compressed(images()))


@pytest.mark.parametrize("decode", ["during", "once"])
def test_a_weight_does_not_wait_for_an_operation_that_takes_it(decode, tmp_path):
    """oneDNN makes one operation of a padding and the convolution whose kernel waits for the padding."""
    network = tf.keras.Sequential([tf.keras.Input((8, 8, 3)), k.ZeroPadding2D(1), k.Conv2D(4, 3)])
    model = to_compressed(network, algorithms.build("uniform"))
    export_saved_model(model, tmp_path / "m", decode)
    predict, (name, *_) = open_exported(tmp_path / "m")
    np.testing.assert_allclose(predict({name: images()})["output"], model(images()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decode", ["during", "once"])
def test_an_empty_batch_is_waited_for(decode, tmp_path):
    model = to_compressed(
        tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3)]), algorithms.build("uniform")
    )
    export_saved_model(model, tmp_path / "m", decode)
    predict, (name, *_) = open_exported(tmp_path / "m")
    for count in (0, 2):
        given = np.ones((count, 4), np.float32)
        np.testing.assert_allclose(predict({name: given})["output"], model(given), rtol=1e-6)


@pytest.mark.parametrize("decode, ops", LITE)
def test_a_tflite_file_predicts_as_the_model(decode, ops, compressed, tmp_path):
    size = export_tflite(compressed, tmp_path / "m.tflite", decode, ops)
    assert size == (tmp_path / "m.tflite").stat().st_size
    predict, specs = open_exported(tmp_path / "m.tflite")
    (name,) = specs
    for count in (1, 3):
        found = predict({name: images(count)})["output"]
        np.testing.assert_allclose(found, compressed(images(count)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pattern", ["4x1", "unstructured"])
def test_zeros_take_no_room_in_a_file_for_sparse_kernels(pattern, plain, tmp_path):
    pruning = algorithms.build("pruning", pattern=pattern, sparsity=0.9)
    pruned = to_compressed(plain, [("^dense.*/kernel", pruning), (".*", None)])
    sizes = [
        export_tflite(pruned, tmp_path / f"{sparse}.tflite", "before", sparse_kernels=sparse)
        for sparse in (False, True)
    ]
    assert sizes[1] < 0.35 * sizes[0]
    predict, specs = open_exported(tmp_path / "True.tflite")
    (name,) = specs
    for count in (1, 3):
        found = predict({name: images(count)})["output"]
        np.testing.assert_allclose(found, pruned(images(count)), rtol=1e-4, atol=1e-4)


def test_a_file_stands_in_for_the_model_in_an_evaluation(compressed, tmp_path):
    export_tflite(compressed, tmp_path / "m.tflite")
    served = Served(tmp_path / "m.tflite", compressed)
    traced = tf.function(lambda inputs: served(inputs, training=False))(images())
    np.testing.assert_allclose(traced, compressed(images()), rtol=1e-4, atol=1e-4)


# Contents.


def tensors_in(path: Path) -> list[int]:
    interpreter = tf.lite.Interpreter(str(path))
    buffers = [d for d in interpreter.get_tensor_details() if d["dtype"] in (np.float32, np.float64)]
    constant = []
    for detail in buffers:
        try:
            constant.append(interpreter.tensor(detail["index"])().size)
        except ValueError:  # not allocated: not in the file
            continue
    return constant


def constants_in(path: Path) -> list[int]:
    """Returns the number of elements of every float constant in a SavedModel's graph."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    values = [node.attr["value"].tensor for node in nodes if node.op == "Const"]
    return [tf.make_ndarray(value).size for value in values if tf.as_dtype(value.dtype).is_floating]


@pytest.mark.parametrize("ops", ["builtin", "select"])
def test_no_weight_is_a_float_constant_of_a_tflite_file(ops, compressed, tmp_path):
    export_tflite(compressed, tmp_path / "m.tflite", "during", ops)
    export_tflite(compressed, tmp_path / "plain.tflite", "before")
    kernel = largest_kernel(compressed)
    assert kernel in tensors_in(tmp_path / "plain.tflite"), "the test would not see a kernel"
    assert max(tensors_in(tmp_path / "m.tflite")) < SMALL * 3
    plain_size = (tmp_path / "plain.tflite").stat().st_size
    assert (tmp_path / "m.tflite").stat().st_size < (0.5 if ops == "builtin" else 0.3) * plain_size


@pytest.mark.parametrize("decode", ["during", "once"])
def test_a_saved_model_holds_the_codes_once_and_no_weight(decode, compressed, tmp_path):
    from lambdapress.framework import save

    container = save(compressed, tmp_path / "m.lpz")
    export_saved_model(compressed, tmp_path / "m", decode)
    assert max(constants_in(tmp_path / "m")) < SMALL * 3
    variables = sum(file.stat().st_size for file in (tmp_path / "m" / "variables").iterdir())
    assert variables < container + 2_500
    graph = (tmp_path / "m" / "saved_model.pb").read_bytes()
    code = max((v.numpy() for v in compressed.weights if v.dtype == tf.string), key=len)
    assert len(code) > 1_000 and code[100:200] not in graph


# Use of exported files.


@pytest.mark.parametrize("decode", ["before", "during"])
def test_training_goes_on_from_the_exported_file_alone(decode, compressed, tmp_path):
    export_saved_model(compressed, tmp_path / "m", decode)
    again = load_exported(tmp_path / "m")

    plain = to_plain(again)
    plain.compile("sgd", "mse")
    plain.fit(images(), np.zeros((3, 5)), verbose=0)

    rules = algorithms.build("power_law") if decode == "before" else None
    compressible = to_compressible(again, rules, lmbda=0.1)
    assert sum(float(loss) for loss in compressible.losses) > 0
    if decode == "during":  # with the latents and steps of the file, not with new ones
        np.testing.assert_array_equal(compressible(images()), compressed(images()))
    compressible.compile("sgd", "mse")
    compressible.fit(images(), np.zeros((3, 5)), verbose=0)
    to_compressed(compressible)


class Custom(tf.keras.Model):
    """A model of a user who registers nothing with Keras."""

    def __init__(self):
        super().__init__()
        self.layer = k.Dense(4)

    def call(self, inputs):
        return {"scores": self.layer(inputs["a"]), "same": [inputs["b"]]}


def test_a_model_that_keras_cannot_describe_comes_back_into_one_that_is_given(tmp_path):
    def make():
        model = Custom()
        model({"a": tf.ones((2, 3)), "b": tf.ones((2, 1), tf.int32)})
        return model

    model = to_compressed(make(), algorithms.build("power_law"))
    export_saved_model(model, tmp_path / "m")
    inputs = {"a": tf.ones((3, 3)), "b": tf.ones((3, 1), tf.int32)}
    served = tf.function(lambda x: Served(tmp_path / "m", model)(x))(inputs)
    np.testing.assert_allclose(served["scores"], model(inputs)["scores"], rtol=1e-6)
    np.testing.assert_array_equal(served["same"][0], inputs["b"])
    with pytest.raises(ContainerError, match="Give the model that"):
        load_exported(tmp_path / "m")
    again = load_exported(tmp_path / "m", make())
    np.testing.assert_array_equal(again(inputs)["scores"], model(inputs)["scores"])


# Refusals.


def test_errors_name_the_argument(plain, compressed, tmp_path):
    for function, name in ((export_saved_model, "m"), (export_tflite, "m.tflite")):
        with pytest.raises(FormError, match="decode is one of before, during.*got 'never'"):
            function(compressed, tmp_path / name, "never")
        with pytest.raises(FormError, match="is plain; compress it first"):
            function(plain, tmp_path / name)
    with pytest.raises(FormError, match="ops is one of builtin, select, auto, got 'all'"):
        export_tflite(compressed, tmp_path / "m.tflite", "during", "all")
    with pytest.raises(FormError, match="decode is 'before' with them, got 'during'"):
        export_tflite(compressed, tmp_path / "m.tflite", sparse_kernels=True)
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="remove it or give another path"):
        export_saved_model(compressed, tmp_path / "there")
    with pytest.raises(FileNotFoundError, match="no SavedModel that export_saved_model wrote"):
        load_exported(tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_what_tflite_cannot_hold_is_named(tmp_path):
    inputs = tf.keras.Input((4,))
    model = tf.keras.Model(inputs, tf.math.betainc(inputs, inputs, k.Dense(4)(inputs)))
    compressed = to_compressed(model, algorithms.build("power_law"))
    with pytest.raises(ExportError, match="Betainc.*ops='select'"):
        export_tflite(compressed, tmp_path / "m.tflite")


def test_operations_between_layers_come_back(tmp_path):
    inputs = tf.keras.Input((4,))
    x = tf.nn.relu(tf.reshape(k.Dense(4)(inputs), [-1, 4])[:, :2] * 2.0)
    model = to_compressed(tf.keras.Model(inputs, tf.concat([x, inputs], -1)), algorithms.build("power_law"))
    export_saved_model(model, tmp_path / "m")
    given = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(load_exported(tmp_path / "m")(given), model(given))


def test_a_stranger_s_architecture_runs_nothing(compressed, tmp_path):
    export_saved_model(compressed, tmp_path / "m")
    extra = json.loads((tmp_path / "m" / EXTRA).read_text())

    def refused(config, message):
        (tmp_path / "m" / EXTRA).write_text(json.dumps({**extra, "architecture": config}))
        with pytest.raises(ContainerError, match=message):
            load_exported(tmp_path / "m")

    sequential = {"module": "keras", "class_name": "Sequential", "registered_name": None}
    inner = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    dense = {"module": "keras.layers", "class_name": "Dense", "registered_name": None}
    function = tf.keras.utils.serialize_keras_object(k.Lambda(lambda x: x))
    refused({**sequential, "config": {"layers": [function]}}, "Lambda")
    refused(
        {**sequential, "config": {"layers": [{**dense, "config": {"units": 2, "activation": inner}}]}}, "os"
    )
    borrowed = {**inner, "registered_name": "lambdapress>Compressed"}
    refused(
        {**sequential, "config": {"layers": [{**dense, "config": {"activation": borrowed}}]}},
        "'system' of os",
    )
    for module, name in (("keras.src.backend", "os.system"), ("keras.src.utils.generic_utils", "func_load")):
        within = {**inner, "module": module, "config": name, "registered_name": name}
        refused({**sequential, "config": {"layers": [{**dense, "config": {"activation": within}}]}}, name)
    operation = {"module": "keras.src.layers.core.tf_op_layer", "class_name": "TFOpLambda"}
    for symbol in (
        "io.write_file",
        "raw_ops.WriteFile",
        "load_op_library",
        "numpy_function",
        "saved_model.load",
    ):
        refused({**sequential, "config": {"layers": [{**operation, "config": {"function": symbol}}]}}, "TFOp")
    refused({"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}}, "Popen")
    refused({**dense, "config": {"units": 2}}, "not one of a model")
    refused([], "not one of a model")
    nested: list = []
    for _ in range(200):
        nested = [nested]
    refused(nested, "nested too deeply")


@pytest.mark.parametrize(
    "name", [EXTRA, "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_a_damaged_saved_model_is_an_error_or_the_same_model(name, tmp_path):
    """Tries 1,000 mutations over the three files that are read; the graph is not read."""
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3)])
    compressed = to_compressed(model, [("kernel", algorithms.build("power_law"))])
    export_saved_model(compressed, tmp_path / "m")
    expected = compressed(np.ones((1, 4), np.float32)).numpy()
    file = tmp_path / "m" / name
    sound = file.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(334):
        data = bytearray(sound)
        kind = rng.integers(3)
        if kind == 0:
            del data[rng.integers(len(data)) :]
        elif kind == 1:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        else:
            start = rng.integers(len(data))
            data[start : start + 8] = rng.bytes(8)
        file.write_bytes(bytes(data))
        try:
            found = load_exported(tmp_path / "m")(np.ones((1, 4), np.float32)).numpy()
        except (ContainerError, FileNotFoundError):
            refused += 1
        else:
            if name != EXTRA:  # its JSON can describe another architecture with the same weights
                np.testing.assert_array_equal(found, expected)
    assert refused > 50  # the rest changed bytes that are not read


# Every algorithm.


@pytest.fixture(scope="module")
def reader() -> tf.keras.Model:
    """Makes a model of an embedding, a convolution and dense layers, each with more than a few weights."""
    tf.keras.utils.set_random_seed(1)
    layers = [k.Embedding(200, 16), k.Conv1D(24, 3), k.Flatten(), k.Dense(40, "relu"), k.Dense(3)]
    model = tf.keras.Sequential([tf.keras.Input((6,), dtype=tf.int32), *layers])
    rng = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(rng.normal(scale=0.1, size=variable.shape))
    return model


# TensorFlow Lite has no decoder for byte planes.
NOT_IN_LITE = {"lossless": "does not decode in a graph"}


@pytest.mark.parametrize("name", algorithms.names())
def test_every_algorithm_is_exported(name, reader, tmp_path):
    model = to_compressed(reader, algorithms.build(name), lmbda=0.02)
    tokens = np.random.default_rng(2).integers(200, size=(4, 6)).astype(np.int32)
    expected = model(tokens).numpy()
    variants = [
        make_format("tflite", options={"ops": "builtin"}),
        make_format("tflite", options={"ops": "select"}),
        make_format("savedmodel"),
    ]
    for variant in variants:
        path = tmp_path / variant.file_name
        if name in NOT_IN_LITE and (variant.name == "tflite" or name == "lossless"):
            with pytest.raises(ExportError, match=NOT_IN_LITE[name]):
                variant.write(model, path)
            continue
        variant.write(model, path)
        predict, (inputs, *_) = variant.open(path)
        np.testing.assert_allclose(predict({inputs: tokens})["output"], expected, rtol=1e-4, atol=1e-5)
    if name != "lossless":
        np.testing.assert_array_equal(load_exported(path)(tokens), expected)
