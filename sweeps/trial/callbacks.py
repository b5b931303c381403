"""Watches a trial while Keras trains it: progress, divergence, time, λ's warm-up."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from ...framework import LmbdaWarmup
from ...framework.atomic import write_json
from ...framework.training.checkpoint import CheckpointError
from .trial import Report

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
