"""Prints bytes and latency of TensorFlow Lite files with builtin operations and with TensorFlow's own.

    python tests/benchmarks/lite_operations.py

Each network has equal dense layers, at `uniform`'s step for λ = 0.3 (about 1.5 bits a weight).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from lambdapress.sweeps.environment import quiet

quiet()

import numpy as np
import tensorflow as tf

from lambdapress.framework import algorithms, export_tflite, open_exported, to_compressed

k = tf.keras.layers
CALLS = 200


def main() -> None:
    print("| layers | weights each | builtin, bytes | select, bytes | ratio | latency, ratio |")
    print("| --: | --: | --: | --: | --: | --: |")
    for layers, width in [(1, 32), (1, 128), (1, 512), (8, 32), (8, 128), (8, 256), (8, 512), (32, 128)]:
        tf.keras.utils.set_random_seed(0)
        model = tf.keras.Sequential([tf.keras.Input((width,)), *(k.Dense(width) for _ in range(layers))])
        model = to_compressed(model, algorithms.build("uniform"), lmbda=0.3)
        with tempfile.TemporaryDirectory() as folder:
            paths = {ops: Path(folder) / f"{ops}.tflite" for ops in ("builtin", "select")}
            sizes = {ops: export_tflite(model, path, ops=ops) for ops, path in paths.items()}
            times = {ops: latency(path, width) for ops, path in paths.items()}
        print(
            f"| {layers} | {width * width:,} | {sizes['builtin']:,} | {sizes['select']:,} | "
            f"{sizes['select'] / sizes['builtin']:.2f}× | {times['select'] / times['builtin']:.1f}× |"
        )


def latency(path: Path, width: int) -> float:
    """Returns the median seconds of a call for one example on one thread."""
    predict, specs = open_exported(path, threads=1)
    inputs = {name: np.ones((1, width), np.float32) for name in specs}
    seconds = []
    for _ in range(CALLS):
        started = time.perf_counter()
        predict(inputs)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


if __name__ == "__main__":
    main()
