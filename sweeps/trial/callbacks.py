"""Watches a trial while Keras trains it: progress, divergence, time, λ's warm-up, what it is worth."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from ...framework import LmbdaWarmup
from ...framework.atomic import write_json
from ...framework.errors import LambdapressError
from ...framework.surgery.private import other_randomness
from ...framework.task import VALIDATION, Evaluation, Task, main_value, reported_split
from ...framework.training.checkpoint import CheckpointError
from ..measurement.model_facts import bytes_so_far
from ..results.schema import ResultError
from ..results.traces import Finished, Stop, Trace, beaten_at, read_trace
from .trial import Report, Trial

REPORT_SECONDS = 0.25


class Watch(tf.keras.callbacks.Callback):
    """Reports the progress of training, at most four times a second, and stops it once it diverges.

    Raises (out of `fit`):
      FloatingPointError: naming the epoch, the first time a reported loss or metric is NaN or infinite.
    """

    _supports_tf_logs = True  # Keras then leaves the logs on the device until they are read

    def __init__(self, report: Report):
        super().__init__()
        self._report = report
        self._epoch = 0
        self._next = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if time.monotonic() >= self._next:
            self._look(batch + 1, logs or {})
            self._next = time.monotonic() + REPORT_SECONDS

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._look(self.params.get("steps") or 0, logs or {})

    def _look(self, step: int, logs: Mapping[str, Any]) -> None:
        values = {name: float(value) for name, value in logs.items()}
        epochs = self.params["epochs"]
        for name, value in values.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"Diverged: {name} is {value} in epoch {self._epoch + 1} of {epochs}."
                )
        self._report(
            {
                "stage": "train",
                "epoch": self._epoch + 1,
                "epochs": epochs,
                "step": step,
                "steps": self.params.get("steps") or 0,
                "loss": values.get("loss"),
            }
        )


class Clock(tf.keras.callbacks.Callback):
    """Measures how long a model trains, including the earlier attempts that it goes on from.

    The clock starts when it is made. Time lost with a process that was killed in the middle of an epoch does
    not count: that epoch is trained again.
    """

    _supports_tf_logs = True

    def __init__(self, path: Path):
        """Starts the clock.

        Args:
          path: a JSON file that holds the seconds by number of epochs done.

        Raises:
          CheckpointError: for a file that is damaged.
        """
        super().__init__()
        self._path = path
        self._started = time.perf_counter()
        self._before: float | None = None
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            self._seconds = {int(done): float(seconds) for done, seconds in known.items()}
        except FileNotFoundError:
            self._seconds = {}
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from error

    @property
    def seconds(self) -> float:
        """Seconds of training until now."""
        return (self._before or 0.0) + time.perf_counter() - self._started

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._go_on(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._seconds[epoch + 1] = self.seconds
        write_json(self._path, {str(done): seconds for done, seconds in self._seconds.items()}, durable=False)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._go_on(self.params["epochs"])  # if a checkpoint had all of them

    def _go_on(self, done: int) -> None:
        if self._before is None:
            self._before = self._seconds.get(done, 0.0)


class Warmup(LmbdaWarmup):
    """Raises λ as `LmbdaWarmup` does, over a fraction of the steps, known once training begins."""

    def __init__(self, fraction: float, lmbda: float, start: float = 0.0):
        super().__init__(0, lmbda, start)
        self._fraction = fraction

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.steps = round(self._fraction * self.params["epochs"] * self.params["steps"])
        super().on_train_begin(logs)


class StoppedError(LambdapressError, RuntimeError):
    """A finished trial was better at the same share of training; the message says which.

    Attributes:
      spent: the fields of a result that say what the training has taken.
    """

    spent: Mapping[str, Any] = {}


class Dominated(tf.keras.callbacks.Callback):
    """Writes what a trial has after each epoch, and stops it once a finished one beside it has beaten it.

    The metric is the main one, on the validation split, or the only split of a task that holds nothing out.
    Trials are compared that have the task, the seed and the metric in common, and began from as much: from
    random weights, from a file, or after as many trials.

    What it measures changes nothing in the training. After the last epoch it does nothing: all is paid for.
    """

    _supports_tf_logs = True

    def __init__(self, task: Task, trial: Trial, init_from: str | None, directory: Path, stop: Stop):
        """Reads the points of earlier attempts.

        Raises:
          CheckpointError: for a file that is damaged.
        """
        super().__init__()
        self._task, self._directory, self._stop = task, directory, stop
        self._split = VALIDATION if VALIDATION in task.splits else reported_split(task)
        self._of = {
            "task": trial.task,
            "seed": trial.seed,
            "metric": task.metrics[0].name,
            "split": self._split,
            "trials_before": _trials_before(trial),
            "from_file": init_from is not None,
        }
        self._finished = Finished(directory)
        self._evaluate: Callable[[], Evaluation] | None = None
        try:
            before = read_trace(directory)
        except ResultError as error:
            raise CheckpointError(str(error)) from error
        self._points = {} if before is None else dict(before.points)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._points = {done: point for done, point in self._points.items() if done <= epoch}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        done, epochs = epoch + 1, self.params["epochs"]
        if done >= epochs:
            return
        with other_randomness():
            if self._evaluate is None:
                self._evaluate = self._task.evaluator(self.model, self._split)
            evaluation = self._evaluate()
            size = bytes_so_far(self.model)
        metric = self._task.metrics[0]
        value, constant = main_value(self._task, evaluation), evaluation.constant.get(metric.name)
        if not (math.isfinite(size) and math.isfinite(value)):
            return  # nothing to compare; a loss that is not finite ends the trial elsewhere
        self._points[done] = (float(size), float(value))
        known = None if constant is None or not math.isfinite(constant) else float(constant)
        own = Trace(self._of, metric.direction == "lower", known, epochs, self._points)
        own.write(self._directory)
        for name, other in self._finished:
            at = beaten_at(own, done, other, self._stop)
            if at is not None:
                raise StoppedError(
                    f"After {done} of {epochs} epochs it had {size:,.0f} bytes and {metric.name} {value:.4f} "
                    f"on {self._split}; {name} had {other.points[at][0]:,.0f} and {other.points[at][1]:.4f} "
                    f"after {at} of {other.epochs}."
                )


def _trials_before(trial: Trial) -> int:
    return 0 if trial.parent is None else 1 + _trials_before(trial.parent)
