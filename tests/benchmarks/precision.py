"""Measures a training step in each precision, with oneDNN's kernels and without, and under determinism.

    python tests/benchmarks/precision.py [--networks vgg16 resnet20 …] [--algorithm none] [--rounds 2]

Each line is a process of its own, since TensorFlow decides about oneDNN when it is imported. A step is one of
the task's own training (Adam, batches of 128) on one batch again and again. The fastest round counts: other
work on the machine only adds. Without oneDNN, float32 in particular says what a default cost that others had.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

NETWORKS = ("vgg16", "resnet20", "lenet5_caffe")
ROWS = (  # precision, oneDNN, deterministic operations
    ("mixed_bfloat16", 1, 0),
    ("mixed_bfloat16", 1, 1),
    ("float32", 1, 0),
    ("float32", 1, 1),
    ("float32", 0, 0),
    ("mixed_bfloat16", 0, 0),
)
SECONDS = 4.0  # of one round


def measure(network: str, algorithm: str, precision: str, deterministic: bool, rounds: int) -> float:
    """Returns seconds of a training step."""
    import tensorflow as tf

    import lambdapress.tasks  # noqa: F401
    from lambdapress.framework import algorithms, set_seeds, to_compressible
    from lambdapress.framework.task import tasks

    set_seeds(0, deterministic=deterministic)
    task = tasks.build(network, precision=precision)
    model = to_compressible(task.build_model(), algorithms.build(algorithm), lmbda=1.0)
    model.compile(task.make_optimizer(model, 1000), task.loss())
    batch = tf.random.uniform((128, *model.input_shape[1:])), tf.random.uniform((128,), 0, 10, tf.int64)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    step = model.make_train_function()

    def seconds(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step(batches)
        return (time.perf_counter() - start) / count

    seconds(1)
    once = seconds(1)
    if once > SECONDS:
        return once
    count = min(200, round(SECONDS / once))
    return min(once, *(seconds(count) for _ in range(rounds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--algorithm", default="none")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)  # network, precision, deterministic
    arguments = parser.parse_args()
    if arguments.row:
        network, precision, deterministic = arguments.row
        print(measure(network, arguments.algorithm, precision, deterministic == "1", arguments.rounds))
        return
    print(f"{'network':14}{'algorithm':12}{'precision':16}{'oneDNN':>8}{'deterministic':>15}{'s a step':>10}")
    for network in arguments.networks:
        for precision, onednn, deterministic in ROWS:
            command = [sys.executable, __file__, "--row", network, precision, str(deterministic)]
            command += ["--algorithm", arguments.algorithm, "--rounds", str(arguments.rounds)]
            own = {"TF_ENABLE_ONEDNN_OPTS": str(onednn), "TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(
                command, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True, check=True
            )
            words = ("off", "on")[onednn], ("no", "yes")[deterministic]
            print(
                f"{network:14}{arguments.algorithm:12}{precision:16}{words[0]:>8}{words[1]:>15}"
                f"{float(done.stdout.split()[-1]):>10.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
