"""Tests the CIFAR-10 tasks: their networks, their augmentation, and training on the real data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import lambdapress.tasks
from lambdapress.framework import algorithms, to_compressible
from lambdapress.framework.task import tasks
from lambdapress.tasks import cifar
from lambdapress.tasks.augment import crop_and_flip
from lambdapress.tasks.cifar import Cifar10, ResNet20
from lambdapress.tasks.datasets import DatasetError, Split, load_split
from lambdapress.tasks.keras_task import batches

TRAINABLE = {"resnet20": 269_722, "resnet20_4": 4_286_026, "vgg16": 14_987_210}
PARAMETERS = {"resnet20": 271_098, "resnet20_4": 4_291_530, "vgg16": 14_996_682}
CONFIGS = Path(lambdapress.tasks.__file__).parent.parent / "gin_configs" / "tasks"
PAD = 4


def random_images(examples=64, size=12):
    """Makes images without black pixels, and with almost no two pixels alike."""
    return np.random.default_rng(0).integers(1, 256, (examples, size, size, 3), dtype=np.uint8)


def outcomes(image):
    """Returns all possible results of augmenting an image, by flip and place."""
    height, width, _ = image.shape
    padded = np.pad(image, ((PAD, PAD), (PAD, PAD), (0, 0)))
    crops = {
        (False, row, column): padded[row : row + height, column : column + width]
        for row in range(2 * PAD + 1)
        for column in range(2 * PAD + 1)
    }
    return {**crops, **{(True, *where[1:]): crop[:, ::-1] for where, crop in crops.items()}}


def what_was_done(image, augmented):
    (found,) = [where for where, crop in outcomes(image).items() if np.array_equal(crop, augmented)]
    return found


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_has_the_known_size(name):
    model = tasks.build(name).build_model()
    assert model.count_params() == PARAMETERS[name]
    assert sum(weight.shape.num_elements() for weight in model.trainable_weights) == TRAINABLE[name]
    outputs = model(tf.zeros((2, 32, 32, 3)))
    assert outputs.shape == (2, 10) and outputs.dtype == tf.float32


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_gin_file_names_the_size(name):
    assert f"{PARAMETERS[name]:,} parameters" in (CONFIGS / f"{name}.gin").read_text(encoding="utf-8")


def test_a_width_that_is_none_is_named():
    for width in (0, 1.5):
        with pytest.raises(ValueError, match=rf"resnet20\.width must be .*got {width}"):
            tasks.build("resnet20", width=width)


def test_models_take_pixels_between_0_and_1_and_normalise_each_channel():
    model = tasks.build("resnet20").build_model()
    normalised = tf.keras.Model(model.input, model.get_layer("normalise").output)
    mean, deviation = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    pixels = np.stack([mean, mean + deviation]).reshape(2, 1, 1, 3).repeat(32, 1).repeat(32, 2)
    found = normalised(pixels.astype(np.float32)).numpy()
    np.testing.assert_allclose(found[0], 0, atol=1e-6)
    np.testing.assert_allclose(found[1], 1, atol=1e-6)


@pytest.mark.parametrize("width", [1, 2])
def test_a_shortcut_keeps_every_other_pixel_and_adds_no_weight(width):
    model = ResNet20(width=width).build_model()
    block = "stage_2_block_1"
    inner, after = model.get_layer(f"{block}_conv_2_norm").output, model.get_layer(f"{block}_add").output
    before = model.get_layer("stage_1_block_3_relu").output
    images = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    inner, after, before = (x.numpy() for x in tf.keras.Model(model.input, [inner, after, before])(images))
    shortcut, padding = after - inner, 8 * width
    np.testing.assert_allclose(shortcut[..., padding:-padding], before[:, ::2, ::2], atol=1e-5)
    assert not shortcut[..., :padding].any() and not shortcut[..., -padding:].any()


def test_every_weight_of_the_residual_network_is_reached():
    model = tasks.build("resnet20").build_model()
    compressible = to_compressible(model, algorithms.build("epr"), lmbda=1.0)
    latents = [w for w in compressible.trainable_weights if "latent" in w.name]
    assert len(latents) == 21  # 19 convolutions, the dense layer's kernel and bias
    assert sum(w.shape.num_elements() for w in latents) == 268_346
    assert compressible(tf.zeros((1, 32, 32, 3))).shape == (1, 10)


def test_augmented_images_are_crops_of_the_padded_originals_some_flipped():
    images = random_images()
    augmented = crop_and_flip(tf.constant(images), tf.constant([1, 2], tf.int64)).numpy()
    assert augmented.shape == images.shape and augmented.dtype == images.dtype
    done = [what_was_done(image, changed) for image, changed in zip(images, augmented, strict=True)]
    flips, rows, columns = map(np.array, zip(*done, strict=True))
    assert 16 <= flips.sum() <= 48  # 4 deviations of 64 flips of a coin
    for places in (rows, columns):
        assert places.min() == 0 and places.max() == 2 * PAD
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.5


def test_all_places_are_equally_likely():
    images = np.zeros((9000, 1, 1, 1), np.uint8) + np.uint8(7)
    kept = crop_and_flip(tf.constant(images), tf.constant([3, 4], tf.int64), pad=1).numpy() > 0
    assert np.mean(kept) == pytest.approx(1 / 9, abs=0.015)  # the middle one of 3 × 3 places


def test_augmentation_is_a_function_of_the_seed_in_graphs_too():
    images = tf.constant(random_images())
    eager = [crop_and_flip(images, tf.constant(seed, tf.int64)).numpy() for seed in ([1, 2], [1, 3])]
    graph = tf.function(crop_and_flip)(images, tf.constant([1, 2], tf.int64)).numpy()
    np.testing.assert_array_equal(eager[0], graph)
    assert not np.array_equal(*eager)


@pytest.fixture
def small_cifar(monkeypatch):
    """Returns the task with 96 images instead of CIFAR-10; the last channel holds an image's number."""
    images = random_images(96)
    images[..., 2] = 1 + np.arange(96).reshape(96, 1, 1)
    split = Split.of(images, np.arange(96) % 10)
    monkeypatch.setattr(ResNet20, "load", lambda self, name: split)
    return ResNet20(batch_size=32, validation_examples=0), split


def two_epochs(task, seed):
    """Returns the change of each image in two epochs, from one iterator as in training."""
    tf.keras.utils.set_random_seed(seed)
    found = []
    for images, labels in task.train_data().repeat().take(6):
        assert images.dtype == tf.float32 and 0 <= np.min(images) and np.max(images) <= 1
        for image, label in zip(np.rint(images * 255).astype(np.uint8), labels, strict=True):
            number = image[..., 2].max() - 1
            assert label == number % 10
            found.append((number, *what_was_done(task.load("train").images[number], image)))
    return [dict((number, done) for number, *done in epoch) for epoch in (found[:96], found[96:])]


def test_training_batches_follow_the_seed_and_differ_between_epochs(small_cifar):
    task, _ = small_cifar
    first, again, other = two_epochs(task, 1), two_epochs(task, 1), two_epochs(task, 2)
    assert first == again
    for epoch in (*first, other[0]):
        assert set(epoch) == set(range(96))  # no image is missing, and none comes twice
    for one, two in ((first[0], first[1]), (first[0], other[0])):
        assert sum(one[number] == two[number] for number in range(96)) < 10  # by chance 1 in 162


def test_evaluation_sees_the_images_as_they_are(small_cifar):
    task, split = small_cifar
    (images,) = [images.numpy() for images, _ in batches(split, 255.0, 1000, shuffle=False)]
    seen = []

    class Looks(tf.keras.Model):
        def call(self, inputs, training=None):
            tf.py_function(lambda x: seen.append(x.numpy()), [inputs], [])
            return tf.reshape(inputs, [-1, 12 * 12 * 3])[:, :10]

    task.evaluate(Looks())
    np.testing.assert_array_equal(seen[0], images)


@dataclasses.dataclass(frozen=True)
class Small(Cifar10):
    """A CIFAR-10 task with a network that is traced quickly."""

    def build_model(self):
        return tf.keras.Sequential(
            [tf.keras.layers.Flatten(input_shape=(32, 32, 3)), tf.keras.layers.Dense(10)]
        )


def test_training_on_real_images_lowers_the_loss(cifar10_data_dir, monkeypatch):
    tf.keras.utils.set_random_seed(0)
    few = load_split("cifar10", "test[:500]", str(cifar10_data_dir))
    assert few.images.shape == (500, 32, 32, 3) and set(few.labels) == set(range(10))
    monkeypatch.setattr(Small, "load", lambda self, name: few)
    task, losses = Small(epochs=10, batch_size=50, validation_examples=0), tf.keras.callbacks.History()
    task.train(task.build_model(), [losses])
    assert losses.history["loss"][-1] < 0.95 * losses.history["loss"][0]


def test_the_constants_are_those_of_the_real_images(cifar10_data_dir):
    pixels = load_split("cifar10", "test[:2000]", str(cifar10_data_dir)).images / 255
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), cifar._MEAN, atol=0.01)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2)), cifar._DEVIATION, atol=0.01)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_weight_has_a_gradient(name):
    model = tasks.build(name).build_model()
    with tf.GradientTape() as tape:
        logits = model(random_images(4, 32).astype(np.float32) / 255, training=True)
        loss = tf.keras.losses.sparse_categorical_crossentropy([0, 1, 2, 3], logits, from_logits=True)
    gradients = tape.gradient(loss, model.trainable_weights)
    assert all(np.any(gradient) for gradient in gradients)


def test_missing_data_is_an_error_that_says_where(tmp_path, monkeypatch):
    import requests

    def refuse(*_, **__):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "head", refuse)
    with pytest.raises(DatasetError, match="(?s)cifar10.*data-dir"):
        tasks.build("vgg16", data_dir=str(tmp_path)).load("test")
