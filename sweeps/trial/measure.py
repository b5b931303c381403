"""Measures one trial: trains, compresses, writes, reads back and evaluates its model."""

from __future__ import annotations

import gc
import math
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from ...framework import Updates, load, save, set_seeds, size_report, to_compressible
from ...framework.files import pretrained
from ...framework.files.size_report import estimated_bytes
from ..gin import registries
from . import callbacks
from .settings import Settings
from .trial import ARTEFACT, CHECKPOINT, CLOCK, EVENTS, Report, Trial


def measure(trial: Trial, settings: Settings, directory: Path, report: Report) -> dict[str, Any]:
    """Builds, trains, compresses, writes, reads back and evaluates a trial's model.

    Args:
      trial: the trial; gin must hold its config.
      settings: the trial's, as in that config; they say whether the model is trained.
      directory: where the artefact and the events go, and where training looks for a checkpoint.
      report: as in `run_trial`.

    Returns:
      The measured fields of the result.

    Raises:
      CheckpointError: if a checkpoint in `directory` cannot be used.
      FloatingPointError: if training diverged.
    """
    tf.keras.backend.clear_session()  # a worker runs many trials: none may see an earlier one
    gc.collect()
    report({"stage": "build"})
    task = registries.tasks().build(trial.task)
    wanted = settings.deterministic
    set_seeds(trial.seed, deterministic=task.deterministic if wanted is None else wanted)
    plain = task.build_model()
    if settings.init_from is not None:
        _initialise(plain, settings)
    model = to_compressible(plain, settings.build_rules(trial.algorithm), lmbda=trial.lmbda)

    events = callbacks.Events(directory / EVENTS, trial)
    train_seconds = 0.0
    if settings.train:
        clock = callbacks.Clock(directory / CLOCK)
        watch = [callbacks.Watch(report), events, clock, Updates(trial.lmbda)]
        if settings.lmbda_warmup > 0:
            watch.append(callbacks.Warmup(settings.lmbda_warmup, trial.lmbda))
        task.train(model, callbacks=watch, checkpoint_dir=directory / CHECKPOINT)
        train_seconds = clock.seconds

    report({"stage": "evaluate"})
    metric_compressible = _finite("metric of the compressible model", task.evaluate(model))
    report({"stage": "compress"})
    artefact = directory / ARTEFACT
    started = time.perf_counter()
    size_bytes = save(model, artefact)
    compress_seconds = time.perf_counter() - started
    sizes = size_report(artefact)

    report({"stage": "evaluate"})
    started = time.perf_counter()
    metric = _finite("metric of the model read back", task.evaluate(load(artefact, plain)))
    evaluate_seconds = time.perf_counter() - started
    outcome = {
        "metric_name": task.metric,
        "metric": metric,
        "metric_compressible": metric_compressible,
        "size_bytes": size_bytes,
        "float_bytes": sizes.float_bytes,
        "ratio": sizes.ratio,
        "estimated_bytes": estimated_bytes(model),
        "num_params": sizes.num_params,
        "train_seconds": train_seconds,
        "compress_seconds": compress_seconds,
        "evaluate_seconds": evaluate_seconds,
    }
    events.close(outcome)
    return outcome


def _initialise(model: tf.keras.Model, settings: Settings) -> None:
    assert settings.init_from is not None
    wanted, actual = settings.init_from_sha256, pretrained.content_hash(settings.init_from)
    if wanted not in (None, actual):
        raise ValueError(
            f"trial.init_from: {settings.init_from!r} is not what it was when the trial was planned: its "
            f"SHA-256 is {actual}, not {wanted}. Plan the sweep anew, or put the old file back."
        )
    pretrained.initialise(model, settings.init_from)


def _finite(name: str, value: float) -> float:
    value = float(value)
    if not math.isfinite(value):
        raise FloatingPointError(f"The {name} is {value}.")
    return value
