"""Makes the models of the conformance table: every layer type, and every way to put layers together.

Each builder makes a new model and a batch of inputs. The table combines every registered algorithm with every
model, so a new algorithm is tested as soon as it is registered.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import algorithms, load, save, to_compressed, to_compressible, to_plain

k = tf.keras.layers
BATCH = 2
MODELS: dict[str, Callable[[], tuple[tf.keras.Model, Any]]] = {}


def entry(builder: Callable[[], tuple[tf.keras.Model, Any]]):
    """Puts a model in the table, under the builder's name."""
    MODELS[builder.__name__] = builder
    return builder


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(BATCH, *shape)).astype(np.float32)


def tokens(length: int, size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(size, size=(BATCH, length)).astype(np.int32)


# Sizes recur on purpose: the algorithms compile their work once for each size.
LAYERS = {
    "Dense": (lambda: k.Dense(3, kernel_regularizer="l2"), (4,)),
    "Conv1D": (lambda: k.Conv1D(3, 2), (3, 4)),
    "Conv2D": (lambda: k.Conv2D(3, (2, 3), strides=2, bias_regularizer="l1"), (4, 4, 2)),
    "Conv3D": (lambda: k.Conv3D(3, 2), (2, 2, 3, 2)),
    "Conv1DTranspose": (lambda: k.Conv1DTranspose(3, 2, strides=2), (3, 4)),
    "Conv2DTranspose": (lambda: k.Conv2DTranspose(3, (2, 3), strides=2), (3, 3, 2)),
    "Conv3DTranspose": (lambda: k.Conv3DTranspose(3, 2), (2, 2, 2, 2)),
    "DepthwiseConv2D": (lambda: k.DepthwiseConv2D((2, 3), depth_multiplier=3), (4, 4, 2)),
    "SeparableConv1D": (lambda: k.SeparableConv1D(3, 2), (3, 4)),
    "SeparableConv2D": (lambda: k.SeparableConv2D(3, (2, 3)), (4, 4, 2)),
    "EinsumDense": (lambda: k.EinsumDense("abc,cde->abde", (None, 1, 3), bias_axes="de"), (2, 4)),
    "LSTM": (lambda: k.LSTM(3), (2, 4)),
    "GRU": (lambda: k.GRU(3, return_sequences=True), (2, 4)),
    "SimpleRNN": (lambda: k.SimpleRNN(3, recurrent_regularizer="l2"), (2, 4)),
    "Bidirectional": (lambda: k.Bidirectional(k.SimpleRNN(3)), (2, 4)),
    "TimeDistributed": (lambda: k.TimeDistributed(k.Dense(3)), (2, 4)),
    "ConvLSTM2D": (lambda: k.ConvLSTM2D(1, (2, 3)), (2, 3, 3, 1)),
}


def single_layer(make: Callable[[], tf.keras.layers.Layer], shape: tuple[int, ...]):
    return tf.keras.Sequential([tf.keras.Input(shape), make()]), noise(*shape)


for name, (make, shape) in LAYERS.items():
    MODELS[name] = functools.partial(single_layer, make, shape)


@entry
def embedding():
    model = tf.keras.Sequential(
        [tf.keras.Input((5,), dtype=tf.int32), k.Embedding(6, 4, mask_zero=True), k.SimpleRNN(3)]
    )
    return model, tokens(5, 6)


@entry
def attention():
    query, value = tf.keras.Input((3, 4)), tf.keras.Input((2, 4))
    attended = k.LayerNormalization()(k.MultiHeadAttention(1, 3)(query, value) + query)
    return tf.keras.Model([query, value], attended), [noise(3, 4), noise(2, 4)]


@entry
def sequential_in_functional():
    inner = tf.keras.Sequential([k.Dense(3, "relu", kernel_regularizer="l2"), k.Dense(4)], name="inner")
    inputs = tf.keras.Input((4,))
    return tf.keras.Model(inputs, k.Dense(3)(inner(inputs))), noise(4)


class Residual(tf.keras.Model):
    """A subclassed model whose layers stand in attributes, a list and a dictionary."""

    def __init__(self, backbone=None, **arguments):
        super().__init__(**arguments)
        self.backbone = backbone
        self.hidden = [k.Dense(3, "relu", kernel_regularizer="l2"), k.Dense(4)]
        self.heads = {"a": k.Dense(3), "b": k.Dense(3)}

    def call(self, inputs, training=None):
        x = inputs if self.backbone is None else self.backbone(inputs, training=training)
        for layer in self.hidden:
            x = layer(x)
        return [head(x + inputs) for head in self.heads.values()]


@entry
def subclassed_in_functional():
    inputs = tf.keras.Input((4,))
    outputs = Residual()(k.Dense(4)(inputs))
    return tf.keras.Model(inputs, outputs), noise(4)


@entry
def functional_in_subclassed():
    inputs = tf.keras.Input((4,))
    normed = k.Dropout(0.5)(k.BatchNormalization()(k.Dense(4, use_bias=False)(inputs)))
    model = Residual(tf.keras.Model(inputs, normed))
    model(noise(4))
    return model, noise(4)


@entry
def shared_layer():
    shared, left, right = k.Dense(3), tf.keras.Input((4,)), tf.keras.Input((4,))
    return tf.keras.Model([left, right], shared(left) * shared(right)), [noise(4), noise(4) + 1]


class Logits(tf.keras.layers.Layer):
    """Reads the variable of another layer."""

    def __init__(self, embedding, **arguments):
        super().__init__(**arguments)
        self.embedding = embedding

    def build(self, input_shape):
        self.tied = self.embedding.embeddings

    def call(self, inputs):
        return tf.matmul(inputs, self.tied, transpose_b=True)


@entry
def tied_weights():
    inputs = tf.keras.Input((3,), dtype=tf.int32)
    table = k.Embedding(6, 4)
    embedded = table(inputs)
    return tf.keras.Model(inputs, Logits(table)(k.Dense(4)(embedded))), tokens(3, 6)


@entry
def several_inputs_and_outputs():
    first, second = tf.keras.Input((4,), name="first"), tf.keras.Input((3,), name="second")
    both = k.Concatenate()([k.Dense(3)(first), second])
    model = tf.keras.Model({"first": first, "second": second}, [k.Dense(2)(both), k.Dense(2)(both)])
    return model, {"first": noise(4), "second": noise(3)}


def with_policy(policy: str):
    inputs = tf.keras.Input((2, 4, 2), dtype=tf.float32)
    x = k.Conv2D(3, (2, 3), dtype=policy, kernel_regularizer="l2")(inputs)
    x = k.LayerNormalization(dtype=policy)(x)
    x = k.Dense(3, dtype=policy)(k.Flatten(dtype=policy)(x))
    return tf.keras.Model(inputs, k.Activation("linear", dtype=tf.float32)(x)), noise(2, 4, 2)


for policy in ("mixed_bfloat16", "mixed_float16", "float64", "bfloat16"):
    MODELS[policy] = functools.partial(with_policy, policy)


@entry
def every_layer_mixed_float16():
    """Makes a model of all layer types, since many models of one layer each would take minutes."""
    policy, inputs, outputs = "mixed_float16", [tf.keras.Input((5,), dtype=tf.int32)], []
    outputs.append(k.Embedding(6, 4, dtype=policy)(inputs[0]))
    tf.keras.mixed_precision.set_global_policy(policy)  # wrappers do not pass a policy on
    try:
        for make, shape in LAYERS.values():
            inputs.append(tf.keras.Input(shape, dtype=tf.float32))
            outputs.append(make()(inputs[-1]))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    return tf.keras.Model(inputs, outputs), [tokens(5, 6), *(noise(*shape) for _, shape in LAYERS.values())]


@entry
def frozen_layers():
    frozen = k.Dense(3, "relu", trainable=False, kernel_regularizer="l2")
    return tf.keras.Sequential([tf.keras.Input((4,)), frozen, k.Dense(4)]), noise(4)


@entry
def batch_norm_and_dropout_without_bias():
    stack = [k.Conv2D(3, (2, 3), use_bias=False), k.BatchNormalization(), k.Dropout(0.5), k.ReLU()]
    return tf.keras.Sequential([tf.keras.Input((4, 4, 2)), *stack]), noise(4, 4, 2)


class Affine(tf.keras.layers.Layer):
    """A layer written by a user who does not know this package."""

    def build(self, input_shape):
        self.mixing = self.add_weight("mixing", (input_shape[-1], 3))
        self.scale = self.add_weight("scale", (3,), initializer="ones")
        self.counter = self.add_weight("counter", (), tf.int32, "zeros", trainable=False)
        self.add_loss(lambda: tf.reduce_sum(tf.square(self.mixing)))

    def call(self, inputs):
        return tf.matmul(inputs, self.mixing) * self.scale


@entry
def custom_layer():
    return tf.keras.Sequential([tf.keras.Input((4,)), Affine()]), noise(4)


class Containers(tf.keras.layers.Layer):
    """Keeps weights in a list and in a dictionary."""

    def build(self, input_shape):
        size = input_shape[-1]
        self.steps = [self.add_weight(f"step_{i}", (size, size)) for i in range(2)]
        self.named = {name: self.add_weight(name, (size,)) for name in ("before", "after")}

    def call(self, inputs):
        x = inputs * self.named["before"]
        for step in self.steps:
            x = tf.tanh(tf.matmul(x, step))
        return x + self.named["after"]


@entry
def weights_in_containers():
    return tf.keras.Sequential([tf.keras.Input((3,)), Containers()]), noise(3)


class Loops(tf.keras.layers.Layer):
    """Reads its kernels in the body of a loop and in a branch."""

    def build(self, input_shape):
        size = input_shape[-1]
        self.kernel = self.add_weight("kernel", (size, size))
        self.branch_kernel = self.add_weight("branch_kernel", (size, size))

    def call(self, inputs):
        def body(i, x):
            return i + 1, tf.tanh(tf.matmul(x, self.kernel))

        _, x = tf.while_loop(lambda i, _: i < 3, body, [tf.constant(0), inputs])
        positive = tf.reduce_sum(tf.abs(inputs)) >= 0
        return tf.cond(positive, lambda: tf.matmul(x, self.branch_kernel), lambda: x + self.kernel[0])


@entry
def loops_and_branches():
    return tf.keras.Sequential([tf.keras.Input((3,)), Loops()]), noise(3)


# The table.


def randomise(model: tf.keras.Model) -> None:
    """Gives each weight values as after training: none at its initial 0 or 1, variances positive."""
    rng = np.random.default_rng(2)
    for variable in model.weights:
        if variable.dtype.is_floating:
            values = rng.normal(scale=0.3, size=variable.shape)
            variable.assign(
                tf.cast(np.abs(values) if "variance" in variable.name else values, variable.dtype)
            )


def build(name: str) -> tuple[tf.keras.Model, Any]:
    model, inputs = MODELS[name]()
    randomise(model)
    return model, inputs


@functools.cache
def shared(name: str) -> tuple[tf.keras.Model, Any]:
    """Builds a model once for all algorithms: no form changes the model that it is made from."""
    return build(name)


@functools.cache
def renamed(name: str) -> tf.keras.Model:
    """Makes a model again, with other values, and with other names where Keras makes them up."""
    MODELS[name]()
    return MODELS[name]()[0]


@dataclasses.dataclass
class Case:
    """Keeps one algorithm and one model in each form; makes a form when it is first used."""

    algorithm: Any
    name: str
    folder: Path
    plain: tf.keras.Model
    inputs: Any

    @functools.cached_property
    def targets(self) -> Any:
        rng = np.random.default_rng(3)
        outputs = self.plain(self.inputs)
        return tf.nest.map_structure(lambda t: rng.normal(size=t.shape).astype(np.float32), outputs)

    @functools.cached_property
    def compressible(self) -> tf.keras.Model:
        return to_compressible(self.plain, self.algorithm, lmbda=0.5)

    @functools.cached_property
    def compressed(self) -> tf.keras.Model:
        return to_compressed(self.compressible)

    @functools.cached_property
    def plain_after(self) -> tf.keras.Model:
        return to_plain(self.compressed)

    @functools.cached_property
    def path(self) -> Path:
        path = self.folder / "model.lpz"
        save(self.compressed, path)
        return path

    @functools.cached_property
    def loaded(self) -> tf.keras.Model:
        """Saved model, read back into a new model that has other values."""
        return load(self.path, self.anew, decode="during")

    @property
    def anew(self) -> tf.keras.Model:
        return renamed(self.name)

    def loss(self, outputs: Any) -> tf.Tensor:
        pairs = zip(tf.nest.flatten(outputs), tf.nest.flatten(self.targets), strict=True)
        return sum([tf.reduce_mean(tf.square(tf.cast(o, tf.float32) - t)) for o, t in pairs])


@pytest.fixture(autouse=True)
def clean_state():
    """Keeps the state between tests, since all tests of a case share its traced and compiled functions."""


def new_case(algorithm: str, model: str, folder: Path, make: Callable = shared) -> Case:
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(20)
    return Case(algorithms.build(algorithm), model, folder, *make(model))


@pytest.fixture(scope="module", params=algorithms.names())
def algorithm(request) -> str:
    return request.param


@pytest.fixture(scope="module", params=MODELS)
def case(request, algorithm, tmp_path_factory) -> Case:
    """Combines every algorithm with every model."""
    return new_case(algorithm, request.param, tmp_path_factory.mktemp("case"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what one algorithm has shown already: all layers at once, and more models in graphs."""
    for item in items:
        parameters = getattr(item, "callspec", None) and item.callspec.params
        if not parameters:
            continue
        at_once = parameters.get("case", "").startswith("every_layer")
        if at_once and parameters["algorithm"] != MEETS_THEM_ALL:
            item.add_marker(pytest.mark.slow)
        if "graph_case" in parameters:
            algorithm, model = parameters["graph_case"]
            if algorithm != MEETS_THEM_ALL and model != REPRESENTATIVE[0]:
                item.add_marker(pytest.mark.slow)


# Tracing takes seconds. A graph treats a layer in the same way for all algorithms, and treats an algorithm in
# a way that depends on the weights alone. So each algorithm meets some models, and one meets them all.
REPRESENTATIVE = ("Conv2D", "Dense", "SimpleRNN", "mixed_bfloat16")
MEETS_THEM_ALL = "epr"
IN_GRAPHS = [
    (algorithm, model)
    for algorithm in algorithms.names()
    for model in MODELS
    # Traced in one graph, all layers take a minute; each is traced alone, in float32.
    if model in REPRESENTATIVE or algorithm == MEETS_THEM_ALL and not model.startswith("every_layer")
]


@pytest.fixture(params=IN_GRAPHS, ids="-".join)
def graph_case(request, tmp_path) -> Case:
    return new_case(*request.param, tmp_path, make=build)  # it compiles the model


@pytest.fixture(params=[name for name in MODELS if not name.startswith("every_layer")])
def exported_case(request, tmp_path) -> Case:
    """Combines one algorithm with every model."""
    return new_case(MEETS_THEM_ALL, request.param, tmp_path)
