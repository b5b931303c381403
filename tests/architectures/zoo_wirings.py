"""Has the ways to put layers together: what holds, shares, nests, names, freezes and masks them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from architecture_zoo import BATCH, Built, entry, noise, tokens

k = tf.keras.layers
registered = tf.keras.saving.register_keras_serializable("lambdapress_zoo")


# Batch normalisation at every place to fold it, or not.


@entry
def convolution_then_norm() -> Built:
    inputs = tf.keras.Input((9, 9, 3))
    x = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, use_bias=False)(inputs)))
    x = k.BatchNormalization()(k.DepthwiseConv2D(3, depth_multiplier=2)(x))
    x = k.BatchNormalization()(k.SeparableConv2D(8, 3, activation="linear")(x))
    x = k.BatchNormalization()(k.Conv2DTranspose(6, 3)(x))
    return tf.keras.Model(inputs, k.BatchNormalization()(k.Dense(4)(k.Flatten()(x)))), noise(9, 9, 3)


@entry
def norm_in_other_places() -> Built:
    """Through an activation, before the kernel, twice, on two consumers, after a sum, in two calls."""
    inputs = tf.keras.Input((9, 9, 3))
    x = k.BatchNormalization()(inputs)
    x = k.BatchNormalization()(k.Conv2D(8, 3, activation="relu")(x))
    x = k.BatchNormalization()(k.BatchNormalization()(k.Conv2D(8, 3)(x)))
    x = k.BatchNormalization()(k.Conv2D(8, 3, activation=tf.nn.leaky_relu)(x))
    y = k.Conv2D(8, 1)(x)
    x = k.Add()([k.BatchNormalization()(y), y])
    shared = k.Conv2D(8, 1)
    x = k.BatchNormalization()(shared(k.BatchNormalization()(shared(x))))
    x = k.BatchNormalization()(k.Dropout(0.5)(k.Conv2D(4, 3)(x)))
    return tf.keras.Model(inputs, k.Dense(3)(k.Flatten()(x))), noise(9, 9, 3)


# Sharing and nesting.


@entry
def shared_layers() -> Built:
    shared, norm = k.Dense(5, "tanh"), k.LayerNormalization()
    left, right = tf.keras.Input((4,), name="left"), tf.keras.Input((4,), name="right")
    outputs = {"product": norm(shared(left)) * norm(shared(right)), "left": shared(left)}
    return tf.keras.Model([left, right], outputs), [noise(4), noise(4, seed=9)]


@entry
def nested_models() -> Built:
    """A functional model in a Sequential one in another, called twice; one of two twins is frozen."""
    image = tf.keras.Input((8, 8, 3))
    features = k.ReLU()(k.BatchNormalization()(k.Conv2D(6, 3, use_bias=False)(image)))
    backbone = tf.keras.Model(image, features, name="backbone")
    twins = [
        tf.keras.Sequential([tf.keras.Input((6,)), k.Dense(6), k.BatchNormalization()]) for _ in range(2)
    ]
    twins[1].trainable = False
    tower = tf.keras.Sequential([backbone, k.GlobalAveragePooling2D(), *twins], name="tower")
    one, other = tf.keras.Input((8, 8, 3)), tf.keras.Input((8, 8, 3))
    outputs = k.Dense(3)(k.Concatenate()([tower(one), tower(other)]))
    return tf.keras.Model({"one": one, "other": other}, outputs), {
        "one": noise(8, 8, 3),
        "other": noise(8, 8, 3, seed=6),
    }


@entry(fixed_batch=True)
def distributed_model() -> Built:
    """A model as the layer of `TimeDistributed`."""
    frame = tf.keras.Sequential(
        [tf.keras.Input((6, 6, 2)), k.Conv2D(4, 3), k.BatchNormalization(), k.Flatten()]
    )
    inputs = tf.keras.Input((4, 6, 6, 2))
    x = k.Bidirectional(k.GRU(3))(k.TimeDistributed(frame)(inputs))
    return tf.keras.Model(inputs, k.Dense(2)(x)), noise(4, 6, 6, 2)


@entry
def model_of_a_part() -> Built:
    """The first layers of a larger model, as feature extractors are made."""
    inputs = tf.keras.Input((6,))
    middle = k.Dense(5, "relu")(k.Dense(4)(inputs))
    whole = tf.keras.Model(inputs, k.Dense(3)(middle))
    return tf.keras.Model(whole.input, [middle, whole.layers[1].output]), noise(6)


@registered
class TiedLogits(tf.keras.layers.Layer):
    """Reads the table of an embedding."""

    def __init__(self, embedding: Any, **arguments: Any):
        super().__init__(**arguments)
        self.embedding = embedding

    def build(self, input_shape: Any) -> None:
        self.tied = self.embedding.embeddings
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return tf.matmul(inputs, self.tied, transpose_b=True)


@registered
class Autoencoder(tf.keras.Model):
    """Uses a kernel a second time, transposed."""

    def __init__(self, **arguments: Any):
        super().__init__(**arguments)
        self.encoder = k.Dense(4, "tanh")
        self.offset = tf.Variable(tf.zeros(6), name="offset")

    def call(self, inputs: Any) -> Any:
        return tf.matmul(self.encoder(inputs), self.encoder.kernel, transpose_b=True) + self.offset


@entry(limits={"keras": "must override `get_config"})
def tied_embedding() -> Built:
    inputs = tf.keras.Input((5,), dtype=tf.int32)
    table = k.Embedding(12, 6)
    return tf.keras.Model(inputs, TiedLogits(table)(k.Dense(6)(table(inputs)))), tokens(12, 5)


@entry
def tied_autoencoder() -> Built:
    model = Autoencoder()
    model(noise(6))
    return model, noise(6)


# Inputs and outputs.


@entry
def structured_inputs_and_outputs() -> Built:
    a, b, c = tf.keras.Input((4,), name="a"), tf.keras.Input((3,), name="b"), tf.keras.Input((), name="c")
    x = k.Concatenate()([k.Dense(3)(a), b])
    outputs = {"first": k.Dense(2)(x), "nested": [k.Dense(1)(x), {"scalar": k.Dense(1)(x)[:, 0] * c}]}
    return tf.keras.Model({"a": a, "rest": [b, c]}, outputs), {"a": noise(4), "rest": [noise(3), noise()]}


@entry
def outputs_of_rank_1() -> Built:
    inputs = tf.keras.Input((6,))
    x = k.Dense(4)(inputs)
    return tf.keras.Model(inputs, [tf.reduce_sum(x, -1), tf.argmax(x, -1), x > 0]), noise(6)


@entry
def integer_inputs() -> Built:
    inputs = tf.keras.Input((6, 6, 3), dtype=tf.uint8)
    x = k.Conv2D(4, 3)(k.Rescaling(1 / 255.0)(tf.cast(inputs, tf.float32)))
    return tf.keras.Model(inputs, k.Dense(3)(k.Flatten()(x))), tokens(256, 6, 6, 3).astype(np.uint8)


@entry
def input_that_passes_through() -> Built:
    """An input that is an output as it is, and one that no layer takes."""
    one, other = tf.keras.Input((4,), name="one"), tf.keras.Input((2,), name="other")
    return tf.keras.Model([one, other], [k.Dense(3)(one), one]), [noise(4), noise(2)]


# Unknown sizes.


@entry
def unknown_image_size() -> Built:
    inputs = tf.keras.Input((None, None, 3))
    x = k.MaxPool2D(2)(k.Conv2D(8, 3, padding="same", activation="relu")(inputs))
    return tf.keras.Model(inputs, k.Dense(3)(k.GlobalAveragePooling2D()(x))), noise(12, 10, 3)


@entry
def unknown_image_size_pooled_by_three() -> Built:
    inputs = tf.keras.Input((None, None, 3))
    x = k.MaxPool2D(3)(k.Conv2D(8, 3, padding="same")(inputs))
    return tf.keras.Model(inputs, k.Dense(3)(k.GlobalAveragePooling2D()(x))), noise(12, 12, 3)


@entry
def unknown_image_size_and_valid_convolutions() -> Built:
    inputs = tf.keras.Input((None, None, 3))
    x = k.Conv2D(8, 3, activation="relu")(k.Conv2D(8, 3)(inputs))
    return tf.keras.Model(inputs, k.Conv2D(2, 1)(x)), noise(12, 10, 3)


@entry
def unknown_length() -> Built:
    inputs = tf.keras.Input((None,), dtype=tf.int32)
    x = k.Conv1D(16, 5, activation="relu")(k.Embedding(20, 8)(inputs))
    return tf.keras.Model(inputs, k.Dense(3)(k.GlobalMaxPooling1D()(x))), tokens(20, 9)


@entry(fixed_batch=True)
def unknown_length_recurrent() -> Built:
    inputs = tf.keras.Input((None, 4))
    return tf.keras.Model(inputs, k.Dense(3)(k.GRU(5)(inputs))), noise(7, 4)


@entry
def fixed_batch() -> Built:
    inputs = tf.keras.Input((4,), batch_size=BATCH)
    return tf.keras.Model(inputs, k.Dense(3)(k.Dense(5, "relu")(inputs))), noise(4)


# Masks and state.


@entry(fixed_batch=True)
def masked_embedding() -> Built:
    inputs = tf.keras.Input((6,), dtype=tf.int32)
    x = k.Embedding(10, 8, mask_zero=True)(inputs)
    outputs = {
        "recurrent": k.Bidirectional(k.LSTM(4))(x),
        "attended": k.MultiHeadAttention(2, 4)(x, x),
        "averaged": k.GlobalAveragePooling1D()(x),
    }
    return tf.keras.Model(inputs, outputs), tokens(4, 6)


@entry
def stateful() -> Built:
    inputs = tf.keras.Input((5, 4), batch_size=BATCH)
    x = k.LSTM(4, stateful=True, return_sequences=True)(inputs)
    return tf.keras.Model(inputs, k.Dense(2)(k.GRU(4, stateful=True)(x))), noise(5, 4)


@entry(fixed_batch=True)
def encoder_and_decoder() -> Built:
    source, target = tf.keras.Input((5, 4)), tf.keras.Input((3, 4))
    _, *states = k.LSTM(6, return_state=True)(source)
    decoded = k.LSTM(6, return_sequences=True)(target, initial_state=states)
    return tf.keras.Model([source, target], k.Dense(4)(decoded)), [noise(5, 4), noise(3, 4)]


# Precision.


def _in_precision(policy: str) -> Built:
    inputs = tf.keras.Input((6, 6, 2), dtype=tf.float32)
    x = k.Conv2D(8, 3, dtype=policy)(inputs)
    x = k.ReLU(dtype=policy)(k.BatchNormalization(dtype=policy)(x))
    x = k.LayerNormalization(dtype=policy)(x)
    x = k.Dense(3, dtype=policy)(k.Flatten(dtype=policy)(x))
    return tf.keras.Model(inputs, k.Activation("linear", dtype=tf.float32)(x)), noise(6, 6, 2)


@entry(tolerance=0.03)
def mixed_bfloat16() -> Built:
    return _in_precision("mixed_bfloat16")


@entry(tolerance=0.01)
def mixed_float16() -> Built:
    return _in_precision("mixed_float16")


@entry(fixed_batch=True, limits={"tflite-builtin": "Lowering tensor list ops is failed|it has no AddV2"})
def double_precision() -> Built:
    inputs = tf.keras.Input((6, 4), dtype=tf.float64)
    x = k.LSTM(4, dtype="float64")(k.Dense(4, "relu", dtype="float64")(inputs))
    return tf.keras.Model(inputs, k.Dense(3, dtype="float64")(x)), noise(6, 4).astype(np.float64)


@entry(tolerance=0.01, limits={"tflite-builtin": "MatMul"})
def half_precision() -> Built:
    inputs = tf.keras.Input((6,), dtype=tf.float16)
    x = k.Dense(3, dtype="float16")(k.Dense(16, "relu", dtype="float16")(inputs))
    return tf.keras.Model(inputs, x), noise(6).astype(np.float16)


# A user's own classes.


@registered
class Residual(tf.keras.Model):
    """Keeps layers in a list, a dictionary and a tuple."""

    def __init__(self, **arguments: Any):
        super().__init__(**arguments)
        self.hidden = [k.Dense(6, "relu"), k.Dense(6)]
        self.heads = {"a": k.Dense(2), "b": k.Dense(3)}
        self.norms = (k.BatchNormalization(), k.LayerNormalization())

    def call(self, inputs: Any, training: Any = None) -> Any:
        x = inputs
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = x + norm(layer(x), training=training)
        return {name: head(x) for name, head in self.heads.items()}


@registered
class Compiled(tf.keras.Model):
    """Has a call and a method that are `tf.function`s."""

    def __init__(self, **arguments: Any):
        super().__init__(**arguments)
        self.first, self.second = k.Dense(5), k.Dense(3)

    @tf.function
    def call(self, inputs: Any) -> Any:
        return self.head(self.first(inputs))

    @tf.function
    def head(self, x: Any) -> Any:
        return self.second(tf.nn.relu(x))


@registered
class Containers(tf.keras.layers.Layer):
    """Keeps weights in a list, a dictionary and a module that is no layer."""

    def build(self, input_shape: Any) -> None:
        size = input_shape[-1]
        self.steps = [self.add_weight(f"step_{i}", (size, size)) for i in range(2)]
        self.named = {name: self.add_weight(name, (size,)) for name in ("before", "after")}
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        x = inputs * self.named["before"]
        for step in self.steps:
            x = tf.tanh(tf.matmul(x, step))
        return x + self.named["after"]


class Rotation(tf.Module):
    """A TensorFlow module that is no layer."""

    def __init__(self, size: int):
        super().__init__()
        self.matrix = tf.Variable(tf.random.normal((size, size)), name="matrix")

    def __call__(self, x: Any) -> Any:
        return tf.matmul(x, self.matrix)


@registered
class WithModule(tf.keras.layers.Layer):
    """Keeps a module that is no layer."""

    def __init__(self, size: int, **arguments: Any):
        super().__init__(**arguments)
        self.size, self.rotation = size, Rotation(size)

    def call(self, inputs: Any) -> Any:
        return self.rotation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@registered
class Counting(tf.keras.layers.Layer):
    """Has a weight that is an integer and one that is no float of any kind."""

    def build(self, input_shape: Any) -> None:
        self.mixing = self.add_weight("mixing", (input_shape[-1], 3))
        self.order = self.add_weight(
            "order", (3,), tf.int32, tf.constant_initializer([2, 0, 1]), trainable=False
        )
        self.kept = self.add_weight(
            "kept", (3,), tf.bool, lambda shape, dtype=None, **_: tf.fill(shape, True), trainable=False
        )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        x = tf.gather(tf.matmul(inputs, self.mixing), self.order, axis=-1)
        return tf.where(self.kept, x, tf.zeros_like(x))


@registered
class MinimalCell(tf.keras.layers.AbstractRNNCell):
    """A recurrent cell by a user."""

    def __init__(self, units: int, **arguments: Any):
        super().__init__(**arguments)
        self.units = units

    @property
    def state_size(self) -> int:
        return self.units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight("kernel", (input_shape[-1], self.units))
        self.recurrent_kernel = self.add_weight("recurrent_kernel", (self.units, self.units))
        super().build(input_shape)

    def call(self, inputs: Any, states: Any) -> Any:
        output = tf.tanh(tf.matmul(inputs, self.kernel) + tf.matmul(states[0], self.recurrent_kernel))
        return output, [output]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@registered
class Scaled(tf.keras.layers.Wrapper):
    """A wrapper by a user, with a weight of its own."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight("factor", ())
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs) * self.factor


@registered
class WithBranches(tf.keras.layers.Layer):
    """Uses its weight in a loop and in a branch of a graph."""

    def build(self, input_shape: Any) -> None:
        self.mixing = self.add_weight("mixing", (input_shape[-1], input_shape[-1]))
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        def step(index: Any, x: Any) -> Any:
            return index + 1, tf.tanh(tf.matmul(x, self.mixing))

        _, x = tf.while_loop(lambda index, _: index < 3, step, [0, inputs])
        return tf.cond(tf.reduce_sum(inputs) > 0, lambda: tf.matmul(x, self.mixing), lambda: -x)


@entry
def subclassed() -> Built:
    model = Residual()
    model(noise(6))
    return model, noise(6)


@entry
def subclassed_in_functional() -> Built:
    inputs = tf.keras.Input((6,))
    return tf.keras.Model(inputs, Residual()(k.Dense(6)(inputs))), noise(6)


@entry
def call_in_a_function() -> Built:
    model = Compiled()
    model(noise(4))
    return model, noise(4)


@entry(limits={"keras": "output: off by"})
def weights_in_containers() -> Built:
    layers = [Containers(), WithModule(4), Counting()]
    return tf.keras.Sequential([tf.keras.Input((4,)), *layers]), noise(4)


@entry(limits={"tflite-builtin": "TensorListReserve"})
def users_cell_and_wrapper() -> Built:
    inputs = tf.keras.Input((5, 4))
    return tf.keras.Model(inputs, Scaled(k.Dense(3))(k.RNN(MinimalCell(4))(inputs))), noise(5, 4)


@entry
def loops_and_branches() -> Built:
    return tf.keras.Sequential([tf.keras.Input((4,)), WithBranches(), k.Dense(3)]), noise(4)


@entry(limits={"keras": "Got 0 inputs for equation"})
def operations_between_layers() -> Built:
    inputs = tf.keras.Input((6, 4))
    x = tf.nn.relu(k.Dense(4)(inputs)) * 2.0 + inputs
    x = tf.einsum("bij,bkj->bik", x, x)[:, 1:, ::2]
    return tf.keras.Model(inputs, k.Dense(3)(tf.concat([x, tf.square(x)], -1))), noise(6, 4)


@entry
def frozen() -> Built:
    layers = [k.Conv2D(4, 3, trainable=False), k.BatchNormalization(trainable=False), k.Flatten(), k.Dense(3)]
    model = tf.keras.Sequential([tf.keras.Input((6, 6, 2)), *layers])
    model.layers[-1].trainable = False
    model.layers[0].trainable = True
    return model, noise(6, 6, 2)


@entry
def constrained_and_regularised() -> Built:
    layers = [
        k.Dense(
            6,
            kernel_constraint="max_norm",
            bias_regularizer="l1",
            kernel_regularizer=tf.keras.regularizers.OrthogonalRegularizer(),
        ),
        k.Dense(3, activity_regularizer="l2", kernel_constraint="non_neg"),
    ]
    return tf.keras.Sequential([tf.keras.Input((5,)), *layers]), noise(5)


@entry
def built_by_its_first_call() -> Built:
    model = tf.keras.Sequential([k.Conv1D(6, 3, activation="relu"), k.GlobalMaxPooling1D(), k.Dense(3)])
    model(noise(8, 4))
    return model, noise(8, 4)


@entry
def compiled_and_trained() -> Built:
    model = tf.keras.Sequential(
        [tf.keras.Input((6,)), k.Dense(5, "relu"), k.BatchNormalization(), k.Dense(2)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(noise(6), noise(2), verbose=0)
    return model, noise(6)


@entry
def wide_and_deep() -> Built:
    linear = tf.keras.experimental.LinearModel()
    deep = tf.keras.Sequential([k.Dense(6, "relu"), k.Dense(1)])
    model = tf.keras.experimental.WideDeepModel(linear, deep)
    given = [noise(4), noise(5)]
    model(given)
    return model, given
