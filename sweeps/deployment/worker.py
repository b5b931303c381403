"""Loads one exported file in a process of its own and times it; prints JSON.

    python -m lambdapress.sweeps.deployment.worker MODULE FORMAT PATH THREADS SECONDS BATCH [BATCH ...]

MODULE registers the export format FORMAT. THREADS 0 means as many as there are cores.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from ..environment import quiet

_FEWEST, _MOST = 5, 500  # timed calls for each batch size


def main(arguments: list[str]) -> None:
    quiet()
    import numpy as np
    import tensorflow as tf

    module, form, path = arguments[0], arguments[1], Path(arguments[2])
    threads, seconds = int(arguments[3]), float(arguments[4])
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    from ...framework import formats
    from .agreement import random_values

    importlib.import_module(module)
    opener = formats.get(form).open
    before = _start_of_peak()
    started = time.perf_counter()
    predict, specs = opener(path, threads or None)
    load_seconds = time.perf_counter() - started
    result: dict[str, Any] = {"load_seconds": load_seconds, "batches": {}}
    random = np.random.default_rng(0)
    for batch in map(int, arguments[5:]):
        inputs = {name: random_values(random, spec, batch) for name, spec in specs.items()}
        times = [_seconds(predict, inputs)]
        first = times[0]
        _seconds(predict, inputs)  # not timed: TensorFlow's second call is slow, too
        times = []
        deadline = time.perf_counter() + seconds
        while len(times) < _FEWEST or (time.perf_counter() < deadline and len(times) < _MOST):
            times.append(_seconds(predict, inputs))
        median, high = np.percentile(times, [50, 95])
        result["batches"][batch] = {"first": first, "median": float(median), "p95": float(high)}
        result.setdefault("peak_bytes", max(0, _peak() - before))  # after the first batch size
    print(json.dumps(result))


def _seconds(predict: Any, inputs: Any) -> float:
    started = time.perf_counter()
    predict(inputs)
    return time.perf_counter() - started


def _start_of_peak() -> int:
    """Returns the bytes resident now; the peak is measured from here on, where the system allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
    return _peak()


def _peak() -> int:
    """Returns the peak of resident memory in bytes."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
