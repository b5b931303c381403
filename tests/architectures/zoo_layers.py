"""Has every layer of Keras 2.14 at least once; layers of one kind stand side by side in one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from architecture_zoo import Built, entry, noise, tokens

k = tf.keras.layers


def side_by_side(shape: tuple[int, ...], layers: Mapping[str, Any]) -> Built:
    """Builds a model that applies each layer to the same input; its outputs are named after them."""
    inputs = tf.keras.Input(shape)
    outputs = {name: layer(inputs) for name, layer in layers.items()}
    return tf.keras.Model(inputs, outputs), noise(*shape)


@entry
def dense_layers() -> Built:
    return side_by_side(
        (4, 6),
        {
            "dense": k.Dense(5, "tanh", kernel_regularizer="l2"),
            "einsum": k.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"),
            "prelu": k.PReLU(),
            "prelu_shared": k.PReLU(shared_axes=[1]),
            "time": k.TimeDistributed(k.Dense(3)),
            "local": k.LocallyConnected1D(3, 2),
        },
    )


@entry(limits={"tflite-builtin": "Softsign"})
def activations() -> Built:
    layers = {
        "relu": k.ReLU(6.0, negative_slope=0.1, threshold=0.2),
        "leaky": k.LeakyReLU(0.2),
        "elu": k.ELU(),
        "thresholded": k.ThresholdedReLU(0.3),
        "softmax": k.Softmax(axis=1),
    }
    for name in (
        "elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softplus softsign swish tanh".split()
    ):
        layers[f"activation_{name}"] = k.Activation(name)
    inputs = tf.keras.Input((5, 3))
    x = k.Dense(4)(inputs)
    return tf.keras.Model(inputs, {name: layer(x) for name, layer in layers.items()}), noise(5, 3)


@entry
def regularisers() -> Built:
    """All that changes nothing at inference, in one stack."""
    inputs = tf.keras.Input((8, 8, 4))
    x = k.Conv2D(4, 1)(inputs)
    for layer in [
        k.Dropout(0.5),
        k.AlphaDropout(0.5),
        k.GaussianDropout(0.5),
        k.GaussianNoise(0.5),
        k.SpatialDropout2D(0.5),
        k.ActivityRegularization(0.1, 0.1),
        k.Identity(),
    ]:
        x = layer(x)
    x = k.SpatialDropout1D(0.5)(k.Reshape((64, 4))(x))
    x = k.SpatialDropout3D(0.5)(k.Reshape((4, 4, 4, 4))(x))
    return tf.keras.Model(inputs, k.Dense(3)(k.Flatten()(x))), noise(8, 8, 4)


@entry
def shapes_and_merges() -> Built:
    one, other = tf.keras.Input((4, 6)), tf.keras.Input((4, 6))
    a, b = k.Dense(6)(one), k.Dense(6)(other)
    outputs = {
        "add": k.Add()([a, b]),
        "average": k.Average()([a, b]),
        "maximum": k.Maximum()([a, b]),
        "minimum": k.Minimum()([a, b]),
        "multiply": k.Multiply()([a, b]),
        "subtract": k.Subtract()([a, b]),
        "concatenate": k.Concatenate(1)([a, b]),
        "dot": k.Dot(2, normalize=True)([a, b]),
        "permute": k.Permute((2, 1))(a),
        "repeat": k.RepeatVector(3)(k.Flatten()(b)),
        "reshape": k.Reshape((2, -1))(a),
        "lambda": k.Lambda(lambda x: x * 2.0 - 1.0)(b),
        "masking": k.Masking(0.0)(a),
    }
    return tf.keras.Model([one, other], outputs), [noise(4, 6), noise(4, 6, seed=3)]


@entry
def convolutions_1d() -> Built:
    return side_by_side(
        (12, 4),
        {
            "plain": k.Conv1D(6, 3, strides=2, activation="relu"),
            "causal": k.Conv1D(6, 3, padding="causal", dilation_rate=2),
            "transposed": k.Conv1DTranspose(3, 3, strides=2, padding="same"),
            "depthwise": k.DepthwiseConv1D(3, depth_multiplier=2),
            "separable": k.SeparableConv1D(6, 3, padding="same"),
        },
    )


@entry
def convolutions_2d() -> Built:
    return side_by_side(
        (9, 8, 4),
        {
            "plain": k.Conv2D(6, (3, 2), strides=2, activation="relu"),
            "dilated": k.Conv2D(6, 3, dilation_rate=2, padding="same"),
            "transposed": k.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1),
            "depthwise": k.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2),
            "separable": k.SeparableConv2D(6, 3, strides=2, depth_multiplier=2),
        },
    )


@entry
def grouped_convolutions() -> Built:
    return side_by_side((9, 8, 4), {"groups": k.Conv2D(6, 3, groups=2), "more": k.Conv2D(8, 3, groups=4)})


@entry(limits={"tflite-builtin": "SparseTensorDenseMatMul"})
def locally_connected() -> Built:
    return side_by_side(
        (6, 5, 4),
        {f"way_{i}": k.LocallyConnected2D(3, 2, implementation=i) for i in (1, 2, 3)},
    )


@entry
def convolutions_3d() -> Built:
    return side_by_side(
        (6, 5, 6, 2),
        {
            "plain": k.Conv3D(4, (3, 2, 3), strides=2, activation="relu"),
            "transposed": k.Conv3DTranspose(3, 2, strides=2),
        },
    )


@entry
def resampling_1d() -> Built:
    inputs = tf.keras.Input((12, 4))
    x = k.Conv1D(4, 1)(inputs)
    layers = {
        "average": k.AveragePooling1D(3, padding="same"),
        "maximum": k.MaxPooling1D(2),
        "global_average": k.GlobalAveragePooling1D(),
        "global_maximum": k.GlobalMaxPooling1D(keepdims=True),
        "cropping": k.Cropping1D((1, 2)),
        "padding": k.ZeroPadding1D((2, 1)),
        "upsampling": k.UpSampling1D(2),
    }
    return tf.keras.Model(inputs, {name: layer(x) for name, layer in layers.items()}), noise(12, 4)


@entry
def resampling_2d() -> Built:
    inputs = tf.keras.Input((8, 7, 4))
    x = k.Conv2D(4, 1)(inputs)
    layers = {
        "average": k.AveragePooling2D(3, 2, padding="same"),
        "maximum": k.MaxPooling2D(2),
        "global_average": k.GlobalAveragePooling2D(),
        "global_maximum": k.GlobalMaxPooling2D(keepdims=True),
        "cropping": k.Cropping2D(((1, 2), (0, 1))),
        "padding": k.ZeroPadding2D((2, 1)),
        "upsampling": k.UpSampling2D(2),
        "bilinear": k.UpSampling2D(2, interpolation="bilinear"),
        "resizing": k.Resizing(5, 6),
        "center_crop": k.CenterCrop(4, 4),
        "rescaling": k.Rescaling(0.5, 0.1),
    }
    return tf.keras.Model(inputs, {name: layer(x) for name, layer in layers.items()}), noise(8, 7, 4)


@entry(limits={"tflite-builtin": "AvgPool3D"})
def resampling_3d() -> Built:
    inputs = tf.keras.Input((6, 5, 6, 2))
    x = k.Conv3D(2, 1)(inputs)
    layers = {
        "average": k.AveragePooling3D(2),
        "maximum": k.MaxPooling3D(2),
        "global_average": k.GlobalAveragePooling3D(),
        "global_maximum": k.GlobalMaxPooling3D(),
        "cropping": k.Cropping3D(1),
        "padding": k.ZeroPadding3D(1),
        "upsampling": k.UpSampling3D(2),
    }
    return tf.keras.Model(inputs, {name: layer(x) for name, layer in layers.items()}), noise(6, 5, 6, 2)


@entry
def normalisations() -> Built:
    inputs = tf.keras.Input((6, 6, 8))
    outputs = {
        "batch": k.BatchNormalization()(k.Conv2D(6, 3, use_bias=False)(inputs)),
        "synchronised_before": k.experimental.SyncBatchNormalization()(k.Conv2D(6, 3)(inputs)),
        "without_scale": k.BatchNormalization(scale=False, center=False)(k.Conv2D(6, 3)(inputs)),
        "layer": k.LayerNormalization()(inputs),
        "layer_two_axes": k.LayerNormalization([2, 3])(inputs),
        "unit": k.UnitNormalization()(inputs),
    }
    return tf.keras.Model(inputs, outputs), noise(6, 6, 8)


@entry
def norm_over_another_axis() -> Built:
    inputs = tf.keras.Input((6, 6, 8))
    return tf.keras.Model(inputs, k.BatchNormalization(axis=1)(k.Conv2D(6, 3)(inputs))), noise(6, 6, 8)


@entry(limits={"tflite-builtin": "BROADCAST_TO", "tflite-select": "BROADCAST_TO"})
def group_normalisation() -> Built:
    inputs = tf.keras.Input((6, 6, 8))
    x = k.Dense(8)(inputs)
    return tf.keras.Model(inputs, [k.GroupNormalization(4)(x), k.GroupNormalization(-1)(x)]), noise(6, 6, 8)


@entry(limits={"keras": "output: off by"})
def synchronised_normalisation() -> Built:
    """Keras's own file turns it into one that is not synchronised, which rounds otherwise."""
    layers = [k.Conv2D(6, 3), k.BatchNormalization(synchronized=True)]
    return tf.keras.Sequential([tf.keras.Input((6, 6, 8)), *layers]), noise(6, 6, 8)


@entry(limits={"keras": "object is not callable"})
def spectral_normalisation() -> Built:
    layers = {"convolution": k.Conv2D(4, 3), "dense": k.Dense(4)}
    return side_by_side((6, 6, 8), {name: k.SpectralNormalization(layer) for name, layer in layers.items()})


@entry
def embeddings() -> Built:
    inputs = tf.keras.Input((6,), dtype=tf.int32)
    table = k.Embedding(20, 8)
    outputs = {"table": table(inputs), "pooled": k.Dense(3)(k.GlobalAveragePooling1D()(table(inputs)))}
    return tf.keras.Model(inputs, outputs), tokens(20, 6)


@entry
def attentions() -> Built:
    query, value = tf.keras.Input((5, 8)), tf.keras.Input((4, 8))
    outputs = {
        "multi_head": k.MultiHeadAttention(2, 3, value_dim=4)(query, value),
        "two_axes": k.MultiHeadAttention(2, 3, attention_axes=(1, 2))(
            k.Reshape((5, 2, 4))(query), k.Reshape((2, 4, 4))(value)
        ),
        "dot": k.Attention(use_scale=True)([k.Dense(8)(query), value]),
        "concatenated": k.Attention(score_mode="concat")([query, k.Dense(8)(value)]),
        "additive": k.AdditiveAttention()([query, value]),
        "self": k.MultiHeadAttention(2, 4)(query, query, use_causal_mask=True),
    }
    return tf.keras.Model([query, value], outputs), [noise(5, 8), noise(4, 8, seed=4)]


@entry(fixed_batch=True)
def recurrent() -> Built:
    return side_by_side(
        (5, 4),
        {
            "lstm": k.LSTM(6),
            "gru": k.GRU(6, return_sequences=True),
            "gru_before": k.GRU(6, reset_after=False),
            "simple": k.SimpleRNN(6, recurrent_regularizer="l2"),
        },
    )


@entry
def unrolled() -> Built:
    return side_by_side(
        (3, 4), {"lstm": k.LSTM(6, unroll=True), "backwards": k.GRU(6, unroll=True, go_backwards=True)}
    )


@entry(fixed_batch=True)
def recurrent_cells() -> Built:
    stacked = k.StackedRNNCells([k.LSTMCell(5), k.GRUCell(4), k.SimpleRNNCell(3)])
    return side_by_side(
        (5, 4),
        {
            "stacked": k.RNN(stacked),
            "cell": k.RNN(k.GRUCell(5), return_sequences=True, go_backwards=True),
            "list": k.RNN([k.LSTMCell(3), k.LSTMCell(4)]),
        },
    )


@entry(fixed_batch=True)
def bidirectional() -> Built:
    inputs = tf.keras.Input((5, 4))
    x = k.Bidirectional(k.LSTM(4, return_sequences=True))(inputs)
    x = k.Bidirectional(k.GRU(3), backward_layer=k.SimpleRNN(3, go_backwards=True), merge_mode="sum")(x)
    return tf.keras.Model(inputs, k.Dense(2)(x)), noise(5, 4)


@entry(fixed_batch=True)
def convolutional_lstms() -> Built:
    inputs = {"one": tf.keras.Input((3, 6, 2)), "two": tf.keras.Input((3, 5, 6, 2))}
    outputs = {
        "one": k.ConvLSTM1D(3, 3, return_sequences=True)(inputs["one"]),
        "two": k.ConvLSTM2D(3, 2, padding="same")(inputs["two"]),
    }
    return tf.keras.Model(inputs, outputs), {"one": noise(3, 6, 2), "two": noise(3, 5, 6, 2)}


@entry(fixed_batch=True, limits={"tflite-builtin": "StridedSlice|TensorListReserve"})
def convolutional_lstm_in_space() -> Built:
    """Six axes are too many for TensorFlow Lite's own operations, whatever the batch."""
    return side_by_side((2, 4, 4, 4, 2), {"three": k.ConvLSTM3D(2, 2)})


@entry(limits={"keras": "must be an instance of class Layer"})
def random_features() -> Built:
    layers = [k.experimental.RandomFourierFeatures(16, scale=2.0, trainable=True), k.Dense(3)]
    return tf.keras.Sequential([tf.keras.Input((6,)), *layers]), noise(6)
