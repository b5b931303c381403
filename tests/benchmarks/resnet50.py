"""Measures the cost of a large model: Official Models' ResNet-50, made compressible, compressed and decoded.

    python tests/benchmarks/resnet50.py [algorithm ...]

Each algorithm runs in a process of its own. Prints seconds for each step, and the peak memory of the process
so far beyond its memory with the plain model, in multiples of the float32 weights.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", category=FutureWarning)


def peak() -> int:
    """Returns the size in bytes of the largest resident set of this process so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def timed(what: str, function: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = function()
    print(f"  {what:44}{time.perf_counter() - start:8.2f} s", flush=True)
    return result


def measure(name: str) -> None:
    from lambdapress.framework import algorithms, load, save, to_compressible
    from lambdapress.framework.surgery.computed_weights import computed_weights_of
    from lambdapress.tasks.official import OfficialTask

    overrides = {"task.model.backbone.resnet.model_id": 50, "task.model.num_classes": 1000}
    plain = OfficialTask("resnet_imagenet", overrides, "accuracy").build_model()
    float_bytes = 4 * plain.count_params()
    before = peak()
    print(f"{name}: {plain.count_params():,} parameters, {float_bytes / 1e6:.0f} MB as float32")

    def beyond(what: str) -> None:
        gc.collect()
        print(f"  {what:44}{(peak() - before) / float_bytes:8.2f} × the float weights", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.lpz"
        model = timed("making it compressible", lambda: to_compressible(plain, algorithms.build(name)))
        beyond("peak of memory beyond the plain model's")
        size = timed("compressing and writing", lambda: save(model, path))
        model = None
        beyond("peak so far")
        stored = timed("reading, as a compressed model", lambda: load(path, plain, decode="during"))
        computed_weights = computed_weights_of(stored)
        timed(
            f"decoding {len(computed_weights)} weights",
            lambda: [computed.compute().shape for computed in computed_weights],
        )
        beyond("peak so far")
        print(f"  {'size':44}{size / 1e6:8.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("algorithms", nargs="*", default=["power_law", "epr"])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in arguments.algorithms:
        if arguments.here:
            measure(name)
        else:
            subprocess.run([sys.executable, "-W", "ignore", __file__, "--here", name], check=True)


if __name__ == "__main__":
    main()
