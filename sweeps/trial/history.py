"""Writes Keras's logs, the rate and λ of each epoch, as comma-separated values and as TensorBoard events."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from ...framework.atomic import write_atomically
from ...framework.forms.rate import rate_of
from ...framework.training.checkpoint import CheckpointError
from .trial import Trial


class Epochs(tf.keras.callbacks.Callback):
    """Writes `epochs.csv`: `epoch` (from 1), the logs, `rate` (bits, or the algorithm's unit) and `lmbda`.

    Training that goes on from a checkpoint keeps the lines of the epochs that the checkpoint has.
    """

    def __init__(self, path: Path):
        """Reads the lines of earlier attempts.

        Raises:
          CheckpointError: for a file that is damaged.
        """
        super().__init__()
        self._path = path
        self._lines: dict[int, dict[str, Any]] = {}
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file):
                    if None in line or None in line.values():
                        raise ValueError("a line has too few or too many fields")
                    self._lines[int(line["epoch"])] = line
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from error

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._lines = {done: line for done, line in self._lines.items() if done <= epoch}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._lines[epoch + 1] = {"epoch": epoch + 1, **_scalars(self.model, logs)}
        names = list(dict.fromkeys(name for line in self._lines.values() for name in line))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._lines[done] for done in sorted(self._lines))
        write_atomically(self._path, text.getvalue().encode())


class Events(tf.keras.callbacks.Callback):
    """Writes a trial's TensorBoard events: Keras's logs, rate and λ per epoch, HParams, the outcome."""

    def __init__(self, directory: Path, trial: Trial):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(directory))
        self._trial = trial
        self._epochs = 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        trial = self._trial
        chosen = {"task": trial.task, "algorithm": trial.algorithm, "lmbda": trial.lmbda, "seed": trial.seed}
        for name, value in trial.overrides.items():
            chosen[name] = value if isinstance(value, (bool, int, float, str)) else repr(value)
        with self._writer.as_default():
            hparams.hparams(chosen, trial_id=trial.identity)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._epochs = self.params["epochs"]  # also if a checkpoint had all of them

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epochs = epoch + 1
        self._write({f"epoch/{name}": value for name, value in _scalars(self.model, logs).items()})

    def close(self, outcome: Mapping[str, Any]) -> None:
        """Writes an outcome's numbers as `trial/…`, metrics as `trial/NAME/SPLIT`, and closes the file."""
        self._write({f"trial/{k}": v for k, v in outcome.items() if isinstance(v, (int, float))})
        for name, metric in outcome["metrics"].items():
            self._write({f"trial/{name}/{split}": value for split, value in metric["value"].items()})
        self._writer.close()

    def _write(self, values: Mapping[str, Any]) -> None:
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, float(value), step=self._epochs)


def _scalars(model: Any, logs: Mapping[str, Any] | None) -> dict[str, float]:
    numbers = {**(logs or {}), "rate": rate_of(model), "lmbda": model.lmbda}
    return {name: float(value) for name, value in numbers.items()}
