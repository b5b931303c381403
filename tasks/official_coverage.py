"""Reads the table of what works with Official Models' experiments, which the coverage test writes."""

from __future__ import annotations

import csv
import dataclasses
import importlib.resources
from collections.abc import Iterable
from typing import TextIO

import tensorflow as tf

from ..framework.surgery.computed_weights import computed_weights_of
from ..framework.surgery.weights import weights_of

FILE = "official_models.csv"


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The reach of compression in one experiment's model, at the size at which it was tried.

    Attributes:
      experiment: name in Official Models.
      model: name of the model's class, which stays one of its base classes in every form.
      weights: number of tensors of the model that are trained.
      reached_weights: number of those that are compressed.
      parameters, reached_parameters: numbers of their elements.
      metric: the validation metric that was evaluated on the model read back from its file.
      note: why it does not work, or what was special; empty otherwise.
    """

    experiment: str
    model: str = ""
    weights: int = 0
    reached_weights: int = 0
    parameters: int = 0
    reached_parameters: int = 0
    metric: str = ""
    note: str = ""

    @property
    def share(self) -> float:
        """Share of the parameters that are reached, in [0, 1]."""
        return self.reached_parameters / self.parameters if self.parameters else 0.0

    def __str__(self) -> str:
        if not self.parameters:
            return f"does not work: {self.note}"
        note = f"; {self.note}" if self.note else ""
        return f"{self.reached_weights} of {self.weights} weights, {self.share:.2%} of the parameters{note}"


def measure(experiment: str, plain: tf.keras.Model, compressible: tf.keras.Model, metric: str) -> Coverage:
    """Returns the coverage of `compressible`, which was made from `plain`."""
    trained = [weight.spec.size for weight in weights_of(plain) if weight.trained]
    reached = [computed.spec.size for computed in computed_weights_of(compressible)]
    return Coverage(
        experiment=experiment,
        model=type(plain).__name__,
        weights=len(trained),
        reached_weights=len(reached),
        parameters=sum(trained),
        reached_parameters=sum(reached),
        metric=metric,
    )


def known() -> dict[str, Coverage]:
    """Reads the coverage of every experiment that was tried, by its name."""
    package = importlib.resources.files("lambdapress.gin_configs")
    with package.joinpath(FILE).open(encoding="utf-8") as file:
        return {row.experiment: row for row in _read(file)}


def write(rows: Iterable[Coverage], file: TextIO) -> None:
    """Writes the CSV that `known` reads."""
    names = [field.name for field in dataclasses.fields(Coverage)]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)


def _read(file: Iterable[str]) -> Iterable[Coverage]:
    for row in csv.DictReader(file):
        numbers = {k: int(row[k]) for k in ("weights", "reached_weights", "parameters", "reached_parameters")}
        yield Coverage(**{**row, **numbers})
