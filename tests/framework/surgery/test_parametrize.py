"""Tests computed weights instead of attributes: computed once per call, wherever the layer reads them."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import algorithms, to_compressed, to_compressible, to_plain
from lambdapress.framework.surgery.computed_weights import computed_weights_of

k = tf.keras.layers
POWER = algorithms.build("power_law")
X = np.random.default_rng(0).normal(size=(3, 7, 4)).astype(np.float32)


@pytest.fixture
def projections(monkeypatch):
    """Counts how often each weight has been projected (in a graph: traced)."""
    counts: collections.Counter = collections.Counter()
    original = type(POWER).project

    def project(self, variables, spec):
        counts[spec.path] += 1
        return original(self, variables, spec)

    monkeypatch.setattr(type(POWER), "project", project)
    return counts


class Loop(k.Layer):
    """Reads its kernel in a loop, in a condition, in a branch and in the output of the branch."""

    def build(self, input_shape):
        self.kernel = self.add_weight("kernel", (4, 4))

    def call(self, x):
        def body(i, y):
            y = tf.cond(tf.reduce_sum(y) > 0, lambda: y @ self.kernel, lambda: y - y @ self.kernel)
            return i + 1, y

        def condition(i, y):
            return (i < 4) & (tf.reduce_sum(tf.abs(self.kernel)) > -1)

        return tf.while_loop(condition, body, [tf.constant(0), x])[1] + self.kernel[0]


RECURRENT = {
    "LSTM": lambda: k.LSTM(3),
    "GRU": lambda: k.GRU(3, reset_after=False),
    "SimpleRNN": lambda: k.SimpleRNN(3, unroll=False),
    "cell": lambda: k.RNN(k.LSTMCell(3)),
    "unrolled": lambda: k.RNN(k.GRUCell(3), unroll=True),
    "Bidirectional": lambda: k.Bidirectional(k.LSTM(3)),
    "Loop": Loop,
}


@pytest.mark.parametrize("name", RECURRENT)
def test_a_weight_is_projected_once_a_call_and_not_once_a_time_step(name, projections):
    model = tf.keras.Sequential([tf.keras.Input((7, 4)), RECURRENT[name]()])
    trained = to_compressible(model, POWER)
    projections.clear()
    traced = tf.function(lambda x: trained(x, training=True))
    traced.get_concrete_function(tf.TensorSpec((3, 7, 4)))
    assert projections and set(projections.values()) == {1}
    np.testing.assert_allclose(traced(X), trained(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_gradients_flow_through_loops(name):
    model = tf.keras.Sequential([tf.keras.Input((7, 4)), RECURRENT[name]()])
    trained = to_compressible(model, POWER, lmbda=0.0)
    plain = to_plain(trained)

    @tf.function
    def gradients():
        with tf.GradientTape(persistent=True) as tape:
            ours, theirs = tf.reduce_sum(trained(X) ** 2), tf.reduce_sum(plain(X) ** 2)
        latents = [computed.variables()["latent"] for computed in computed_weights_of(trained)]
        return tape.gradient(ours, latents), tape.gradient(theirs, plain.trainable_variables)

    for by_latent, by_weight in zip(*gradients(), strict=True):
        np.testing.assert_allclose(np.ravel(by_latent), np.ravel(by_weight), rtol=1e-3, atol=1e-4)


def test_a_shared_layer_is_projected_once_a_call(projections):
    shared, inputs = k.Dense(4), tf.keras.Input((4,))
    trained = to_compressible(tf.keras.Model(inputs, shared(shared(shared(inputs)))), POWER)
    projections.clear()
    tf.function(lambda x: trained(x)).get_concrete_function(tf.TensorSpec((3, 4)))
    assert projections == {"dense/kernel": 1, "dense/bias": 1}


def test_the_next_call_sees_the_next_value():
    trained = to_compressible(tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2)]), POWER)
    call = tf.function(lambda x: trained(x))
    before = call(X[:, 0])
    computed_weights_of(trained)[0].variables()["latent"].assign_add(tf.ones((1, 8)))
    assert np.all(call(X[:, 0]) != before)

    @tf.function
    def twice():
        first = trained(X[:, 0])
        computed_weights_of(trained)[0].variables()["latent"].assign_add(tf.ones((1, 8)))
        return first, trained(X[:, 0])

    first, second = twice()
    assert np.all(first != second)


def test_a_tied_weight_is_one_slot_in_all_of_its_places():
    class Tied(k.Layer):
        def __init__(self, other):
            super().__init__()
            self.other = other

        def build(self, input_shape):
            self.matrices = [self.other.kernel]

        def call(self, x):
            return x @ tf.transpose(self.matrices[0])

    dense = k.Dense(4, use_bias=False)
    model = tf.keras.Sequential([tf.keras.Input((4,)), dense, Tied(dense)])
    trained = to_compressible(model, POWER)
    (computed,) = computed_weights_of(trained)
    np.testing.assert_array_equal(trained.layers[1].matrices[0], trained.layers[0].kernel)
    computed.variables()["latent"].assign_add(tf.ones((1, 16)))
    np.testing.assert_array_equal(trained.layers[1].matrices[0], trained.layers[0].kernel)
    plain = to_plain(to_compressed(trained))
    assert plain.layers[1].matrices[0] is plain.layers[0].kernel
    assert len(plain.weights) == len(model.weights) == 1
    np.testing.assert_array_equal(plain(X[:, 0]), trained(X[:, 0]))


def test_variables_of_an_algorithm_are_weights_of_the_layer_with_names_of_their_own():
    trained = to_compressible(tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2, name="d")]), POWER)
    names = [v.name for v in trained.layers[0].trainable_weights]
    assert names == ["d/kernel_latent:0", "d/kernel_log_step:0", "d/bias_latent:0", "d/bias_log_step:0"]
    assert trained.layers[0].kernel_latent is trained.layers[0].trainable_weights[0]


def test_a_computed_weight_cannot_be_overwritten():
    trained = to_compressible(tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2)]), POWER)
    with pytest.raises(AttributeError):
        trained.layers[0].kernel = tf.Variable(tf.zeros((4, 2)))


def test_threads_do_not_share_what_a_call_has_computed():
    import concurrent.futures

    trained = to_compressible(tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2)]), POWER)
    calls = [tf.function(lambda x: trained(x), reduce_retracing=False) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda call: call(X[:, 0]).numpy(), calls))
    for output in outputs:
        np.testing.assert_allclose(output, trained(X[:, 0]), rtol=1e-5, atol=1e-6)
