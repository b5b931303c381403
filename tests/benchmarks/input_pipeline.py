"""Measures the cost of the input pipeline: feeds an epoch of mnist_classifier in three ways, in one run.

The ways are a tutorial's (`tfds.load`, a `map` per example), the task's own, and one batch repeated from
memory, which is as fast as any input can be. They are timed in turns, several times, after a warm-up; the
fastest time of each counts, and ratios are printed. Needs MNIST (see `TFDS_DATA_DIR`):

    python tests/benchmarks/input_pipeline.py [--steps 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore", FutureWarning)

import tensorflow as tf
import tensorflow_datasets as tfds

import lambdapress.tasks  # noqa: F401
from lambdapress.framework.task import tasks

BATCH = 128


def per_example() -> tf.data.Dataset:
    """Makes the tutorial's pipeline, with TFDS's own cache of the encoded examples."""

    def normalise(image, label):
        return tf.cast(image, tf.float32) / 255.0, label

    data = tfds.load("mnist", split="train", shuffle_files=True, as_supervised=True)
    return data.map(normalise).repeat().batch(BATCH).prefetch(8)


def ours() -> tf.data.Dataset:
    return tasks.build("mnist_classifier").train_data().repeat().prefetch(4)


def same_batch() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(next(iter(ours()))).repeat()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100, help="training steps timed at a time")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    model = tasks.build("mnist_classifier").build_model()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"], steps_per_execution=8)
    iterators = {"per-example map": per_example(), "this project": ours(), "same batch": same_batch()}
    iterators = {name: iter(data) for name, data in iterators.items()}
    best = {name: {} for name in iterators}
    for round_ in range(arguments.rounds + 1):  # the first round warms up and is not counted
        for name, iterator in iterators.items():
            wall, cpu = time.perf_counter(), time.process_time()
            model.fit(iterator, steps_per_epoch=arguments.steps, verbose=0)
            spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
            if round_:
                best[name] = {key: min(value, best[name].get(key, value)) for key, value in spent.items()}
    bound = best["same batch"]
    epoch = 60000 / BATCH / arguments.steps
    print(f"{'input':<16} {'wall s/epoch':>13} {'cpu s/epoch':>12} {'wall ratio':>11} {'cpu ratio':>10}")
    for name, spent in best.items():
        print(
            f"{name:<16} {spent['wall'] * epoch:>13.2f} {spent['cpu'] * epoch:>12.2f} "
            f"{spent['wall'] / bound['wall']:>11.2f} {spent['cpu'] / bound['cpu']:>10.2f}"
        )


if __name__ == "__main__":
    main()
