"""Loads one exported file in a process of its own and times it; prints JSON.

    python -m lambdapress.sweeps.deployment_worker PATH THREADS SECONDS BATCH [BATCH ...]

THREADS of 0: as many as there are cores.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from .quiet import quiet

_FEWEST, _MOST = 5, 500  # timed calls a batch size


def main(arguments: list[str]) -> None:
    quiet()
    import numpy as np
    import tensorflow as tf

    path, threads, seconds = Path(arguments[0]), int(arguments[1]), float(arguments[2])
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    from .runtime import open_exported

    before = _start_of_peak()
    started = time.perf_counter()
    predict, specs = open_exported(path, threads or None)
    load_seconds = time.perf_counter() - started
    result: dict[str, Any] = {"load_seconds": load_seconds, "batches": {}}
    random = np.random.default_rng(0)
    for batch in map(int, arguments[3:]):
        inputs = {name: _values(random, spec, batch) for name, spec in specs.items()}
        times = [_seconds(predict, inputs)]
        first = times[0]
        _seconds(predict, inputs)  # TensorFlow's second call is slower than its others, too
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


def _values(random: Any, spec: Any, batch: int) -> Any:
    """Zeros and ones for integers, which every vocabulary has, and [0, 1) for floats."""
    shape = [batch if axis == 0 else size or 16 for axis, size in enumerate(spec.shape)]
    kind = spec.dtype.as_numpy_dtype
    return (
        random.integers(0, 2, shape).astype(kind)
        if spec.dtype.is_integer
        else random.random(shape).astype(kind)
    )


def _start_of_peak() -> int:
    """Bytes resident now; where the system allows it, the peak starts here."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
    return _peak()


def _peak() -> int:
    """The most bytes that were resident."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
