"""Defines the distortion that λ weighs bits against where no training loss is available."""

from __future__ import annotations

import dataclasses

from ..framework.algorithm import Algorithm
from .arguments import check_number


@dataclasses.dataclass(frozen=True)
class Sensitive(Algorithm):
    """Base of algorithms that choose by the weights alone, without a loss.

    They minimise

        sensitivity · ‖w−ŵ‖²/‖w‖² + λ · bits/elements

    for each weight w and its stored value ŵ. The first term stands in for the loss. The second counts as much
    as in training, so one grid of λ serves both.

    Attributes:
      sensitivity: the assumed rise of the loss (in nats) when all of a weight is lost.
    """

    sensitivity: float = 10.0

    def __post_init__(self):
        check_number("sensitivity", self.sensitivity, 0, 1e6, above=True)
