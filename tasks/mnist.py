"""Trains three networks of the compression literature on MNIST, read through TensorFlow Datasets."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from ..framework.task import tasks
from .datasets import Split, load_split
from .keras_task import KerasTask


@dataclasses.dataclass(frozen=True)
class Mnist(KerasTask):
    """MNIST's 60,000 images to train on, 5,000 of them held out, and 10,000 to test on, 28×28 pixels."""

    validation_examples: int = 5_000

    def load(self, split: str) -> Split:
        return load_split("mnist", split, self.data_dir)


@tasks.register("mnist_classifier")
@dataclasses.dataclass(frozen=True)
class MnistClassifier(Mnist):
    """MNIST with the network of "Scalable model compression": two convolutions, 1,256,080 parameters.

    The network and its training (Adam at a constant 1e-3, batches of 128, 5 epochs) are those of TensorFlow
    Compression's tutorial, including a leaky ReLU of slope 0.2 on the logits, to make results comparable. So
    is the data: nothing is held out.
    """

    epochs: int = 5
    validation_examples: int = 0

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        leaky_relu = tf.nn.leaky_relu
        return tf.keras.Sequential(
            [
                layers.InputLayer((28, 28, 1), name="image"),
                layers.Conv2D(20, 5, strides=2, padding="same", activation=leaky_relu, name="conv_1"),
                layers.Conv2D(50, 5, strides=2, padding="same", activation=leaky_relu, name="conv_2"),
                layers.Flatten(name="flatten"),
                layers.Dense(500, activation=leaky_relu, name="fc_1"),
                layers.Dense(10, activation=leaky_relu, name="fc_2"),
            ],
            name="mnist_classifier",
        )


@tasks.register("lenet300_100")
@dataclasses.dataclass(frozen=True)
class LeNet300100(Mnist):
    """MNIST with LeNet300-100: a perceptron with 300 and 100 hidden units, 266,610 parameters.

    ReLU after each hidden layer. Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning
    applied to document recognition", Proceedings of the IEEE, 1998.
    """

    epochs: int = 20
    final_learning_rate_factor: float = 0.01

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.InputLayer((28, 28, 1), name="image"),
                layers.Flatten(name="flatten"),
                layers.Dense(300, activation="relu", name="fc_1"),
                layers.Dense(100, activation="relu", name="fc_2"),
                layers.Dense(10, name="fc_3"),
            ],
            name="lenet300_100",
        )


@tasks.register("lenet5_caffe")
@dataclasses.dataclass(frozen=True)
class LeNet5Caffe(Mnist):
    """MNIST with Caffe's LeNet-5: two convolutions with pooling, 431,080 parameters.

    As in Caffe's `lenet_train_test.prototxt`, the only activation is a ReLU after the first dense layer: the
    convolutions are followed by max-pooling alone.
    """

    epochs: int = 10
    final_learning_rate_factor: float = 0.01

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.InputLayer((28, 28, 1), name="image"),
                layers.Conv2D(20, 5, name="conv_1"),
                layers.MaxPool2D(2, name="pool_1"),
                layers.Conv2D(50, 5, name="conv_2"),
                layers.MaxPool2D(2, name="pool_2"),
                layers.Flatten(name="flatten"),
                layers.Dense(500, activation="relu", name="fc_1"),
                layers.Dense(10, name="fc_2"),
            ],
            name="lenet5_caffe",
        )
