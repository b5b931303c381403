"""Defines a trial: its frozen config, and the identity that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...framework.container.format import DEFAULT_NAME

Report = Callable[[Mapping[str, Any]], None]
"""Takes a running trial's state: `stage`, and in training `epoch`, `epochs`, `step`, `steps`, `loss`."""

ARTEFACT, CONFIG, OPERATIVE = DEFAULT_NAME, "config.gin", "operative.gin"
PROGRESS, LOCK = "progress.json", ".lock"
EVENTS, EPOCHS, CHECKPOINT, CLOCK = "events", "epochs.csv", "checkpoint", "clock.json"
TRAINED, BENCHMARK, LOG = "trained.lpz", "benchmark.csv", "log.txt"
"""Names of files and folders in a trial's directory; `docs/architecture.md` says what each is."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One task, algorithm, λ and seed under one frozen gin config.

    Attributes:
      task: name of a registered task.
      algorithm: name of a registered algorithm.
      lmbda: weight of the rate in the loss.
      seed: seed of every random number in the trial.
      config: canonical gin text with all bindings of this trial.
      overrides: the parameters that the sweep's grid set, for the table. `config` has them already, so
        they do not count towards the identity.
      parent: the trial of the same sweep that this one starts from, once that has a result: from its latents
        and steps if it has the same algorithm, and else from its weights.
      onednn: `trial.onednn` of the config, which a process must know before it imports TensorFlow.
    """

    task: str
    algorithm: str
    lmbda: float
    seed: int
    config: str
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    parent: Trial | None = None
    onednn: bool | None = dataclasses.field(default=None, compare=False)

    @property
    def identity(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of all fields that define the trial.

        A parent counts by its identity, so that planning needs no result.
        """
        defining = [self.task, self.algorithm, float(self.lmbda), int(self.seed), self.config]
        defining += [] if self.parent is None else [self.parent.identity]
        text = json.dumps(defining, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def directory_name(self) -> str:
        """A readable name that ends with the identity. It is never parsed: `result.json` has the facts."""
        readable = f"{self.task}-{self.algorithm}-{self.lmbda:g}-s{self.seed}"
        return re.sub(r"[^\w.-]", "_", readable) + f"-{self.identity}"

    def __str__(self) -> str:
        return f"{self.task} {self.algorithm} λ={self.lmbda:g} seed={self.seed}"
