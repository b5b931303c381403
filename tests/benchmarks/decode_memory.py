"""Measures the peak memory of decoding while a model runs, by its number of layers.

    python tests/benchmarks/decode_memory.py

A model of equal dense layers is exported in every format, and each file is run in a fresh process. Plain
weights take memory for every layer; weights that are decoded on each call should take it for one layer at a
time, in addition to their codes. Prints the peak beyond the idle process, and how much one more layer adds to
it, in layers.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from lambdapress.framework import algorithms, to_compressed
from lambdapress.framework.export.formats import all_measured
from lambdapress.sweeps.deployment.benchmark import time_file
from lambdapress.sweeps.deployment.trial_model import size_of


def network(layers: int, width: int, nonzero: float) -> tf.keras.Model:
    """Makes dense layers with sparse kernels, as compression leaves them."""
    rng = np.random.default_rng(0)
    model = tf.keras.Sequential([tf.keras.Input((width,))])
    for _ in range(layers):
        model.add(tf.keras.layers.Dense(width, "relu", use_bias=False))
        kernel = rng.normal(scale=0.1, size=(width, width)) * (rng.random((width, width)) < nonzero)
        model.layers[-1].kernel.assign(kernel)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--nonzero", type=float, default=0.02)
    arguments = parser.parse_args()
    one = 4 * arguments.width**2
    print(f"A layer's weights: {one / 1e6:.1f} MB of floats, {arguments.nonzero:.0%} not zero.")
    print(
        f"{'format':34}"
        + "".join(f"{n:>4} layers: file, peak MB" for n in arguments.layers)
        + "   a layer more"
    )
    for form in all_measured():
        peaks, cells = [], []
        for layers in arguments.layers:
            plain = network(layers, arguments.width, arguments.nonzero)
            model = to_compressed(plain, algorithms.build("power_law"))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / form.file_name
                form.write(model, path)
                peaks.append(time_file(path, threads=1, seconds=0.5, form=form.name)["peak_bytes"])
                cells.append(f"{size_of(path) / 1e6:14.1f} {peaks[-1] / 1e6:9.0f}")
        more = (peaks[-1] - peaks[0]) / (arguments.layers[-1] - arguments.layers[0]) / one
        print(f"{form!s:34}" + " ".join(cells) + f"   {more:8.2f}×", flush=True)


if __name__ == "__main__":
    main()
