"""Measures a training step of the compressible model against the plain model's, in one process.

    python tests/benchmarks/training_step.py [--rounds 7] [algorithm ...]

Prints, for three networks, milliseconds per step and the ratio to the plain model's step, as the median over
rounds in which the models take turns: machines are noisy, ratios within a round less so. The input is one
batch again and again, so only the step is measured. The first step is told apart: it traces the graph, and
XLA compiles.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", category=FutureWarning)

import numpy as np
import tensorflow as tf

from lambdapress.framework import algorithms, tasks, to_compressible

BATCH = 128


def mlp() -> tf.keras.Model:
    """Makes a perceptron with three hidden layers of 2,048 units: 10,020,874 parameters."""
    layers = [tf.keras.layers.Dense(2048, "relu") for _ in range(3)]
    return tf.keras.Sequential([tf.keras.Input((784,)), *layers, tf.keras.layers.Dense(10)], name="mlp_10m")


def step_of(model: tf.keras.Model):
    """Returns one training step of `model` as a function without arguments."""
    model.compile(
        tf.keras.optimizers.Adam(1e-4), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    images = tf.random.uniform((BATCH, *model.input_shape[1:]))
    labels = tf.random.uniform((BATCH,), 0, 10, tf.int32)
    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    step = model.make_train_function()
    return lambda: step(batches)


def seconds(step, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("algorithms", nargs="*", default=["power_law", "epr"])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    builders = [tasks.build("mnist_classifier").build_model, tasks.build("lenet5_caffe").build_model, mlp]
    header = (
        f"{'network':18}{'parameters':>12}  {'model':12}{'ms a step':>10}{'ratio':>8}{'first step (s)':>16}"
    )
    print(header)
    for build in builders:
        plain = build()
        steps = {"plain": step_of(plain)}
        for name in arguments.algorithms:
            steps[name] = step_of(to_compressible(plain, algorithms.build(name), lmbda=1.0))
        first = {name: seconds(step, 1) for name, step in steps.items()}
        for step in steps.values():
            seconds(step, 5)
        count = max(3, int(0.5 / seconds(steps["plain"], 3)))
        rounds = [
            {name: seconds(step, count) for name, step in steps.items()} for _ in range(arguments.rounds)
        ]
        for name in steps:
            ratio = np.median([r[name] / r["plain"] for r in rounds])
            milliseconds = 1e3 * np.median([r[name] for r in rounds])
            print(
                f"{plain.name:18}{plain.count_params():>12,}  {name:12}{milliseconds:>10.2f}{ratio:>8.2f}"
                f"{first[name]:>16.1f}"
            )


if __name__ == "__main__":
    main()
