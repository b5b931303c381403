"""Tests the counts of a model's multiply-adds and of its weights that are not 0, against formulas."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.sweeps.measurement.model_facts import multiply_adds, nonzeros

k = tf.keras.layers


def sequential(shape, *layers, **arguments) -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.Input(shape, **arguments), *layers])


def counted(shape, layer) -> int | None:
    """Counts the multiply-adds of one layer."""
    return multiply_adds(sequential(shape, layer))


def test_a_dense_layer_multiplies_each_input_with_each_unit():
    assert counted((7,), k.Dense(5)) == 7 * 5
    assert counted((7,), k.Dense(5, use_bias=False, activation="relu")) == 7 * 5
    assert counted((3, 4, 7), k.Dense(5)) == 3 * 4 * 7 * 5  # at each place


@pytest.mark.parametrize(
    "arguments, places",
    [
        ({}, 7 * 7),
        ({"padding": "same"}, 9 * 11),
        ({"strides": (2, 3)}, 4 * 3),
        ({"strides": (2, 3), "padding": "same"}, 5 * 4),
        ({"use_bias": False, "activation": "relu"}, 7 * 7),
    ],
    ids=str,
)
def test_a_convolution_applies_its_kernel_at_each_place_of_its_output(arguments, places):
    assert counted((9, 11, 6), k.Conv2D(4, (3, 5), **arguments)) == places * (3 * 5 * 6) * 4


def test_a_dilated_convolution_has_fewer_places_and_as_large_a_kernel():
    assert counted((10, 12, 6), k.Conv2D(4, (3, 5), dilation_rate=2)) == 6 * 4 * (3 * 5 * 6) * 4


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_groups_of_a_convolution_see_their_own_channels_only(groups):
    layer = k.Conv2D(12, (3, 5), padding="same", strides=2, groups=groups)
    assert counted((9, 11, 6), layer) == 5 * 6 * (3 * 5 * 6 // groups) * 12


def test_convolutions_of_one_and_three_axes():
    assert counted((12, 3), k.Conv1D(4, 5)) == 8 * (5 * 3) * 4
    assert counted((6, 7, 8, 2), k.Conv3D(4, (1, 2, 3), strides=2)) == 3 * 3 * 3 * (1 * 2 * 3 * 2) * 4


@pytest.mark.parametrize(
    "arguments, places",
    [({}, 7 * 9), ({"strides": 2, "padding": "same"}, 5 * 6), ({"strides": 2}, 4 * 5)],
    ids=str,
)
@pytest.mark.parametrize("multiplier", [1, 4])
def test_a_depthwise_convolution_takes_each_channel_alone(arguments, places, multiplier):
    layer = k.DepthwiseConv2D(3, depth_multiplier=multiplier, **arguments)
    assert counted((9, 11, 6), layer) == places * (3 * 3) * 6 * multiplier


def test_a_separable_convolution_is_a_depthwise_one_and_one_of_single_places():
    assert counted((9, 9, 3), k.SeparableConv2D(5, 3)) == 7 * 7 * (9 * 3 + 3 * 5)


@pytest.mark.parametrize(
    "arguments", [{}, {"strides": 2}, {"strides": (1, 3), "padding": "same"}, {"padding": "same"}], ids=str
)
def test_a_transposed_convolution_applies_its_kernel_at_each_place_of_its_input(arguments):
    layer = k.Conv2DTranspose(4, (3, 2), **arguments)
    assert counted((5, 6, 3), layer) == 5 * 6 * 3 * (3 * 2) * 4


@pytest.mark.parametrize(
    "equation, output, expected",
    [
        ("abc,cd->abd", (None, 4), 6 * 8 * 4),
        ("abc,cde->abde", (None, 2, 4), 6 * 8 * 2 * 4),
        ("abc,bcd->ad", (4,), 6 * 8 * 4),
        ("...x,xy->...y", (4,), 6 * 8 * 4),
        ("abc,dc->abd", (None, 4), 6 * 8 * 4),
    ],
)
def test_an_einsum_multiplies_the_sizes_of_all_its_labels(equation, output, expected):
    assert counted((6, 8), k.EinsumDense(equation, output)) == expected


def test_self_attention_projects_four_times_and_multiplies_twice():
    length, width, heads, key = 8, 16, 2, 4
    sequence = tf.keras.Input((length, width))
    model = tf.keras.Model(sequence, k.MultiHeadAttention(heads, key)(sequence, sequence))
    projections = 4 * length * width * heads * key
    products = 2 * length * length * heads * key
    assert multiply_adds(model) == projections + products == 5120


def test_attention_to_another_sequence():
    query, other = tf.keras.Input((5, 16)), tf.keras.Input((9, 12))
    layer = k.MultiHeadAttention(2, 4, value_dim=3)
    model = tf.keras.Model([query, other], layer(query, other))
    queries, keys, values, outputs = 5 * 16 * 8, 9 * 12 * 8, 9 * 12 * 6, 5 * 6 * 16
    assert multiply_adds(model) == queries + keys + values + outputs + 5 * 9 * 2 * (4 + 3)


def test_what_has_no_product_counts_nothing():
    layers = [k.BatchNormalization(), k.ReLU(), k.MaxPooling2D(), k.Dropout(0.5), k.GlobalAveragePooling2D()]
    assert multiply_adds(sequential((8, 8, 3), *layers)) == 0
    assert counted((5,), k.Embedding(100, 7)) == 0


def convolutional() -> tf.keras.Model:
    return sequential((8, 8, 3), k.Conv2D(4, 3), k.BatchNormalization(), k.ReLU(), k.Flatten())


CONVOLUTIONAL = 36 * 27 * 4


def test_nested_models_count_as_their_layers_do_each_time_that_they_are_called():
    inner = convolutional()
    assert multiply_adds(inner) == CONVOLUTIONAL
    assert multiply_adds(sequential((8, 8, 3), inner, k.Dense(2))) == CONVOLUTIONAL + 36 * 4 * 2
    first, second = tf.keras.Input((8, 8, 3)), tf.keras.Input((8, 8, 3))
    siamese = tf.keras.Model([first, second], k.Dot(1)([inner(first), inner(second)]))
    assert multiply_adds(siamese) == 2 * CONVOLUTIONAL + 36 * 4


def test_functional_models_with_a_dictionary_of_inputs():
    image, text = tf.keras.Input((8, 8, 3), name="image"), tf.keras.Input((5,), dtype="int32", name="text")
    words = k.GlobalAveragePooling1D()(k.Embedding(100, 6)(text))
    joint = k.Concatenate()([convolutional()(image), words])
    model = tf.keras.Model(
        {"image": image, "text": text}, {"class": k.Dense(3)(joint), "tone": k.Dense(2)(words)}
    )
    assert multiply_adds(model) == CONVOLUTIONAL + (36 * 4 + 6) * 3 + 6 * 2


class Own(tf.keras.Model):
    """Has layers, and no graph before it is called."""

    def __init__(self):
        super().__init__()
        self.first, self.second = k.Dense(6), k.Dense(2)

    @tf.function
    def hidden(self, inputs):
        return self.first(inputs)

    def call(self, inputs):
        return self.second(self.hidden(inputs))


def test_models_of_own_code_count_once_they_know_their_input():
    model = Own()
    assert multiply_adds(model) is None
    model(tf.zeros((32, 4)))
    assert multiply_adds(model) == 4 * 6 + 6 * 2


def test_counting_changes_no_weight_and_does_not_depend_on_them():
    model = sequential((8, 8, 3), k.Conv2D(4, 3), k.BatchNormalization(), k.Flatten(), k.Dense(5))
    before = model.get_weights()
    count = multiply_adds(model)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
    model.set_weights([np.zeros_like(weight) for weight in before])
    assert multiply_adds(model) == count == CONVOLUTIONAL + 36 * 4 * 5


@pytest.mark.parametrize("layer", [k.GRU, k.LSTM, k.SimpleRNN])
def test_recurrent_layers_run_an_unknown_number_of_times(layer):
    assert counted((8, 16), layer(4)) is None
    assert multiply_adds(sequential((8, 16), k.Dense(16), layer(4), k.Dense(3))) is None


def test_unrolled_recurrent_layers_are_counted():
    assert counted((8, 16), k.GRU(4, unroll=True)) == 8 * 3 * (16 * 4 + 4 * 4)


@pytest.mark.parametrize(
    "shape, layer",
    [
        ((None, None, 3), k.Conv2D(4, 3)),
        ((32, None, 3), k.Conv2D(4, 3)),
        ((None, None, 3), k.DepthwiseConv2D(3)),
        ((None, None, 3), k.Conv2DTranspose(4, 3)),
        ((None, 8), k.Dense(4)),
        ((None, 8), k.EinsumDense("abc,cd->abd", (None, 4))),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_inputs_of_unknown_size_have_no_count(shape, layer):
    assert counted(shape, layer) is None


def test_a_size_that_matters_to_no_product_may_be_unknown():
    assert multiply_adds(sequential((None, None, 3), k.GlobalAveragePooling2D(), k.Dense(4))) == 12


def test_branches_have_no_count():
    def branch(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x @ tf.ones((4, 4)), lambda: x)

    assert multiply_adds(sequential((4,), k.Lambda(branch), k.Dense(4))) is None


def test_nonzeros_are_the_elements_that_are_not_zero():
    model = sequential((6,), k.Dense(5, bias_initializer="ones"), k.BatchNormalization())
    kernel = np.random.default_rng(0).uniform(1, 2, (6, 5)).astype(np.float32)
    kernel[::2, 1:3] = 0.0
    kernel[1, 1] = -0.0
    kernel[3, 0] = 1e-30
    model.layers[0].kernel.assign(kernel)
    # The bias, then batch norm's gamma and variance, are 1; its beta and mean are 0.
    assert nonzeros(model) == (30 - 6 - 1) + 5 + 2 * 5
    model.layers[0].bias.assign([0, 0, 3, 0, -1])
    assert nonzeros(model) == (30 - 6 - 1) + 2 + 2 * 5


def test_each_zero_that_is_put_into_a_kernel_lowers_the_count_by_one():
    model = convolutional()
    kernel = model.layers[0].kernel
    kernel.assign(tf.ones_like(kernel))
    whole = nonzeros(model)
    values = kernel.numpy()
    for done, place in enumerate(np.random.default_rng(0).permutation(values.size)[:20], start=1):
        values.flat[place] = 0
        kernel.assign(values)
        assert nonzeros(model) == whole - done
