"""Keeps the size and the metric that a trial had after each epoch, and says which finished trial beat it.

"Beat" means in both at once, each by a margin, at the same share of training: fewer bytes or a better metric
alone is another point of a trade-off.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...framework.atomic import write_json
from .provenance import changed
from .schema import RESULT, ResultError, parse_json, result_in

TRACE = "trace.json"
"""Name of the file in a trial's directory."""
DOMINATED = "dominated"
"""What `sweep.stop` may be, beside None."""


@dataclasses.dataclass(frozen=True)
class Stop:
    """Says when a trial stops because a finished one is better.

    Attributes:
      after: the share of training before which nothing stops.
      bytes: how much smaller the finished trial must be, as a share of the size of the one that stops.
      metric: how much better it must be, as a share of what it has gained over the best constant answer, or
        of its metric where a task does not know that.

    Raises:
      ValueError: for a number outside of [0, 1).
    """

    after: float = 0.25
    bytes: float = 0.2
    metric: float = 0.02

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
                raise ValueError(f"sweep.stop_settings[{name!r}] is {value!r}; give a share in [0, 1).")

    @classmethod
    def of(cls, stop: str | None, settings: Mapping[str, float] | None) -> Stop | None:
        """Returns what `sweep.stop` and `sweep.stop_settings` ask for; None where nothing stops.

        Raises:
          ValueError: for a value that means nothing.
        """
        if stop not in (None, DOMINATED):
            raise ValueError(f"sweep.stop is {stop!r}; give {DOMINATED!r}, or None, which stops nothing.")
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = [name for name in settings or () if name not in known]
        if unknown:
            raise ValueError(f"sweep.stop_settings has {unknown[0]!r}; it takes {', '.join(known)}.")
        if stop is None:
            if settings:
                raise ValueError("sweep.stop_settings say when trials stop; set sweep.stop, too.")
            return None
        return cls(**(settings or {}))


@dataclasses.dataclass(frozen=True)
class Trace:
    """Holds what a trial had after each of its epochs.

    Attributes:
      of: what two trials must share to be compared (such as task, seed, metric and split), by name.
      lower_is_better: of the metric.
      constant: the metric of the best constant answer; None where it is not known.
      epochs: how many epochs the training has in all.
      points: size in bytes and metric by the number of epochs done.
    """

    of: Mapping[str, Any]
    lower_is_better: bool
    constant: float | None
    epochs: int
    points: Mapping[int, tuple[float, float]]

    def write(self, directory: Path) -> None:
        """Writes `trace.json` into a trial's directory, whole or not at all."""
        points = {str(done): list(point) for done, point in sorted(self.points.items())}
        write_json(directory / TRACE, {**vars(self), "of": dict(self.of), "points": points}, durable=False)


def read_trace(directory: Path) -> Trace | None:
    """Returns the trace in a trial's directory, or None where there is none.

    Raises:
      ResultError: where there is a `trace.json` that no trial wrote.
    """
    path = directory / TRACE
    if not path.exists():
        return None
    content = parse_json(path)
    try:
        points = {int(done): (float(p[0]), float(p[1])) for done, p in content.pop("points").items()}
        trace = Trace(**content, points=points)
        numbers = [trace.epochs, trace.constant or 0.0, *(x for point in points.values() for x in point)]
        if not isinstance(trace.of, dict) or not all(math.isfinite(number) for number in numbers):
            raise ValueError("a number is not finite, or `of` is no object")
        return trace
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ResultError(f"{path} is no trial's trace ({type(error).__name__}: {error}).") from error


def beaten_at(own: Trace, done: int, other: Trace, stop: Stop) -> int | None:
    """Returns after how many of its epochs a finished trial was better in both size and metric.

    That is the last of its epochs that ends at no larger a share of its training than `done` of the other's.

    Args:
      own: of the trial that might stop; has a point after `done` epochs.
      done: its epochs so far.
      other: of the finished trial.
      stop: the margins, and the share of training before which the answer is None.

    Returns:
      The number of epochs; None if the trials cannot be compared, or the finished one was not better.
    """
    at = done * other.epochs // own.epochs
    if done < stop.after * own.epochs or other.of != own.of or at not in other.points:
        return None
    (size, metric), (other_size, other_metric) = own.points[done], other.points[at]
    gain = metric - other_metric if own.lower_is_better else other_metric - metric
    scale = abs(other_metric - (other.constant or 0.0))
    smaller, better = other_size < (1 - stop.bytes) * size, gain > stop.metric * scale
    return at if smaller and better else None


class Finished:
    """Lists the traces of the finished trials beside one, each read once.

    A trial counts once its result is `ok`, and by today's code: an older algorithm may be another.
    """

    def __init__(self, directory: Path):
        """Reads nothing yet.

        Args:
          directory: of the trial that asks; its siblings are the sweep's.
        """
        self._directory = directory
        self._read: dict[str, Trace | None] = {}

    def __iter__(self) -> Iterator[tuple[str, Trace]]:
        """Yields names of folders, in their order, and traces."""
        for folder in sorted(self._directory.parent.iterdir()):
            name = folder.name
            if name not in self._read and folder != self._directory and (folder / RESULT).exists():
                self._read[name] = _finished(folder)
            trace = self._read.get(name)
            if trace is not None:
                yield name, trace


def _finished(folder: Path) -> Trace | None:
    """Returns the trace of a finished trial; None for any other, and for files that no trial wrote."""
    try:
        result = result_in(folder)
        if result is None or result["status"] != "ok" or changed(result["code"]):
            return None
        return read_trace(folder)
    except ResultError as error:  # not this trial's fault; whoever reads the results will be told
        logging.getLogger(__name__).warning("%s Nothing is compared with it.", error)
        return None
