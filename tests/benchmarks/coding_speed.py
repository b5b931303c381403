"""Measures how fast weights are encoded and decoded on one core.

    python tests/benchmarks/coding_speed.py [--weights 20000000]

Prints millions of weights per second for each algorithm's `encode` and `decode` of one dense kernel whose
latents are mostly zeros. It also prints the bits per weight next to the entropy of the integers.
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

from lambdapress.framework import WeightSpec, algorithms

STEP = 2.0**-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    random = np.random.default_rng(0)
    spec = WeightSpec("kernel", (arguments.weights // 1000, 1000), "float32", "kernel")
    print(f"{'algorithm':12}{'nonzero':>9}{'encode M/s':>12}{'decode M/s':>12}{'bits':>8}{'entropy':>9}")
    for density in (0.005, 0.03, 0.1, 0.3):
        integers = np.where(random.random(spec.shape) < density, np.rint(random.laplace(0, 2, spec.shape)), 0)
        share = np.unique(integers, return_counts=True)[1] / spec.size
        for name in ("power_law", "epr"):
            algorithm = algorithms.get(name)(log_step=float(np.log(STEP)))
            step = float(algorithm.step(algorithm.init(tf.zeros((1, 1)), spec))[0, 0])
            weight = tf.constant(integers.astype(np.float32) * step)
            variables = algorithm.init(weight, spec)
            encode_seconds, decode_seconds = [], []
            for _ in range(arguments.rounds):
                start = time.perf_counter()
                encoded = algorithm.encode(variables, spec)
                encode_seconds.append(time.perf_counter() - start)
                start = time.perf_counter()
                decoded = algorithm.decode(encoded, spec)
                decode_seconds.append(time.perf_counter() - start)
            assert np.array_equal(decoded, algorithm.project(variables, spec))
            size = sum(
                len(t) if isinstance(t, bytes) else t.nbytes for t in (e.numpy() for e in encoded.values())
            )
            rates = [spec.size / min(s) / 1e6 for s in (encode_seconds, decode_seconds)]
            entropy = -(share * np.log2(share)).sum()
            print(
                f"{name:12}{np.count_nonzero(integers) / spec.size:>9.3f}{rates[0]:>12.1f}{rates[1]:>12.1f}"
                f"{8 * size / spec.size:>8.4f}{entropy:>9.4f}"
            )


if __name__ == "__main__":
    main()
