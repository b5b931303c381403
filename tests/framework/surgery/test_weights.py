"""Tests weights: one path each, the same in every process; their roles; the places that hold them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tensorflow as tf

from lambdapress.framework.surgery.weights import walk, weights_of

k = tf.keras.layers
CODE = """
import tensorflow as tf
k = tf.keras.layers
from lambdapress.framework.surgery.weights import weights_of

def build():
    inputs = tf.keras.Input((4, 2))
    x = k.Bidirectional(k.LSTM(2))(inputs)
    x = tf.keras.Sequential([k.Dense(3), k.Dense(3)])(x)
    x = tf.keras.Model(i := tf.keras.Input((3,)), k.Dense(3)(i))(x)
    x = k.Dense(2, name="logits")(k.Dense(3)(x))
    video = tf.keras.Input((2, 3, 3, 1))
    y = k.Flatten()(k.ConvLSTM2D(1, 2)(video))
    return tf.keras.Model([inputs, video], [x, k.PReLU()(y), k.LSTM(2)(inputs)])
"""


def paths(model) -> list[str]:
    return [weight.spec.path for weight in weights_of(model)]


def test_the_same_code_gives_the_same_paths_whatever_was_built_before():
    script = CODE + "\nprint(*[w.spec.path for w in weights_of(build())], sep='\\n')"
    fresh = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    namespace: dict = {}
    exec(CODE, namespace)
    for _ in range(3):
        namespace["build"]()
    found = paths(namespace["build"]())
    assert found == fresh.stdout.split()
    assert len(set(found)) == len(found)
    assert "bidirectional/forward_lstm/lstm_cell/kernel" in found
    assert "model/dense/kernel" in found
    assert "logits/kernel" in found


def test_names_that_a_user_gave_are_kept():
    model = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3, name="my_layer.1"), k.Dense(2)])
    assert paths(model) == ["my_layer.1/kernel", "my_layer.1/bias", "dense/kernel", "dense/bias"]


class Twins(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.first = k.Dense(2, name="same")
        self.second = k.Dense(2, name="same")

    def call(self, inputs):
        return self.first(inputs) + self.second(inputs)


def test_layers_of_one_name_get_paths_of_their_own():
    model = Twins()
    model(tf.zeros((1, 3)))
    assert paths(model) == ["same/kernel", "same/bias", "same_1/kernel", "same_1/bias"]


class Mixed(tf.keras.layers.Layer):
    """Keeps weights under one name, in containers, and in a `tf.Module` that is not a layer."""

    def build(self, input_shape):
        self.pair = [self.add_weight("w", (3,)), self.add_weight("w", (3,))]
        self.inner = {"a": {"b": self.add_weight("w", (2, 3))}}
        self.add_weight("nobody_holds_me", (3,))
        self.module = tf.Module()
        self.module.matrix = tf.Variable(tf.ones((3, 3)), name="matrix")
        self.count = self.add_weight("count", (), tf.int32, trainable=False)

    def call(self, inputs):
        return inputs + self.pair[0]


def test_every_variable_is_found_once_whoever_holds_it():
    model = tf.keras.Sequential([tf.keras.Input((3,)), Mixed()])
    weights = weights_of(model)
    assert sorted(id(w.variable) for w in weights) == sorted(map(id, model.weights))
    by_path = {w.spec.path: w for w in weights}
    assert set(by_path) == {
        "mixed/pair.0",
        "mixed/pair.1",
        "mixed/inner.a.b",
        "mixed/nobody_holds_me",
        "mixed/matrix",
        "mixed/count",
    }
    assert by_path["mixed/inner.a.b"].places[0].keys == ("a", "b")
    assert not by_path["mixed/nobody_holds_me"].places
    assert not by_path["mixed/count"].trained


@pytest.mark.parametrize(
    "layer, shape, roles",
    [
        (lambda: k.Dense(2), (3,), {"kernel": ("kernel", 0), "bias": ("bias", 0)}),
        (lambda: k.Conv2D(2, (2, 3)), (4, 4, 3), {"kernel": ("kernel", 2), "bias": ("bias", 0)}),
        (lambda: k.Conv3DTranspose(2, 2), (2, 2, 2, 3), {"kernel": ("kernel", 3), "bias": ("bias", 0)}),
        (
            lambda: k.SeparableConv1D(2, 3),
            (4, 3),
            {
                "depthwise_kernel": ("depthwise_kernel", 1),
                "pointwise_kernel": ("kernel", 0),
                "bias": ("bias", 0),
            },
        ),
        (lambda: k.Embedding(5, 2), (3,), {"embeddings": ("embedding", 0)}),
        (
            lambda: k.BatchNormalization(),
            (3,),
            {
                "gamma": ("gain", 0),
                "beta": ("offset", 0),
                "moving_mean": ("bias", 0),
                "moving_variance": ("bias", 0),
            },
        ),
    ],
    ids=lambda value: "" if isinstance(value, (tuple, dict)) else value().name,
)
def test_roles_and_spatial_axes(layer, shape, roles):
    model = tf.keras.Sequential([tf.keras.Input(shape), layer()])
    found = {w.spec.path.rpartition("/")[2]: (w.spec.role, w.spec.spatial) for w in weights_of(model)}
    if "pointwise_kernel" in roles:  # of size 1: nothing to transform, under any name
        roles["pointwise_kernel"] = found["pointwise_kernel"]
    assert found == roles


def test_recurrent_kernels_have_a_role():
    model = tf.keras.Sequential([tf.keras.Input((3, 2)), k.LSTM(2)])
    assert {w.spec.role for w in weights_of(model)} == {"kernel", "recurrent_kernel", "bias"}


def test_a_tied_weight_is_one_weight_with_two_places():
    class Tied(tf.keras.layers.Layer):
        def __init__(self, other):
            super().__init__()
            self.other = other

        def build(self, input_shape):
            self.matrix = self.other.kernel

        def call(self, inputs):
            return tf.matmul(inputs, self.matrix)

    dense = k.Dense(3)
    model = tf.keras.Sequential([tf.keras.Input((3,)), dense, Tied(dense)])
    (kernel,) = [w for w in weights_of(model) if "kernel" in w.spec.path]
    assert [place.attribute for place in kernel.places] == ["kernel", "matrix"]


def test_walking_visits_a_shared_layer_once():
    shared, inputs = k.Dense(3), tf.keras.Input((3,))
    model = tf.keras.Model(inputs, shared(shared(inputs)))
    assert [path for path, layer in walk(model) if layer is shared] == ["dense"]
