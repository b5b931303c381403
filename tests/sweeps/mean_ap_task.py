"""Defines a task of a user's own, whose metric is a mean average precision: properties of digits."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from sklearn.metrics import average_precision_score

from lambdapress.framework.task import TEST, Evaluation, Metric, tasks
from lambdapress.tasks.datasets import Split
from lambdapress.tasks.digits import Digits

# For each digit: is it even, is it a prime, does it have a loop?
PROPERTIES = np.array([[d % 2 == 0, d in (2, 3, 5, 7), d in (0, 6, 8, 9)] for d in range(10)], np.int64)


@tasks.register("retrieval")
@dataclasses.dataclass(frozen=True)
class Retrieval(Digits):
    """Three properties of each digit, retrieved by a logit each."""

    metrics = (Metric("mean_ap"),)

    epochs: int = 3

    def load(self, split):
        digits = super().load(split)
        return Split(digits.images, PROPERTIES[digits.labels])

    def loss(self):
        return tf.keras.losses.BinaryCrossentropy(from_logits=True)

    def build_model(self):
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.InputLayer((8, 8, 1), name="image"),
                layers.Flatten(name="flatten"),
                layers.Dense(64, activation="relu", name="fc_1"),
                layers.Dense(3, name="fc_2"),
            ]
        )

    def evaluate(self, model, split=TEST):
        parts = list(self.predictions(model, split))
        logits, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Evaluation(
            values={"mean_ap": float(average_precision_score(labels, logits, average="macro"))},
            constant={"mean_ap": float(labels.mean())},
            records={"logits": logits},
        )
