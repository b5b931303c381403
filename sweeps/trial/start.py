"""Makes the compressible model that a trial begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from ...framework import to_compressible
from ...framework.files import pretrained
from ...framework.files.trained import load_trained
from ...framework.forms.compress import coarsen
from .parent import BlockedError, parent_folder
from .settings import Settings
from .trial import TRAINED, Trial


def starting_model(
    trial: Trial, settings: Settings, plain: tf.keras.Model, rules: Any, directory: Path
) -> tf.keras.Model:
    """Returns the compressible model that a trial trains, or that it stores without training.

    A trial that starts from another of its algorithm goes on with all that this one has learned: latents,
    steps, priors, masks. From one of another algorithm it takes the weights.

    Args:
      trial: says what it starts from.
      settings: the trial's.
      plain: the task's model; takes the values of `settings.init_from` or of the other trial.
      rules: the trial's, in the framework's form.
      directory: the trial's folder.

    Raises:
      BlockedError: if the trial that it starts from keeps no `trained.lpz`.
      ContainerError, PretrainedError: for a file that does not fit the model.
      FormError: if steps are to be coarser and there are none.
      ValueError: if `settings.init_from` is another file than in the plan.
    """
    if _continues(trial):
        path = parent_folder(trial, directory) / TRAINED
        if not path.exists():
            raise BlockedError(
                f"It starts from {trial.parent}, which has no {TRAINED}: run that again, with "
                "trial.keep_trained = True"
            )
        model = load_trained(path, plain, trial.lmbda)
        if settings.requantise is not None:
            coarsen(model, settings.requantise)
        return model
    if settings.requantise is not None:
        raise ValueError("trial.requantise is for trials that start from another; set sweep.requantise.")
    if trial.parent is not None:
        pretrained.initialise(plain, parent_folder(trial, directory))
    elif settings.init_from is not None:
        _initialise(plain, settings)
    return to_compressible(plain, rules, lmbda=trial.lmbda)


def starting_lmbda(trial: Trial) -> float:
    """Returns the λ with which the model that a trial starts from was trained."""
    return trial.parent.lmbda if trial.parent is not None and _continues(trial) else 0.0


def _continues(trial: Trial) -> bool:
    """Tells whether a trial goes on with all that another of the same algorithm has learned."""
    return trial.parent is not None and trial.parent.algorithm == trial.algorithm


def _initialise(model: tf.keras.Model, settings: Settings) -> None:
    assert settings.init_from is not None
    wanted, actual = settings.init_from_sha256, pretrained.content_hash(settings.init_from)
    if wanted not in (None, actual):
        raise ValueError(
            f"trial.init_from: {settings.init_from!r} is not what it was when the trial was planned: its "
            f"SHA-256 is {actual}, not {wanted}. Plan the sweep anew, or put the old file back."
        )
    pretrained.initialise(model, settings.init_from)
