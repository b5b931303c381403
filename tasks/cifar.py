"""Trains two networks of the compression literature on CIFAR-10, read through TensorFlow Datasets."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from ..framework.task import tasks
from .augment import crop_and_flip
from .datasets import Split, load_split
from .keras_task import KerasTask

# Mean and standard deviation of each channel over the training split, for pixels in [0, 1].
_MEAN = (0.4914, 0.4822, 0.4465)
_DEVIATION = (0.2470, 0.2435, 0.2616)


@dataclasses.dataclass(frozen=True)
class Cifar10(KerasTask):
    """CIFAR-10's 50,000 images to train on, 5,000 of them held out, and 10,000 to test on, 32×32 in color.

    Training images are cropped and flipped at random (see `crop_and_flip`), test images are not. Models
    normalise each channel themselves, so that a shipped model takes pixels in [0, 1], as every task's model
    does. By default there is no weight decay: the rate replaces it, and the baseline has none.
    """

    augment = staticmethod(crop_and_flip)

    validation_examples: int = 5_000

    def load(self, split: str) -> Split:
        return load_split("cifar10", split, self.data_dir)


def _normalised(images: tf.Tensor) -> tf.Tensor:
    scale = 1 / np.array(_DEVIATION)
    offset = -np.array(_MEAN) * scale
    return tf.keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="normalise")(images)


def _normed(x: tf.Tensor, name: str) -> tf.Tensor:
    """Adds batch normalisation with He et al.'s constants; statistics also settle in few epochs."""
    return tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)


def _convolved(x: tf.Tensor, filters: int, name: str, strides: int = 1) -> tf.Tensor:
    """Adds a 3×3 convolution and its normalisation, whose offset makes a bias superfluous."""
    convolution = tf.keras.layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )
    return _normed(convolution(x), name)


def _relu(x: tf.Tensor, name: str) -> tf.Tensor:
    return tf.keras.layers.ReLU(name=f"{name}_relu")(x)


def _residual_block(x: tf.Tensor, filters: int, grown: int, name: str) -> tf.Tensor:
    """Adds two convolutions beside a shortcut without weights (option A).

    Where the number of channels grows, by `grown`, the block halves the resolution: the shortcut takes every
    other pixel and has zeros in the new channels.
    """
    inner = _relu(_convolved(x, filters, f"{name}_conv_1", strides=2 if grown else 1), f"{name}_conv_1")
    inner = _convolved(inner, filters, f"{name}_conv_2")
    if grown:
        x = tf.keras.layers.MaxPool2D(1, strides=2, name=f"{name}_subsample")(x)
        x = tf.pad(x, [[0, 0], [0, 0], [0, 0], [grown // 2, grown // 2]], name=f"{name}_widen")
    return _relu(tf.keras.layers.Add(name=f"{name}_add")([x, inner]), name)


@tasks.register("resnet20")
@dataclasses.dataclass(frozen=True)
class ResNet20(Cifar10):
    """CIFAR-10 with ResNet-20: three stages of three residual blocks, 271,098 parameters at width 1.

    16, 32 and 64 channels, times `width`. Shortcuts have no weights. K. He, X. Zhang, S. Ren, J. Sun, "Deep
    residual learning for image recognition", CVPR 2016, section 4.2.

    Attributes:
      width: factor of the number of channels.
    """

    epochs: int = 100
    final_learning_rate_factor: float = 0.01
    width: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise ValueError(f"{self.name}.width must be an integer of at least 1, got {self.width!r}.")

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        images = layers.Input((32, 32, 3), name="image")
        x = _relu(_convolved(_normalised(images), 16 * self.width, "conv"), "conv")
        for stage in (1, 2, 3):
            filters = 8 * 2**stage * self.width
            for block in (1, 2, 3):
                grown = filters // 2 if stage > 1 and block == 1 else 0
                x = _residual_block(x, filters, grown, f"stage_{stage}_block_{block}")
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        logits = layers.Dense(10, name="fc")(x)
        return tf.keras.Model(images, logits, name=self.name)


@tasks.register("resnet20_4")
@dataclasses.dataclass(frozen=True)
class ResNet204(ResNet20):
    """CIFAR-10 with ResNet-20-4, ResNet-20 at four times the width: 4,291,530 parameters.

    The network of Oktay, Ballé, Singh, Shrivastava, "Scalable model compression by entropy penalized
    reparameterization", ICLR 2020: at this size, their 128 kB are 1/134 of the weights, as the paper says.
    """

    width: int = 4


@tasks.register("vgg16")
@dataclasses.dataclass(frozen=True)
class VGG16(Cifar10):
    """CIFAR-10 with VGG-16: 13 convolutions, a dense layer of 512 units, 14,996,682 parameters.

    The convolutions of K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image
    recognition", ICLR 2015, each with batch normalisation, and the smaller head that CIFAR-10 takes in the
    compression literature (C. Louizos, K. Ullrich, M. Welling, "Bayesian compression for deep learning",
    NeurIPS 2017). No dropout.
    """

    epochs: int = 100
    final_learning_rate_factor: float = 0.01

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        images = layers.Input((32, 32, 3), name="image")
        x = _normalised(images)
        for stage, (filters, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
            for index in range(1, depth + 1):
                name = f"stage_{stage}_conv_{index}"
                x = _relu(_convolved(x, filters, name), name)
            x = layers.MaxPool2D(2, name=f"stage_{stage}_pool")(x)
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(512, use_bias=False, kernel_initializer="he_normal", name="fc_1")(x)
        x = _relu(_normed(x, "fc_1"), "fc_1")
        logits = layers.Dense(10, name="fc_2")(x)
        return tf.keras.Model(images, logits, name="vgg16")
