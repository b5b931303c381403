"""What gin can say about a trial besides its task and its algorithm."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import gin

from .names import registries

OWN = "*"
"""In `trial.rules`, the trial's own algorithm, whichever the sweep is at."""


@gin.register("trial", module="lambdapress.sweeps")
@dataclasses.dataclass(frozen=True)
class Settings:
    """What gin can say about a trial besides its task and its algorithm, as `trial.…`.

    Attributes:
      train: whether the model is trained. False compresses it as it is, which is for a network that was
        trained before (`init_from`, or a task that builds one), and takes seconds.
      rules: `(pattern over weight paths, algorithm)`, first match wins. An algorithm is a registered
        name, `"*"` for the trial's own, or None, which keeps a weight in full. Without rules the
        trial's own algorithm takes every kernel, embedding and bias.
      lmbda_warmup: fraction of the training steps over which λ rises from 0, in [0, 1].
      deterministic: whether TensorFlow is held to reproducible kernels, so that a trial that is run
        again (on as many threads) gives the same bytes. None: where the task can be.
      keep_checkpoint: whether the checkpoint that training leaves stays once the trial has its result.
      init_from: a file whose values the plain model takes before it is made compressible, so that training
        fine-tunes them: whatever `framework.pretrained.initialise` reads, another trial's folder included.
      init_from_sha256: of that content, which is then part of what identifies the trial. A sweep fills it in
        by itself; where it is given and the file has another, the trial fails.
      own_sha256: by name, of the code of the user's modules that define the task or the algorithms (see
        `own.py`); the same holds for it.
    """

    train: bool = True
    rules: Sequence[tuple[str, Optional[str]]] = ()
    lmbda_warmup: float = 0.0
    deterministic: Optional[bool] = None
    keep_checkpoint: bool = False
    init_from: Optional[str] = None
    init_from_sha256: Optional[str] = None
    own_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.lmbda_warmup <= 1:
            raise ValueError(f"trial.lmbda_warmup is {self.lmbda_warmup!r}; give a fraction in [0, 1].")
        for pattern, _ in self.rules:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"trial.rules has {pattern!r}, not a regular expression: {error}.") from None

    def build_rules(self, algorithm: str) -> Any:
        """The rules as the framework takes them, each algorithm built with what gin binds for it.

        Raises:
          UnknownNameError: for an algorithm that is not registered.
          ValueError: if no rule uses the trial's own algorithm, whose name the result would bear.
        """
        _, algorithms = registries()
        if not self.rules:
            return algorithms.build(algorithm)
        named = [(pattern, algorithm if name == OWN else name) for pattern, name in self.rules]
        built = {name: algorithms.build(name) for _, name in named if name is not None}
        if algorithm not in built:
            raise ValueError(
                f"trial.rules never uses the trial's algorithm, {algorithm!r}; add ('.*', {OWN!r})."
            )
        return [(pattern, None if name is None else built[name]) for pattern, name in named]
