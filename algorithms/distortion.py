"""What λ weighs bits against where there is no loss to go by."""

from __future__ import annotations

import dataclasses

from ..framework.algorithm import Algorithm
from .arguments import check_number


@dataclasses.dataclass(frozen=True)
class Sensitive(Algorithm):
    """Base of algorithms that choose from the weights alone: they minimise

        sensitivity · ‖w−ŵ‖²/‖w‖² + λ · bits/elements

    for each weight w and what is stored of it, ŵ. The first term stands in for the loss, of which the bits'
    term has the same weight as in training: one grid of λ does for both.

    Attributes:
      sensitivity: by how much, in units of the loss (nats), losing all of a weight is taken to hurt.
    """

    sensitivity: float = 10.0

    def __post_init__(self):
        check_number("sensitivity", self.sensitivity, 0, 1e6, above=True)
