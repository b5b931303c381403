"""Trains on scikit-learn's handwritten digits, which are embedded and need no download."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar, cast

import tensorflow as tf

from ..framework.task import tasks
from .datasets import Split
from .keras_task import KerasTask

# The split is part of the task, not of a trial: every trial and seed is measured on the same 500 images.
_SPLIT_SEED = 0
_TEST_EXAMPLES = 500


@functools.cache
def _load(split: str) -> Split:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = cast(Any, load_digits(return_X_y=True))
    parts: Any = train_test_split(
        images.reshape(-1, 8, 8, 1),
        labels,
        test_size=_TEST_EXAMPLES,
        random_state=_SPLIT_SEED,
        stratify=labels,
    )
    train_images, test_images, train_labels, test_labels = parts
    return {"train": Split.of(train_images, train_labels), "test": Split.of(test_images, test_labels)}[split]


@tasks.register("digits")
@dataclasses.dataclass(frozen=True)
class Digits(KerasTask):
    """scikit-learn's 1,797 digits of 8×8 pixels, embedded: a convolutional network of 38,282 parameters.

    1,297 images to train on, a tenth of them held out, and 500 to test on, in the same proportion of classes
    (a fixed stratified split). The data is the test part of E. Alpaydin and C. Kaynak, "Optical Recognition
    of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """

    max_value: ClassVar[float | None] = 16.0

    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 3e-3
    final_learning_rate_factor: float = 0.01
    steps_per_execution: int = 19
    validation_examples: int = 130

    def load(self, split: str) -> Split:
        return _load(split)

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.InputLayer((8, 8, 1), name="image"),
                layers.Conv2D(16, 3, padding="same", activation="relu", name="conv_1"),
                layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="conv_2"),
                layers.Flatten(name="flatten"),
                layers.Dense(64, activation="relu", name="fc_1"),
                layers.Dense(10, name="fc_2"),
            ],
            name="digits",
        )
