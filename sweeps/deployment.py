"""Every way to deploy a trial's model, measured: bytes, latency, memory, metric."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from ..framework.container import ARTEFACT
from . import exports
from .exports import FORMATS, Format, PathLike

if TYPE_CHECKING:
    import pandas as pd

BATCHES = (1, 32)


class BenchmarkError(RuntimeError):
    """A measurement that could not be taken."""


def benchmark(
    directory: PathLike,
    formats: Sequence[Format] = FORMATS,
    seconds: float = 2.0,
    evaluate: bool = True,
    data_dir: Optional[PathLike] = None,
    report: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Exports a trial's model in every format, and measures each file in processes of its own.

    Args:
      directory: of the trial.
      formats: which.
      seconds: how long each latency is measured.
      evaluate: whether the task's metric is taken of each file.
      data_dir: as for a sweep.
      report: told what is being done.

    Returns:
      A row for the container and one for each format and number of threads (1, and all), with columns
      `format`, `decode`, `threads`, `bytes`, `zipped_bytes`, `load_seconds`, `peak_bytes` (resident memory
      beyond what the process took before it opened the file, at batch 1), `metric`, and for each batch size
      `b1_first`, `b1_median`, `b1_p95` (seconds) and `b1_ratio` (median over that of plain weights in the
      same kind of file). A format that cannot hold the model has the reason as `error`, and no numbers.

    Raises:
      FileNotFoundError, ConfigError, ContainerError: as `exports.trial_model`.
      BenchmarkError: where a measuring process dies.
    """
    import pandas as pd

    from ..framework import ExportError
    from .runtime import Served

    rows: list[dict[str, Any]] = []
    with exports.trial_model(directory, data_dir) as (task, model), tempfile.TemporaryDirectory() as folder:
        container = Path(directory) / ARTEFACT
        report("container")
        rows.append(
            {
                "format": "container",
                "decode": "",
                "bytes": exports.size_of(container),
                "zipped_bytes": exports.zipped_size(container),
                "metric": task.evaluate(model) if evaluate else None,
            }
        )
        for form in formats:
            row: dict[str, Any] = {"format": form.kind, "decode": str(form).partition(" ")[2]}
            path = Path(folder) / form.file_name
            report(str(form))
            try:
                form.write(model, path)
            except ExportError as error:
                rows.append({**row, "error": str(error)})
                continue
            row |= {"bytes": exports.size_of(path), "zipped_bytes": exports.zipped_size(path)}
            if evaluate:
                row["metric"] = task.evaluate(Served(path, model))
            for threads in dict.fromkeys((1, os.cpu_count() or 1)):
                report(f"{form}, {threads} thread{'s' * (threads > 1)}")
                rows.append({**row, "threads": threads, **measure(path, threads, seconds)})
    frame = pd.DataFrame(rows)
    return _with_ratios(frame)


def measure(path: Path, threads: int, seconds: float) -> dict[str, float]:
    """Times and peak memory of one file in a fresh process; see `benchmark` for the names.

    Raises:
      BenchmarkError: where that process fails.
    """
    command = [
        sys.executable,
        "-m",
        f"{__package__}.deployment_worker",
        str(path),
        str(threads),
        str(seconds),
    ]
    done = subprocess.run(
        [*command, *map(str, BATCHES)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(threads)},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchmarkError(f"Measuring {path.name} with {threads} threads failed: {last}")
    measured = json.loads(done.stdout.splitlines()[-1])
    row = {"load_seconds": measured["load_seconds"], "peak_bytes": measured["peak_bytes"]}
    for batch, times in measured["batches"].items():
        row.update({f"b{batch}_{name}": value for name, value in times.items()})
    return row


def _with_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds each median over that of the same kind of file, with as many threads, that decodes before."""
    if "threads" not in frame:
        return frame
    plain = frame[frame["decode"] == "before"].set_index(["format", "threads"])
    for batch in BATCHES:
        column = f"b{batch}_median"
        frame[f"b{batch}_ratio"] = [
            row[column] / plain[column].get((row["format"], row["threads"]), float("nan"))
            for _, row in frame.iterrows()
        ]
    return frame
