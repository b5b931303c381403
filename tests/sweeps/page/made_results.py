"""Writes folders of results that no training made, for the tests of reports."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from lambdapress.sweeps.results.schema import RESULT, SCHEMA


def result(
    task: str, algorithm: str, lmbda: float, seed: int, identity: str, **fields: Any
) -> dict[str, Any]:
    """Returns a finished trial's result, as `result.json` has it; `fields` replace its own."""
    rng = random.Random(identity)
    size = 150_000 if algorithm == "none" else 1 + int(20_000 * (1 + lmbda) ** -0.7 * rng.uniform(0.9, 1.1))
    accuracy = round(0.98 - (0 if algorithm == "none" else 0.004 * lmbda**0.7 * rng.uniform(0.8, 1.2)), 4)

    def metric(value: float, direction: str, unit: str) -> dict[str, Any]:
        return {
            "direction": direction,
            "unit": unit,
            "value": {"validation": value, "test": value},
            "constant": {"test": 0.1},
        }

    return {
        "schema": SCHEMA,
        "identity": identity,
        "task": task,
        "algorithm": algorithm,
        "lmbda": lmbda,
        "seed": seed,
        "status": "ok",
        "overrides": {},
        "versions": {"python": "3.11", "tensorflow": "2.14.1"},
        "environment": {"host": "vm", "threads": 2},
        "code": {},
        "attempts": 1,
        "parent": None,
        "error": None,
        "metric_name": "accuracy",
        "metrics": {
            "accuracy": metric(max(0.0, accuracy), "higher", "%"),
            "nll": metric(0.1 + 0.01 * lmbda, "lower", "nat"),
        },
        "metric_compressible": max(0.0, accuracy),
        "size_bytes": size,
        "coded_bytes": max(0, size - 100),
        "float_bytes": 150_000,
        "ratio": 150_000 / size,
        "estimated_bytes": None,
        "bits_per_weight": 8 * size / 37_500,
        "num_params": 37_500,
        "nonzeros": 5_000,
        "multiply_adds": 1_000_000,
        "weight_bytes": {f"layer_{i}/kernel": size // 10 for i in range(8)},
        "train_seconds": 3.0,
        "all_train_seconds": 3.0,
        "all_epochs": 3,
        "compress_seconds": 0.1,
        "evaluate_seconds": 0.1,
        **fields,
    }


def write(folder: Path, record: dict[str, Any], name: str | None = None) -> Path:
    """Writes a result into a trial's folder of its own, with a config and epochs, and returns it."""
    trial = folder / (name or f"trial-{record['identity']}")
    trial.mkdir(parents=True)
    (trial / RESULT).write_text(json.dumps(record), encoding="utf-8")
    config = f"made.epochs = 3\nmade.rate = {record['seed']}\n{record['algorithm']}.log_step = -4.0\n"
    (trial / "config.gin").write_text(config, encoding="utf-8")
    rows = "".join(f"{epoch},{1 / epoch},{0.9},{1000 / epoch},{record['lmbda']}\n" for epoch in (1, 2, 3))
    (trial / "epochs.csv").write_text("epoch,loss,accuracy,rate,lmbda\n" + rows, encoding="utf-8")
    return trial


def made_sweep(folder: Path, count: int, task: str = "made", seeds: int = 5) -> Path:
    """Writes a sweep of `count` trials: a baseline a seed, and two algorithms at λ and settings."""
    made = 0
    for seed in range(min(seeds, count)):
        write(folder, result(task, "none", 0.0, seed, f"{made:016x}"))
        made += 1
    setting = 0
    while made < count:
        for algorithm in ("epr", "power_law"):
            for lmbda in (0.1, 0.3, 1.0, 3.0, 10.0):
                for seed in range(seeds):
                    if made == count:
                        return folder
                    overrides = {"made.rate": setting} if setting else {}
                    write(folder, result(task, algorithm, lmbda, seed, f"{made:016x}", overrides=overrides))
                    made += 1
        setting += 1
    return folder
