"""Tests the MNIST tasks on the real data."""

from __future__ import annotations

import tensorflow as tf

import lambdapress.tasks  # noqa: F401
from lambdapress.framework.task import tasks


def test_one_epoch_of_lenet300_100(mnist_data_dir):
    tf.keras.utils.set_random_seed(0)
    task = tasks.build("lenet300_100", epochs=1, data_dir=str(mnist_data_dir))
    model = task.build_model()
    task.train(model)
    assert task.evaluate(model).values["accuracy"] > 0.95


def test_the_tasks_share_their_data(mnist_data_dir):
    first, *others = (
        tasks.build(name, data_dir=str(mnist_data_dir)).load("test")
        for name in ("mnist_classifier", "lenet300_100", "lenet5_caffe")
    )
    assert all(split is first for split in others)
