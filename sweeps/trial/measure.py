"""Measures one trial: trains, compresses, writes, reads back and evaluates its model."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from ...framework import (
    Algorithm,
    Updates,
    load,
    save,
    set_seeds,
    size_report,
    to_plain,
    whole_training,
)
from ...framework.files.size_report import estimated_bytes
from ...framework.files.trained import save_trained
from ...framework.forms.untold import warn_of_no_training
from ...framework.surgery.clone import layers_of
from ...framework.task import reported_split
from ..gin import registries
from ..measurement.evaluation import as_metrics, evaluations, finite_main, records_of
from ..measurement.model_facts import decided_at_the_end, multiply_adds, nonzeros
from ..results.provenance import code_of, environment
from ..results.records import RECORDS, write_records
from ..results.schema import BASELINE
from ..results.traces import Stop
from . import callbacks
from .history import Epochs, Events
from .parent import epochs_in, in_all, parent_result
from .settings import Settings
from .start import starting_lmbda, starting_model
from .trial import ARTEFACT, CHECKPOINT, CLOCK, EPOCHS, EVENTS, TRAINED, Report, Trial

_log = logging.getLogger(__name__)


def measure(
    trial: Trial, settings: Settings, directory: Path, report: Report, stop: Stop | None = None
) -> dict[str, Any]:
    """Builds, trains, compresses, writes, reads back and evaluates a trial's model.

    Args:
      trial: the trial; gin must hold its config.
      settings: the trial's, as in that config; they say whether the model is trained.
      directory: where the artefact and the events go, and where training looks for a checkpoint.
      report: as in `run_trial`.
      stop: as in `run_trial`.

    Returns:
      The measured fields of the result.

    Raises:
      BlockedError: if the trial starts from one that has no model.
      CheckpointError: if a checkpoint in `directory` cannot be used.
      FloatingPointError: if training diverged.
      StoppedError: if `stop` ended it.
    """
    parent = parent_result(trial, directory)
    tf.keras.backend.clear_session()  # a worker runs many trials: none may see an earlier one
    gc.collect()
    report({"stage": "build"})
    task = registries.tasks().build(trial.task)
    wanted = settings.deterministic
    set_seeds(trial.seed, deterministic=task.deterministic if wanted is None else wanted)
    plain = task.build_model()
    rules = settings.build_rules(trial.algorithm)
    model = starting_model(trial, settings, plain, rules, directory)

    events = Events(directory / EVENTS, trial)
    train_seconds = 0.0
    if settings.train and settings.requantise is None:
        clock = callbacks.Clock(directory / CLOCK)
        watch = [callbacks.Watch(report), events, Epochs(directory / EPOCHS), clock, Updates(trial.lmbda)]
        if settings.lmbda_warmup > 0:
            watch.append(callbacks.Warmup(settings.lmbda_warmup, trial.lmbda, starting_lmbda(trial)))
        if stop is not None and trial.algorithm != BASELINE:  # from which all others' drops are measured
            late = decided_at_the_end(model)
            if late:
                _log.warning(
                    "%s is not stopped: %s has no size before training ends.", trial, ", ".join(late)
                )
            else:
                watch.append(callbacks.Dominated(task, trial, settings.init_from, directory, stop))
        with whole_training(model):  # whatever a task does to the weights comes before the last update
            try:
                task.train(model, callbacks=watch, checkpoint_dir=directory / CHECKPOINT)
            except callbacks.StoppedError as error:
                error.spent = _spent(parent, clock.seconds, directory)
                raise
        train_seconds = clock.seconds
    elif trial.parent is None:
        warn_of_no_training(model, stacklevel=1)
    varies = registries.algorithms().get(trial.algorithm).uses_lmbda
    if settings.keep_trained and varies and settings.requantise is None:
        save_trained(model, directory / TRAINED)

    report({"stage": "evaluate"})
    compressible = finite_main(task, task.evaluate(model, reported_split(task)), "the compressible model")
    report({"stage": "compress"})
    artefact = directory / ARTEFACT
    started = time.perf_counter()
    save(model, artefact)
    compress_seconds = time.perf_counter() - started

    report({"stage": "evaluate"})
    restored = load(artefact, plain)
    started = time.perf_counter()
    found = evaluations(task, restored)
    evaluate_seconds = time.perf_counter() - started
    records = records_of(task, found)
    if records:
        write_records(directory / RECORDS, records)
    outcome = {
        "metric_name": task.metrics[0].name,
        "metrics": as_metrics(task, found),
        "metric_compressible": compressible,
        **_sizes(artefact),
        "estimated_bytes": estimated_bytes(model),
        "nonzeros": nonzeros(to_plain(restored)),
        "multiply_adds": multiply_adds(plain),
        **_spent(parent, train_seconds, directory),
        "compress_seconds": compress_seconds,
        "evaluate_seconds": evaluate_seconds,
        "environment": {**environment(), "precision": _precision(plain)},
        "code": code_of(_modules(rules)),
    }
    events.close(outcome)
    return outcome


def _spent(parent: Mapping[str, Any] | None, seconds: float, directory: Path) -> dict[str, Any]:
    return {"train_seconds": seconds, **in_all(parent, seconds, epochs_in(directory / EPOCHS))}


def _sizes(artefact: Path) -> dict[str, Any]:
    sizes = size_report(artefact)
    return {
        "size_bytes": sizes.size_bytes,
        "coded_bytes": sum(row.bytes for row in sizes.rows if row.algorithm is not None),
        "float_bytes": sizes.float_bytes,
        "ratio": sizes.ratio,
        "bits_per_weight": 8 * sizes.size_bytes / sizes.num_params,
        "num_params": sizes.num_params,
        "weight_bytes": {row.path: row.bytes for row in sizes.rows},
    }


def _precision(model: tf.keras.Model) -> str:
    """Names the dtype policies of the layers that have weights, such as `mixed_bfloat16`."""
    policies = {layer.dtype_policy.name for layer in layers_of(model) if layer.weights}
    return ", ".join(sorted(policies)) or "none"


def _modules(rules: Any) -> set[str]:
    """Returns the modules of all algorithms that rules have, those inside of a chain included."""
    modules: set[str] = set()
    waiting = [rules]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Algorithm):
            modules |= {cls.__module__ for cls in type(item).__mro__}
            waiting += list(vars(item).values())
        elif isinstance(item, (list, tuple)):
            waiting += item
    return modules
