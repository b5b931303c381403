"""Shows the progress of a sweep as bars or lines, from a small file that each running trial writes.

The process that runs a trial writes the file, and the runner reads it, with no pipe or lock in between. So
the bars also show the trials of another runner on the same directory.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...framework.atomic import write_json
from ..results.schema import error_line, main_value
from ..trial.trial import PROGRESS, Trial

WRITE_SECONDS = 0.25
LOOK_SECONDS = 0.5
STALE_SECONDS = 60.0

State = Mapping[str, Any]


class Writer:
    """Writes the trial's state that it is called with to a file, a few times a second at most."""

    def __init__(self, directory: Path):
        self._path = directory / PROGRESS
        self._next = 0.0
        self._stage: str | None = None

    def __call__(self, state: State) -> None:
        now = time.monotonic()
        if now >= self._next or state["stage"] != self._stage:
            write_json(self._path, state, durable=False)
            self._next, self._stage = now + WRITE_SECONDS, state["stage"]

    def close(self) -> None:
        """Removes the file: the trial has ended."""
        self._path.unlink(missing_ok=True)


def read(directory: Path) -> State | None:
    """Returns the last state of the trial in `directory`; None if there is none from the last minute."""
    path = directory / PROGRESS
    try:
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            return None
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and isinstance(state.get("stage"), str) else None


def fraction(state: State) -> float:
    """Returns the share of training that is done, in [0, 1]; training is nearly all of a trial."""
    if state["stage"] == "build":
        return 0.0
    if state["stage"] != "train":
        return 1.0
    try:
        within = state["step"] / state["steps"] if state["steps"] else 0.0
        return min(1.0, max(0.0, (state["epoch"] - 1 + within) / state["epochs"]))
    except (KeyError, TypeError, ZeroDivisionError):
        return 0.0


def describe(state: State) -> str:
    """Describes a state in a few words: `train 3/5  loss 0.123`, or the stage."""
    text = state["stage"]
    if text == "train":
        text += f" {state.get('epoch')}/{state.get('epochs')}"
        if isinstance(state.get("loss"), float):
            text += f"  loss {state['loss']:.3f}"
    return text


def outcome(trial: Trial, result: Mapping[str, Any]) -> str:
    """Describes a finished trial in one line."""
    if result["status"] != "ok":
        return f"{trial}  {result['status']}: {error_line(result['error'] or 'for no known reason')}"
    return f"{trial}  {size_line(result)}"


def size_line(result: Mapping[str, Any]) -> str:
    """Describes a successful result: `1,234 bytes  accuracy 0.9700  2.0 s`."""
    return (
        f"{result['size_bytes']:,} bytes  {result['metric_name']} {main_value(result):.4f}  "
        f"{result['train_seconds']:.1f} s"
    )


class Watcher(contextlib.AbstractContextManager):
    """Shows nothing; the base class of those that show progress."""

    def __init__(self, waiting: Mapping[Path, Trial], total: int):
        """Starts with nothing shown.

        Args:
          waiting: the trials that have no result yet, by their directories.
          total: how many trials the sweep has, those with a result included.
        """
        self._waiting = dict(waiting)
        self._total = total

    def __exit__(self, *exception: Any) -> None:
        del exception

    def finished(self, trial: Trial, directory: Path, result: Mapping[str, Any]) -> None:
        """Notes that a trial has a result now."""
        self._waiting.pop(directory, None)


class Lines(Watcher):
    """Prints one plain line for each finished trial: for logs and pipes."""

    def finished(self, trial: Trial, directory: Path, result: Mapping[str, Any]) -> None:
        super().finished(trial, directory, result)
        print(f"[{self._total - len(self._waiting)}/{self._total}] {outcome(trial, result)}", flush=True)


class Bars(Watcher):
    """Shows a bar for the sweep and one for each running trial; finished trials stay above as lines.

    A thread of its own reads the trials' files, so that bars move even while the runner is busy.
    """

    def __init__(self, waiting: Mapping[Path, Trial], total: int):
        from rich import progress as bars

        super().__init__(waiting, total)
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=24),
            bars.TextColumn("{task.fields[state]}"),
            bars.TimeElapsedColumn(),
            refresh_per_second=4,
        )
        self._sweep = self._bars.add_task(
            "[bold]sweep", total=total, completed=total - len(waiting), state=self._count()
        )
        self._tasks: dict[Path, Any] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Bars:
        self._bars.start()
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._over.set()
        self._thread.join()
        with self._lock:
            self._drop(list(self._tasks))
        self._bars.stop()

    def finished(self, trial: Trial, directory: Path, result: Mapping[str, Any]) -> None:
        from rich.text import Text

        with self._lock:
            super().finished(trial, directory, result)
            self._drop([directory])
        style = {"ok": "", "stopped": "yellow"}.get(result["status"], "red")
        self._bars.console.print(Text(outcome(trial, result), style=style))
        self._bars.update(self._sweep, advance=1, state=self._count())

    def look(self) -> None:
        """Updates the bar of each running trial."""
        with self._lock:
            last_states = {directory: read(directory) for directory in self._waiting}
            states = {directory: state for directory, state in last_states.items() if state is not None}
            for directory, state in states.items():
                if directory not in self._tasks:
                    name = str(self._waiting[directory])
                    self._tasks[directory] = self._bars.add_task(name, total=1.0, state="")
                self._bars.update(self._tasks[directory], completed=fraction(state), state=describe(state))
            self._drop([directory for directory in self._tasks if directory not in states])

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.look()

    def _drop(self, directories: Iterable[Path]) -> None:
        for directory in directories:
            task = self._tasks.pop(directory, None)
            if task is not None:
                self._bars.remove_task(task)

    def _count(self) -> str:
        return f"{self._total - len(self._waiting)} of {self._total} trials"
