"""Has a member of every family of Keras applications, at small inputs; of deep ones, one block of each kind.

Blocks repeat, and cost tracing time: the families' own functions build fewer of them here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from architecture_zoo import Built, entry
from keras.src.applications import (
    convnext,
    densenet,
    efficientnet,
    efficientnet_v2,
    nasnet,
    regnet,
    resnet,
    resnet_rs,
)

applications = tf.keras.applications
HEADLESS: dict[str, Any] = {"weights": None, "include_top": False, "pooling": "avg"}
CLASSES: dict[str, Any] = {"weights": None, "include_top": True, "classes": 10}


def family(
    build: Callable[[int], tf.keras.Model], size: int = 32, images: bool = False, **limits: str
) -> None:
    """Puts a family in the zoo.

    Args:
      build: builds a model for images of a size.
      size: of the images.
      images: whether the model takes values up to 255, and scales them itself.
      limits: see `Architecture`, with underscores.
    """

    def built() -> Built:
        noise = np.random.default_rng(5).uniform(-1, 1, (2, size, size, 3))
        return build(size), ((noise + 1) * 127.5 if images else noise).astype(np.float32)

    # Depth multiplies what an operation rounds.
    named = {name.replace("_", "-"): error for name, error in limits.items()}
    entry(built, name=build.__name__, slow=True, exports="folded|before|select", limits=named, tolerance=1e-3)


def _first_layers(model: tf.keras.Model, count: int) -> tf.keras.Model:
    x = tf.keras.layers.GlobalAveragePooling2D()(model.layers[count].output)
    return tf.keras.Model(model.input, tf.keras.layers.Dense(10)(x))


def vgg16(size: int) -> tf.keras.Model:
    return _first_layers(applications.VGG16(input_shape=(size, size, 3), **HEADLESS), 7)


def mobilenet(size: int) -> tf.keras.Model:
    return applications.MobileNet((size, size, 3), alpha=0.25, **CLASSES)


def mobilenet_v2(size: int) -> tf.keras.Model:
    return _first_layers(applications.MobileNetV2((size, size, 3), alpha=0.35, **HEADLESS), 44)


def mobilenet_v3(size: int) -> tf.keras.Model:
    return _first_layers(applications.MobileNetV3Small((size, size, 3), alpha=0.75, **HEADLESS), 59)


def efficientnet_b0(size: int) -> tf.keras.Model:
    blocks = [dict(block, repeats=1) for block in efficientnet.DEFAULT_BLOCKS_ARGS[:3]]
    return efficientnet.EfficientNet(
        1.0, 1.0, size, blocks_args=blocks, input_shape=(size, size, 3), **CLASSES
    )


def efficientnet_v2_b0(size: int) -> tf.keras.Model:
    blocks = efficientnet_v2.DEFAULT_BLOCKS_ARGS["efficientnetv2-b0"]
    blocks = [dict(block, num_repeat=1) for block in blocks[:4]]
    return efficientnet_v2.EfficientNetV2(
        1.0, 1.0, size, blocks_args=blocks, input_shape=(size, size, 3), **CLASSES
    )


def resnet_v1(size: int) -> tf.keras.Model:
    def stacks(x: Any) -> Any:
        return resnet.stack1(resnet.stack1(x, 16, 2, 1, "a"), 32, 1, 2, "b")

    return resnet.ResNet(stacks, False, True, input_shape=(size, size, 3), **CLASSES)


def resnet_v2(size: int) -> tf.keras.Model:
    def stacks(x: Any) -> Any:
        return resnet.stack2(resnet.stack2(x, 16, 2, 2, "a_"), 32, 2, 1, "b_")

    return resnet.ResNet(stacks, True, True, input_shape=(size, size, 3), **CLASSES)


def resnext(size: int) -> tf.keras.Model:
    def stacks(x: Any) -> Any:
        return resnet.stack3(x, 16, 2, 1, 4, "a")

    return resnet.ResNet(stacks, False, False, input_shape=(size, size, 3), **CLASSES)


def resnet_rs_50(size: int) -> tf.keras.Model:
    blocks = [{"input_filters": 16, "num_repeats": 1}, {"input_filters": 32, "num_repeats": 1}]
    return resnet_rs.ResNetRS(50, (size, size, 3), block_args=blocks, **CLASSES)


def densenet_121(size: int) -> tf.keras.Model:
    return densenet.DenseNet([2, 1, 1, 1], input_shape=(size, size, 3), **CLASSES)


def nasnet_mobile(size: int) -> tf.keras.Model:
    whole = nasnet.NASNet((size, size, 3), 192, 1, 16, skip_reduction=False, default_size=size, **HEADLESS)
    return _first_layers(whole, 117)


def xception(size: int) -> tf.keras.Model:
    return _first_layers(applications.Xception(input_shape=(size, size, 3), **HEADLESS), 25)


def inception_v3(size: int) -> tf.keras.Model:
    return _first_layers(applications.InceptionV3(input_shape=(size, size, 3), **HEADLESS), 40)


def inception_resnet_v2(size: int) -> tf.keras.Model:
    return _first_layers(applications.InceptionResNetV2(input_shape=(size, size, 3), **HEADLESS), 62)


def convnext_tiny(size: int) -> tf.keras.Model:
    return convnext.ConvNeXt(
        [1, 1, 1, 1], [16, 16, 32, 32], default_size=size, input_shape=(size, size, 3), **CLASSES
    )


def regnet_x(size: int) -> tf.keras.Model:
    return regnet.RegNet([1, 1, 1, 1], [16, 16, 24, 32], 8, "X", size, input_shape=(size, size, 3), **CLASSES)


def regnet_y(size: int) -> tf.keras.Model:
    return regnet.RegNet([1, 1, 1, 1], [16, 16, 24, 32], 8, "Y", size, input_shape=(size, size, 3), **CLASSES)


for build in (vgg16, mobilenet, mobilenet_v2, resnet_v1, resnet_v2, densenet_121):
    family(build)
family(resnext, tflite_builtin="StridedSlice")  # of six dimensions
for build in (
    mobilenet_v3,
    efficientnet_b0,
    efficientnet_v2_b0,
    resnet_rs_50,
    regnet_x,
    regnet_y,
):
    family(build, images=True)
family(convnext_tiny, images=True, keras="'str' object is not callable")
family(nasnet_mobile)
family(xception, size=71)
for build in (inception_v3, inception_resnet_v2):
    family(build, size=75)
