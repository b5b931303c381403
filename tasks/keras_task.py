"""Trains classifiers, mostly of images, by Keras with softmax cross-entropy."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from ..framework.task import TEST, VALIDATION, Evaluation, Metric, Task
from ..framework.training.checkpoint import Checkpoint
from .classification import METRICS, classification
from .datasets import Split
from .optimization import Recipe
from .precision import PRECISIONS, in_own_precision, loss_scaled

# Images evaluated at a time: as many as memory allows easily, since a compressed model decodes on each call.
_EVALUATION_BATCH = 1000

# Op seed of the shuffle. A constant, so that the order of the data follows from the global seed alone and
# not from how many random numbers were drawn before.
_SHUFFLE_SEED = 0
_AUGMENT_SEED = 1  # likewise, for the seeds that augmentation gets
_HELD_OUT_SEED = 0  # the held-out examples are part of the task: the same for every trial and seed

Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def batches(
    split: Split,
    max_value: float | None,
    batch_size: int,
    shuffle: bool,
    augment: Augment | None = None,
    first_epoch: int | None = None,
    indices: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Returns the split as `(image, label)` batches, gathered and normalised a batch at a time.

    Args:
      split: the examples, kept as they are (one byte per pixel).
      max_value: the value of a white pixel, which becomes 1. None leaves the values and their dtype as they
        are, for inputs that are not images.
      batch_size: examples per batch. The last batch of an epoch may be smaller: no example is left out.
      shuffle: whether each pass takes a new order, drawn from TensorFlow's global seed.
      augment: `augment(images, seed)` changes a batch of images, uint8 before and after. `seed`, int64 of
        shape (2,), differs for each batch and each pass, and is drawn from TensorFlow's global seed.
      first_epoch: None for one pass over the examples. A number makes the dataset endless: one epoch after
        the other, without the first `first_epoch` ones; their orders are drawn but their images are not read.
      indices: of the examples to take, int64 of shape (n,); None takes all.

    Returns:
      A dataset, of known cardinality if it is one pass, with images float32 in [0, 1] of shape (batch,
      height, width, channels) and labels int64 of shape (batch,).
    """
    examples = len(split.labels) if indices is None else len(indices)
    with tf.device("CPU"):
        images, labels = tf.constant(split.images), tf.constant(split.labels)
        order = (
            tf.data.Dataset.range(examples)
            if indices is None
            else tf.data.Dataset.from_tensor_slices(indices)
        )
    if shuffle:
        order = order.shuffle(examples, seed=_SHUFFLE_SEED, reshuffle_each_iteration=True)

    def gather(index: tf.Tensor, seed: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.gather(images, index)
        if augment is not None:
            image = augment(image, seed)
        if max_value is not None:
            image = tf.cast(image, tf.float32) / max_value
        return image, tf.gather(labels, index)

    options = tf.data.Options()
    options.autotune.enabled = False  # One thread ahead of the training loop is enough: see the benchmark.
    # The arrays are in this process, whole: there are no files to share out among tf.distribute's workers.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    data = order.batch(batch_size)
    if augment is not None:
        seeds = tf.data.Dataset.random(_AUGMENT_SEED, rerandomize_each_iteration=True).batch(2)
        data = tf.data.Dataset.zip((data, seeds))
    if first_epoch is not None:
        # One endless iterator: making one per epoch costs as much as a small task's whole input.
        data = data.repeat().skip(first_epoch * math.ceil(examples / batch_size))
    return data.map(gather).with_options(options)


@functools.lru_cache(maxsize=8)
def held_out(examples: int, validation: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits the positions of training examples into those to train on and those to choose on.

    Args:
      examples: number of training examples.
      validation: number of those to hold out: the first ones of a fixed permutation, so that fewer are a part
        of more.

    Returns:
      Positions in [0, examples), each int64 and increasing: to train on, and held out.
    """
    order = np.random.default_rng(_HELD_OUT_SEED).permutation(examples)
    return np.sort(order[validation:]), np.sort(order[:validation])


@dataclasses.dataclass(frozen=True)
class KerasTask(Recipe, Task):
    """Base of the tasks that Keras trains, by Adam if nothing is said; a subclass gives its data and model.

    `Recipe` has the attributes of the optimizer, the learning rate and the loss. Rates settle only under a
    decayed learning rate.

    Attributes:
      epochs: passes over the training split.
      batch_size: examples per training step.
      precision: `float32`, `mixed_bfloat16` or `mixed_float16` (with loss scaling): in which Keras computes
        the layers of models that `build_model` builds. Weights, latents, steps, priors, the rate, logits and
        the loss are float32 in each.
      steps_per_execution: training steps run in one call of the training graph. Callbacks' batch hooks
        run at this granularity; more steps cost less Python.
      validation_examples: how many examples of the training split are held out to choose on, always the same
        ones (see `held_out`). 0 trains on all of them, and λ is then chosen on the test split.
      data_dir: folder of prepared TensorFlow Datasets; None takes `TFDS_DATA_DIR`, else TFDS's default.
        Tasks whose data is embedded do not use it.

    Class attributes:
      max_value: the pixel value that becomes 1. None: inputs are not images, and stay as they are.
      augment: a static method that changes each training batch (see `batches`); None changes nothing.
    """

    metrics: ClassVar[Sequence[Metric]] = METRICS
    max_value: ClassVar[float | None] = 255.0
    augment: ClassVar[Augment | None] = None

    epochs: int = 10
    batch_size: int = 128
    steps_per_execution: int = 8
    validation_examples: int = 0
    data_dir: str | None = None
    precision: str = PRECISIONS[0]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "build_model" in vars(cls):
            built: Any = in_own_precision(cls.build_model)
            cls.build_model = built

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("epochs", "batch_size", "steps_per_execution"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{self.name}.{field} must be an integer of at least 1, got {value!r}.")
        held = self.validation_examples
        if isinstance(held, bool) or not isinstance(held, int) or held < 0:
            raise ValueError(
                f"{self.name}.validation_examples must be an integer of at least 0, "
                f"got {self.validation_examples!r}."
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"{self.name}.precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}."
            )

    @abc.abstractmethod
    def load(self, split: str) -> Split:
        """Returns all examples that the benchmark has to train on, `train`, or to test on, `test`."""

    def examples(self, split: str) -> Split:
        """Returns the examples of a split: `train` without those held out, `validation` or `test`.

        Raises:
          ValueError: for another split, or `validation` where nothing is held out.
        """
        if split == "test":
            return self.load("test")
        whole = self.load("train")
        parts = dict(zip(("train", "validation"), self._held_out(whole), strict=True))
        if split not in parts:
            raise ValueError(f"split is train, validation or test, got {split!r}.")
        if not len(parts[split]):
            raise ValueError(f"{self.name} has no {split} examples: {self.name}.validation_examples is 0.")
        return Split(*(array[parts[split]] for array in whole))

    def _held_out(self, whole: Split) -> tuple[np.ndarray, np.ndarray]:
        examples = len(whole.labels)
        if self.validation_examples >= examples:
            raise ValueError(
                f"{self.name}.validation_examples is {self.validation_examples:,}; there are {examples:,} "
                "training examples, and some must be left to train on."
            )
        return held_out(examples, self.validation_examples)

    def train_data(self, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns endless training batches from epoch `first_epoch` on; each epoch has its own order."""
        whole = self.load("train")
        return batches(
            whole,
            self.max_value,
            self.batch_size,
            shuffle=True,
            augment=self.augment,
            first_epoch=first_epoch,
            indices=self._held_out(whole)[0],
        )

    def train(
        self,
        model: tf.keras.Model,
        callbacks: Sequence[tf.keras.callbacks.Callback] = (),
        checkpoint_dir: Path | None = None,
    ) -> None:
        """Compiles and fits `model` in place, under the strategy it was made in.

        Args:
          model: maps images, float32 in [0, 1], or other inputs of `load`, to logits, (batch, classes).
          callbacks: passed to Keras.
          checkpoint_dir: where a checkpoint is saved at the end of each epoch, and looked for at the start.

        Raises:
          CheckpointError: see `Task.train`.
        """
        examples = len(self._held_out(self.load("train"))[0])
        steps = math.ceil(examples / self.batch_size)
        with model.distribute_strategy.scope():  # Where Keras wants the optimizer's variables.
            model.compile(
                optimizer=loss_scaled(self.make_optimizer(model, self.epochs * steps), self.precision),
                loss=self.loss(),
                metrics=["accuracy"],
                steps_per_execution=min(self.steps_per_execution, steps),
            )
        callbacks, done = list(callbacks), 0
        if checkpoint_dir is not None:
            checkpoint = Checkpoint(model, checkpoint_dir)
            done = checkpoint.restore()
            callbacks.append(checkpoint)
        model.fit(
            self.train_data(done).prefetch(4),
            initial_epoch=done,
            epochs=self.epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=0,
        )

    @property
    def splits(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`test`, and `validation` where examples are held out."""
        return (VALIDATION, TEST) if self.validation_examples else (TEST,)

    def evaluate(self, model: tf.keras.Model, split: str = TEST) -> Evaluation:
        """Measures top-1 and top-5 accuracy and the cross-entropy over all examples of a split.

        Works for models that were never compiled, and does not change the model.

        Raises:
          ValueError: as `examples`.
        """
        parts = list(self.predictions(model, split))
        logits, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        return classification(logits, labels)

    def predictions(self, model: tf.keras.Model, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the model's outputs and the labels, some examples at a time."""
        data = batches(self.examples(split), self.max_value, _EVALUATION_BATCH, shuffle=False)

        def predict(images: tf.Tensor) -> tf.Tensor:
            return model(images, training=False)

        # A concrete function, since TensorFlow warns of retracing where a process evaluates many models.
        compiled: Any = tf.function(predict)
        spec: Any = data.element_spec
        predict_batch = compiled.get_concrete_function(spec[0])
        for images, labels in data:
            yield predict_batch(images).numpy(), labels.numpy()
