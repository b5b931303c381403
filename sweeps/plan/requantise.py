"""Plans trials that store a trained model anew with other steps, without training it."""

from __future__ import annotations

import dataclasses

from ..gin.bindings import Source, bind, load
from ..gin.parse import read
from ..results.schema import REQUANTISE
from ..trial.trial import Trial


def requantised(trial: Trial, factor: float) -> Trial:
    """Returns the trial that stores the model of `trial` with steps `factor` times as large.

    Gin's config becomes that of the new trial.

    Raises:
      ConfigError: for a trial whose config cannot be read.
    """
    binding = bind("", "trial", "requantise", float(factor), f"requantise {factor!r}")
    config = load(read(trial.config, f"{trial}, line {{line}}") + Source(bindings=(binding,)))
    overrides = {**trial.overrides, REQUANTISE: float(factor)}
    return dataclasses.replace(trial, config=config, overrides=overrides, parent=trial)
