"""Measures if structured sparsity pays at inference: pruned and dense models in TensorFlow Lite, one thread.

Prunes the kernels of a perceptron of 1024 units, and of 1×1 convolutions, by `pruning`, in patterns that
TensorFlow Lite has kernels for, converts each with and without `EXPERIMENTAL_SPARSITY`, and prints the time
of a call and the file's size. Models are timed in turns, and the least of many calls counts, since
other work on the machine only adds to it.

    python tests/benchmarks/sparse_inference.py
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from lambdapress.framework import algorithms, to_compressible, to_plain

UNITS, LAYERS, ROUNDS, CALLS = 1024, 4, 20, 20
CASES = [("dense", None, None)]
CASES += [
    (f"{pattern} at {sparsity:.0%}", pattern, sparsity)
    for pattern in ("unstructured", "4x1", "16x1")
    for sparsity in (0.8, 0.95)
]
CASES += [("2:4", "2:4", None)]


def network() -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.layers.Dense(UNITS, "relu") for _ in range(LAYERS)]
    return tf.keras.Sequential([tf.keras.Input((UNITS,), batch_size=1), *layers])


def convolutions() -> tf.keras.Model:
    """Makes a model of 1×1 convolutions, for which XNNPACK has sparse kernels."""
    tf.keras.utils.set_random_seed(0)
    stem = tf.keras.layers.Conv2D(64, 3, 2, "same", activation="relu")
    layers = [tf.keras.layers.Conv2D(256, 1, activation="relu") for _ in range(LAYERS)]
    pool = tf.keras.layers.GlobalAveragePooling2D(keepdims=True)
    return tf.keras.Sequential([tf.keras.Input((64, 64, 3), batch_size=1), stem, *layers, pool])


def pruned(model: tf.keras.Model, pattern: str, sparsity: float) -> tf.keras.Model:
    algorithm = algorithms.build("pruning", pattern=pattern, sparsity=sparsity)
    rules = (
        [("^conv2d/", None), ("kernel", algorithm), (".*", None)] if "conv" in model.layers[0].name else None
    )
    return to_plain(to_compressible(model, rules or [("kernel", algorithm), (".*", None)]))


def converted(model: tf.keras.Model, sparse: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if sparse:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    return converter.convert()


class Timed:
    """Keeps a converted model and the shortest time of a call so far."""

    def __init__(self, content: bytes):
        self.size, self.seconds = len(content), np.inf
        self._interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        details = self._interpreter.get_input_details()[0]
        values = np.random.default_rng(0).normal(size=details["shape"]).astype(np.float32)
        self._interpreter.set_tensor(details["index"], values)

    def run(self) -> None:
        for _ in range(CALLS):
            started = time.perf_counter()
            self._interpreter.invoke()
            self.seconds = min(self.seconds, time.perf_counter() - started)


def main() -> None:
    for build in (network, convolutions):
        timed = {}
        for name, pattern, sparsity in CASES:
            model = pruned(build(), pattern, sparsity) if pattern else build()
            for sparse in (False, True) if pattern else (False,):
                timed[name + (", sparse kernels" if sparse else "")] = Timed(converted(model, sparse))
        for _ in range(ROUNDS):
            for one in timed.values():
                one.run()
        print(f"\n{build.__name__}: ms a call, to dense; MB")
        for name, one in timed.items():
            speed = timed["dense"].seconds / one.seconds
            print(f"  {name:36} {1e3 * one.seconds:7.3f} ms  {speed:5.2f}×  {one.size / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()
