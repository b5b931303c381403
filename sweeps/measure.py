"""What is measured of a trial: its model trained, compressed, written, read back, evaluated."""

from __future__ import annotations

import gc
import math
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..framework import Updates, load, pretrained, save, set_seeds, size_report, to_compressible
from ..framework.container import ARTEFACT
from ..framework.storage import estimated_bytes
from . import callbacks
from .names import registries
from .trial import CHECKPOINT, CLOCK, EVENTS, Report, Trial
from .trial_settings import Settings


def measure(trial: Trial, settings: Settings, directory: Path, report: Report) -> dict[str, Any]:
    """Runs what gin's config says: builds, trains if it is to, compresses, writes, reads back, evaluates.

    Args:
      trial: whose config is gin's at present.
      settings: as that config has them.
      directory: where the artefact and the events go, and where training looks for a checkpoint.
      report: as in `run_trial`.

    Returns:
      The part of the result that is measured.

    Raises:
      CheckpointError: where a checkpoint in `directory` cannot be used.
      FloatingPointError: where training diverged.
    """
    tf.keras.backend.clear_session()  # a worker runs many trials: none may see the one before
    gc.collect()
    report({"stage": "build"})
    task = registries()[0].build(trial.task)
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
    wanted, found = settings.init_from_sha256, pretrained.content_hash(settings.init_from)
    if wanted not in (None, found):
        raise ValueError(
            f"trial.init_from: {settings.init_from!r} is not what it was when the trial was planned: its "
            f"SHA-256 is {found}, not {wanted}. Plan the sweep anew, or put the old file back."
        )
    pretrained.initialise(model, settings.init_from)


def _finite(what: str, value: float) -> float:
    value = float(value)
    if not math.isfinite(value):
        raise FloatingPointError(f"The {what} is {value}.")
    return value
