"""Tests the promises of every Keras task: its network, its data, training and evaluation."""

from __future__ import annotations

import dataclasses

import gin
import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework.task import tasks
from lambdapress.tasks.datasets import Split
from lambdapress.tasks.keras_task import KerasTask, batches

PARAMETERS = {"digits": 38282, "mnist_classifier": 1256080, "lenet300_100": 266610, "lenet5_caffe": 431080}


def random_split(examples=100, seed=0):
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (examples, 8, 8, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(examples)  # so that an image holds its own number
    return Split.of(images, draw.integers(0, 10, examples))


def order(data):
    return np.concatenate([np.rint(images[:, 0, 0, 0] * 255).astype(int) for images, _ in data])


@pytest.fixture(scope="module")
def trained():
    """Trains one digits model with the defaults, for tests that do not change it."""
    tf.keras.utils.set_random_seed(0)
    task = tasks.build("digits")
    model = task.build_model()
    task.train(model)
    return task, model


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_is_built_and_has_the_known_size(name):
    model = tasks.build(name).build_model()
    assert model.built and model.count_params() == PARAMETERS[name]
    outputs = model(tf.zeros((3,) + model.input_shape[1:]))
    assert outputs.shape == (3, 10) and outputs.dtype == tf.float32


def test_the_notebooks_layers():
    model = tasks.build("mnist_classifier").build_model()
    layers = [layer for layer in model.layers if layer.weights]
    assert [layer.name for layer in layers] == ["conv_1", "conv_2", "fc_1", "fc_2"]
    for layer in layers:
        np.testing.assert_allclose(layer.activation(tf.constant([-1.0, 2.0])), [-0.2, 2.0])
        assert not np.any(layer.bias)


def test_gin_and_the_caller_set_hyper_parameters():
    gin.parse_config("digits.epochs = 3")
    task = tasks.build("digits", data_dir="/somewhere")
    assert (task.epochs, task.data_dir) == (3, "/somewhere")


@pytest.mark.parametrize(
    "field, value",
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("final_learning_rate_factor", 1.1),
        ("steps_per_execution", 0),
    ],
)
def test_a_bad_hyper_parameter_is_named(field, value):
    with pytest.raises(ValueError, match=rf"digits\.{field} must be .*got {value}"):
        tasks.build("digits", **{field: value})


def test_initial_weights_follow_the_seed():
    def weights(seed):
        tf.keras.utils.set_random_seed(seed)
        return tasks.build("digits").build_model().get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_order_of_the_data_follows_the_seed_alone():
    def orders(seed, draws=0):
        tf.keras.utils.set_random_seed(seed)
        for _ in range(draws):
            tf.random.uniform(())
        data = batches(random_split(), 255.0, 32, shuffle=True)
        return [order(data), order(data)]

    first, again, other = orders(1), orders(1, draws=3), orders(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1]), "each epoch has its own order"
    assert not np.array_equal(first[0], other[0])
    for epoch in first + other:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(100))


def test_batches_are_normalised_and_leave_nothing_out():
    split = random_split()
    data = batches(split, 255.0, 32, shuffle=False)
    assert len(data) == 4 and [len(labels) for _, labels in data] == [32, 32, 32, 4]
    assert data.element_spec[0].dtype == tf.float32
    images = np.concatenate([images for images, _ in data])
    np.testing.assert_allclose(images, split.images / 255, rtol=1e-6)
    assert images.min() >= 0 and images.max() == 1
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in data]), split.labels)


def test_digits_data_is_stratified_and_disjoint():
    train, test = (tasks.build("digits").load(split) for split in ("train", "test"))
    assert len(train.labels) == 1297 and len(test.labels) == 500
    assert train.images.shape[1:] == test.images.shape[1:] == (8, 8, 1) and train.images.max() == 16
    shares = [np.bincount(split.labels, minlength=10) / len(split.labels) for split in (train, test)]
    np.testing.assert_allclose(*shares, atol=0.002)
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


def test_digits_trains(trained):
    task, model = trained
    assert task.evaluate(model).values["accuracy"] > 0.95


def test_evaluate_is_the_accuracy(trained):
    task, model = trained
    split = task.load("test")
    logits = model(split.images.astype(np.float32) / 16, training=False).numpy()
    assert (
        task.evaluate(model).values["accuracy"]
        == np.mean(logits.argmax(-1) == split.labels)
        == task.evaluate(model).values["accuracy"]
    )


def test_evaluate_leaves_the_model_as_it_was(trained):
    task, model = trained
    kept = (model.optimizer, model.loss, model.compiled_metrics, model.train_function, model.predict_function)
    weights, steps = model.get_weights(), int(model.optimizer.iterations)
    model.layers[1].trainable = False
    try:
        task.evaluate(model).values["accuracy"]
        assert not model.layers[1].trainable and model.layers[2].trainable
    finally:
        model.layers[1].trainable = True
    now = (model.optimizer, model.loss, model.compiled_metrics, model.train_function, model.predict_function)
    assert all(a is b for a, b in zip(kept, now, strict=True))
    assert int(model.optimizer.iterations) == steps
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_evaluate_runs_layers_as_in_inference_and_needs_no_compile(trained):
    task, model = trained
    with_dropout = tf.keras.Sequential(
        [model, tf.keras.layers.Dropout(0.9), tf.keras.layers.BatchNormalization()]
    )
    assert task.evaluate(with_dropout).values["accuracy"] == pytest.approx(
        task.evaluate(model).values["accuracy"]
    )
    assert with_dropout.optimizer is None


class Recorder(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rates, self.batches = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        rate = self.model.optimizer.learning_rate
        self.rates.append(float(rate))


def test_callbacks_see_the_length_of_training_and_the_decayed_rate():
    task = tasks.build("digits", epochs=2, steps_per_execution=8, final_learning_rate_factor=0.1)
    recorder = Recorder()
    task.train(task.build_model(), [recorder])
    assert recorder.params["epochs"] == 2 and recorder.params["steps"] == 19
    assert recorder.batches == [7, 15, 18] * 2
    # Adam holds the rate of its last step, which is one before the half and the end of the cosine.
    assert recorder.rates[0] == pytest.approx(0.55 * task.learning_rate, rel=0.08)
    assert recorder.rates[-1] == pytest.approx(0.1 * task.learning_rate, rel=0.02)


def test_losses_of_the_model_are_trained():
    task = tasks.build("digits", epochs=2)
    model = task.build_model()
    kernel = model.get_layer("fc_1").kernel
    before = float(tf.norm(kernel))
    model.add_loss(lambda: 10.0 * tf.reduce_sum(tf.square(kernel)))
    task.train(model)
    assert float(tf.norm(kernel)) < 0.5 * before


@dataclasses.dataclass(frozen=True)
class Small(KerasTask):
    """A task written outside of the package."""

    max_value = 16.0

    def load(self, split):
        return tasks.build("digits").load(split)

    def build_model(self):
        return tf.keras.Sequential(
            [tf.keras.layers.Flatten(input_shape=(8, 8, 1)), tf.keras.layers.Dense(10)]
        )


def test_a_model_made_in_a_strategys_scope():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    task = Small(epochs=10, batch_size=32, learning_rate=1e-2)
    with strategy.scope():
        model = task.build_model()
    task.train(model)
    assert task.evaluate(model).values["accuracy"] > 0.8
    with strategy.scope():
        assert task.evaluate(model).values["accuracy"] > 0.8


@pytest.mark.parametrize(
    "name", ["epochs", "batch_size", "steps_per_execution", "validation_examples", "learning_rate"]
)
def test_a_boolean_is_no_number(name):
    with pytest.raises(ValueError, match=f"digits.{name} must be .*got True"):
        tasks.get("digits")(**{name: True})
