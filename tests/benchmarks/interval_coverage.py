"""Measures how often the 95% intervals of a table hold the truth, on simulated sweeps whose truth is known.

    python tests/benchmarks/interval_coverage.py [--repetitions 2000] [--seeds 3 5]

A simulated sweep has a baseline and two curves of five λ. A seed moves the metrics of all its trials together
(half a point), and each trial's metric and log-size on its own (a fifth of a point; 3%). Prints the share of
repetitions whose interval holds the true drop (paired by seed), and the true BD-rate and BD-metric.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from lambdapress.sweeps.results.comparison import compare
from lambdapress.sweeps.results.frames import complete
from lambdapress.sweeps.results.summary import summarise
from lambdapress.sweeps.statistics.curves import bd_delta

LMBDAS = (0.1, 0.2, 0.5, 1.0, 2.0)
SIZES = {"power_law": [9e3, 7e3, 5e3, 3.5e3, 2.5e3], "epr": [5e3, 3.9e3, 2.9e3, 2.1e3, 1.5e3]}
METRICS = {"power_law": [0.975, 0.97, 0.96, 0.945, 0.92], "epr": [0.974, 0.97, 0.961, 0.944, 0.915]}
BASELINE = 0.98


def simulate(random: np.random.Generator, seeds: int) -> pd.DataFrame:
    """Makes the frame of one sweep."""
    rows = []
    for seed in range(seeds):
        common = random.normal(scale=0.005)
        for algorithm, lmbda, size, metric in trials():
            noisy = metric + common + random.normal(scale=0.002)
            bytes_ = size * np.exp(random.normal(scale=0.03)) if algorithm != "none" else size
            rows.append((algorithm, lmbda, seed, bytes_, noisy))
    frame = pd.DataFrame(rows, columns=["algorithm", "lmbda", "seed", "size_bytes", "metric"])
    return complete(frame.assign(task="simulated", float_bytes=1e5, ratio=1e5 / frame["size_bytes"]))


def trials() -> list[tuple[str, float, float, float]]:
    curves = [
        (algorithm, *point)
        for algorithm in SIZES
        for point in zip(LMBDAS, SIZES[algorithm], METRICS[algorithm], strict=True)
    ]
    return [("none", 0.0, 1e5, BASELINE), *curves]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5])
    arguments = parser.parse_args()
    anchor, curve = ((SIZES[name], METRICS[name]) for name in ("power_law", "epr"))
    truth = bd_delta(anchor, curve)
    print(f"True BD-rate {truth.rate:+.4f}, BD-metric {truth.metric:+.5f}; 95% intervals hold the truth in:")
    for seeds in arguments.seeds:
        random, started = np.random.default_rng(seeds), time.perf_counter()
        held = {"drop, paired by seed": [], "BD-rate": [], "BD-metric": []}
        for _ in range(arguments.repetitions):
            frame = simulate(random, seeds)
            row = summarise(frame).set_index(["algorithm", "lmbda"]).loc[("epr", 1.0)]
            true_drop = BASELINE - METRICS["epr"][3]
            held["drop, paired by seed"].append(abs(row["metric_drop"] - true_drop) <= row["metric_drop_ci"])
            compared = compare(frame, "power_law").iloc[0]
            held["BD-rate"].append(abs(compared["bd_rate"] - truth.rate) <= compared["bd_rate_ci"])
            held["BD-metric"].append(abs(compared["bd_metric"] - truth.metric) <= compared["bd_metric_ci"])
        shares = "   ".join(f"{name} {np.mean(values):.1%}" for name, values in held.items())
        seconds = time.perf_counter() - started
        print(f"  {seeds} seeds: {shares}   ({arguments.repetitions:,} sweeps, {seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
