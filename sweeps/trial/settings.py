"""Defines the settings of a trial apart from its task and algorithm, and builds its rules."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from ..gin import registries

OWN = "*"
"""Stands for the trial's own algorithm in `trial.rules`: the one that the sweep runs."""


@gin.register("trial", module="lambdapress.sweeps")
@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a trial apart from its task and algorithm, bound in gin as `trial.…`.

    Attributes:
      train: whether the model is trained. False compresses it as it is, in seconds, for a network that is
        trained already (by `init_from`, or by a task that builds one).
      rules: `(pattern over weight paths, algorithm)`, first match wins. An algorithm is a registered
        name, `"*"` for the trial's own, or None, which keeps a weight in full. Without rules the
        trial's own algorithm takes every kernel, embedding and bias.
      lmbda_warmup: fraction of the training steps over which λ rises from 0, in [0, 1].
      deterministic: whether TensorFlow uses reproducible kernels only, so that a trial that is run again
        (on as many threads) gives the same bytes. None: if the task supports it.
      onednn: whether TensorFlow uses oneDNN's kernels, which are faster, and crash in the training of some
        networks. None: as `TF_ENABLE_ONEDNN_OPTS` says, else where TensorFlow finds the processor suited.
      keep_checkpoint: whether the checkpoint that training leaves stays once the trial has its result.
      keep_trained: whether the trial's folder keeps, beside its file, what the training has learned, in full:
        four bytes a weight. Trials that start from this one need it; see `sweep.start`, `sweep.requantise`.
      requantise: makes the steps of the trial that this one starts from so many times as large, in place of
        a training. `sweep.requantise` and `lambdapress requantise` set it.
      init_from: a file whose values the plain model takes before it is made compressible, so that training
        fine-tunes them: any that `framework/files/pretrained.py` reads, another trial's folder
        included.
      init_from_sha256: the hash of that content, which makes it part of the trial's identity. A sweep fills
        it in; if it is given and the file has another hash, the trial fails.
      own_sha256: the hashes, by module name, of the code of the user's modules that define the task or the
        algorithms (see `gin/user_modules.py`). They, too, are part of the identity, are filled in by a
        sweep, and fail the trial if they differ.
    """

    train: bool = True
    rules: Sequence[tuple[str, str | None]] = ()
    lmbda_warmup: float = 0.0
    deterministic: bool | None = None
    onednn: bool | None = None
    keep_checkpoint: bool = False
    keep_trained: bool = True
    requantise: float | None = None
    init_from: str | None = None
    init_from_sha256: str | None = None
    own_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.lmbda_warmup <= 1:
            raise ValueError(f"trial.lmbda_warmup is {self.lmbda_warmup!r}; give a fraction in [0, 1].")
        if self.requantise is not None and not 0 < self.requantise < math.inf:
            raise ValueError(f"trial.requantise is {self.requantise!r}; give a number above 0.")
        for pattern, _ in self.rules:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"trial.rules has {pattern!r}, not a regular expression: {error}.") from None

    def build_rules(self, algorithm: str) -> Any:
        """Builds the rules in the framework's form, each algorithm with the parameters that gin binds.

        Raises:
          UnknownNameError: for an algorithm that is not registered.
          ValueError: if no rule uses the trial's own algorithm, after which the result is named.
        """
        algorithms = registries.algorithms()
        if not self.rules:
            return algorithms.build(algorithm)
        named = [(pattern, algorithm if name == OWN else name) for pattern, name in self.rules]
        built = {name: algorithms.build(name) for _, name in named if name is not None}
        if algorithm not in built:
            raise ValueError(
                f"trial.rules never uses the trial's algorithm, {algorithm!r}; add ('.*', {OWN!r})."
            )
        return [(pattern, None if name is None else built[name]) for pattern, name in named]
