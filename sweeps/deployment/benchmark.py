"""Exports a trial's model in every format, and measures bytes, latency, memory and metric."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...framework.atomic import PathLike
from ...framework.errors import LambdapressError
from ...framework.messages import alternatives
from ..gin.user_modules import imported
from ..trial.trial import ARTEFACT
from ..worker_process import Death, Worker
from .agreement import difference, expected_of
from .trial_model import size_of, trial_model, zipped_size

if TYPE_CHECKING:
    import pandas as pd

    from ...framework import ExportFormat, Task

BATCHES = (1, 32)


class BenchmarkError(LambdapressError, RuntimeError):
    """A measurement failed."""


def benchmark(
    directory: PathLike,
    formats: Sequence[ExportFormat] | None = None,
    seconds: float = 2.0,
    evaluate: bool = True,
    data_dir: PathLike | None = None,
    report: Callable[[str], None] = lambda text: None,
    metric: str | None = None,
) -> pd.DataFrame:
    """Exports a trial's model in every format, and measures each file in processes of its own.

    Args:
      directory: the trial's folder.
      formats: the formats to measure; None: the variants that each registered format names.
      seconds: how long each latency is measured.
      evaluate: whether the task's metric is measured for each file.
      data_dir: sets `TFDS_DATA_DIR` for the measurement.
      report: called with a short text before each step.
      metric: name of the metric to measure; None: the task's main one.

    Returns:
      A row for the container and one for each format and number of threads (1, and all), with columns
      `format`, `decode`, `threads`, `bytes`, `zipped_bytes`, `load_seconds`, `peak_bytes` (resident memory
      beyond that of the process before it opened the file, at batch 1), `metric` (on the task's
      reported split), `difference` (of outputs from the model's, relative to the largest, on random
      inputs), and for each batch size
      `b1_first`, `b1_median`, `b1_p95` (seconds) and `b1_ratio` (median divided by that of plain weights
      in the same kind of file). A format that cannot hold the model has the reason as `error` and no numbers,
      and a file that cannot be measured, or computes something else than the model, has it in place of times.

    Raises:
      FileNotFoundError, ConfigError, ContainerError: as `trial_model`.
      BenchmarkError: where the task does not measure `metric`.
    """
    import pandas as pd

    from ...framework import ExportError
    from ...framework.export.formats import all_measured

    rows: list[dict[str, Any]] = []
    evaluator = Worker(_examine, LambdapressError)
    with (
        trial_model(directory, data_dir) as (task, model),
        tempfile.TemporaryDirectory() as folder,
        contextlib.ExitStack() as exits,
    ):
        exits.callback(evaluator.stop)
        container = Path(directory) / ARTEFACT
        report("container")
        rows.append(
            {
                "format": "container",
                "decode": "",
                "bytes": size_of(container),
                "zipped_bytes": zipped_size(container),
                "metric": _metric(task, model, metric) if evaluate else None,
            }
        )
        expected = expected_of(model)
        for form in all_measured() if formats is None else formats:
            row: dict[str, Any] = {"format": form.name, "decode": form.variant}
            path = Path(folder) / form.file_name
            report(str(form))
            try:
                form.write(model, path)
            except ExportError as error:
                rows.append({**row, "error": str(error)})
                continue
            row |= {"bytes": size_of(path), "zipped_bytes": zipped_size(path)}
            modules = (*imported(), type(form).__module__)
            evaluation = (directory, data_dir, metric) if evaluate else None
            try:
                value = evaluator.call((modules, path, expected, evaluation))
            except LambdapressError as error:
                rows.append({**row, "error": str(error)})
                continue
            if isinstance(value, Death):
                rows.append({**row, "error": f"Evaluating {path.name} failed: its process ended {value}."})
                continue
            row |= value
            for threads in dict.fromkeys((1, os.cpu_count() or 1)):
                report(f"{form}, {threads} thread{'s' * (threads > 1)}")
                try:
                    measured = time_file(path, threads, seconds, form.name)
                except BenchmarkError as error:  # the other files can be measured
                    measured = {"error": str(error)}
                rows.append({**row, "threads": threads, **measured})
    frame = pd.DataFrame(rows)
    return _with_ratios(frame)


def _examine(arguments: tuple[Sequence[str], Path, Any, Any]) -> dict[str, float]:
    """Compares an exported file with its model, and evaluates it; in a worker, which native code may end."""
    from .runtime import Served

    modules, path, expected, evaluation = arguments
    for module in modules:
        importlib.import_module(module)
    row = {"difference": difference(path, *expected)}
    if evaluation is not None:
        directory, data_dir, metric = evaluation
        with trial_model(directory, data_dir) as (task, model):
            row["metric"] = _metric(task, Served(path, model), metric)
    return row


def _metric(task: Task, model: Any, name: str | None) -> float:
    from ...framework.task import reported_split

    values = task.evaluate(model, reported_split(task)).values
    name = name or task.metrics[0].name
    if name not in values:
        known = alternatives(name, sorted(values))
        raise BenchmarkError(f"--metric {name!r}: the task {task.name!r} does not measure it ({known}).")
    return values[name]


def time_file(path: Path, threads: int, seconds: float, form: str) -> dict[str, float]:
    """Measures the times and the peak memory of one file in a new process; see `benchmark` for the names.

    Args:
      path: the file or folder.
      threads: number of threads to predict with.
      seconds: how long each latency is measured.
      form: name of the export format.

    Raises:
      BenchmarkError: where that process fails.
    """
    from ...framework import formats

    command = [
        sys.executable,
        "-m",
        f"{__package__}.worker",
        formats.get(form).__module__,
        form,
        str(path),
        str(threads),
        str(seconds),
    ]
    done = subprocess.run(
        [*command, *map(str, BATCHES)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # a user's own format is found there
        },
    )
    if done.returncode:
        death = Death.of(done.returncode, done.stderr)
        raise BenchmarkError(
            f"Measuring {path.name} with {threads} threads failed: its process ended {death}."
        )
    measured = json.loads(done.stdout.splitlines()[-1])
    row = {"load_seconds": measured["load_seconds"], "peak_bytes": measured["peak_bytes"]}
    for batch, times in measured["batches"].items():
        row.update({f"b{batch}_{name}": value for name, value in times.items()})
    return row


def _with_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds each median divided by that of plain weights, in the same format with as many threads."""
    if "threads" not in frame:
        return frame
    plain = frame[frame["decode"] == "before"].set_index(["format", "threads"])
    for batch in BATCHES:
        column = f"b{batch}_median"
        if column not in frame:  # no file could be measured
            continue
        frame[f"b{batch}_ratio"] = [
            row[column] / plain[column].get((row["format"], row["threads"]), float("nan"))
            for _, row in frame.iterrows()
        ]
    return frame
