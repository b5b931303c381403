"""What is going on in a sweep: a small file per running trial, and bars or lines made of them.

Workers write, the runner looks: no pipe or lock in between, so the bars also show what another
runner on the same directory is at.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

from .trial import PROGRESS, Trial, write_json

WRITE_SECONDS = 0.25
STALE_SECONDS = 60.0

State = Mapping[str, Any]


class Writer:
    """Called with a trial's state; writes it into the trial's directory, a few times a second at most."""

    def __init__(self, directory: Path):
        self._path = directory / PROGRESS
        self._next = 0.0
        self._stage: Optional[str] = None

    def __call__(self, state: State) -> None:
        now = time.monotonic()
        if now >= self._next or state["stage"] != self._stage:
            write_json(self._path, state, durable=False)
            self._next, self._stage = now + WRITE_SECONDS, state["stage"]

    def close(self) -> None:
        """The trial has ended."""
        self._path.unlink(missing_ok=True)


def read(directory: Path) -> Optional[State]:
    """What the trial in `directory` last said of itself, if it runs or ran within the last minute."""
    path = directory / PROGRESS
    try:
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            return None
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and isinstance(state.get("stage"), str) else None


def fraction(state: State) -> float:
    """How much of the training is done, in [0, 1]; training is nearly all of a trial."""
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
    """`train 3/5  loss 0.123`, or the stage."""
    text = state["stage"]
    if text == "train":
        text += f" {state.get('epoch')}/{state.get('epochs')}"
        if isinstance(state.get("loss"), float):
            text += f"  loss {state['loss']:.3f}"
    return text


def outcome(trial: Trial, result: Mapping[str, Any]) -> str:
    """A finished trial in one line."""
    if result["status"] != "ok":
        reason = (result["error"] or "").strip().splitlines() or ["for no known reason"]
        return f"{trial}  failed: {reason[-1]}"
    return f"{trial}  {size_line(result)}"


def size_line(result: Mapping[str, Any]) -> str:
    """`1,234 bytes  accuracy 0.9700  2.0 s`, of a trial that went well."""
    return (
        f"{result['size_bytes']:,} bytes  {result['metric_name']} {result['metric']:.4f}  "
        f"{result['train_seconds']:.1f} s"
    )


class Watcher(contextlib.AbstractContextManager):
    """Shows nothing: the base of those that do.

    Args:
      waiting: the directories of all trials that have no result yet, and the trials.
      total: how many trials the sweep has, those with a result included.
    """

    def __init__(self, waiting: Mapping[Path, Trial], total: int):
        self._waiting = dict(waiting)
        self._total = total

    def __exit__(self, *exception: Any) -> None:
        del exception

    def finished(self, trial: Trial, directory: Path, result: Mapping[str, Any]) -> None:
        """A trial has a result now."""
        self._waiting.pop(directory, None)

    def update(self, states: Mapping[Path, State]) -> None:
        """These trials are running, with these states."""

    def poll(self) -> None:
        """Looks at the progress of every trial that is not finished."""
        states = ((directory, read(directory)) for directory in self._waiting)
        self.update({directory: state for directory, state in states if state is not None})


class Lines(Watcher):
    """One plain line a finished trial: for logs and pipes."""

    def finished(self, trial: Trial, directory: Path, result: Mapping[str, Any]) -> None:
        super().finished(trial, directory, result)
        print(f"[{self._total - len(self._waiting)}/{self._total}] {outcome(trial, result)}", flush=True)

    def poll(self) -> None:
        pass


class Bars(Watcher):
    """A bar for the sweep and one for each running trial; finished trials stay above as lines."""

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

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.update({})
        self._bars.stop()

    def finished(self, trial: Trial, directory: Path, result: Mapping[str, Any]) -> None:
        super().finished(trial, directory, result)
        from rich.text import Text

        self._bars.console.print(
            Text(outcome(trial, result), style="" if result["status"] == "ok" else "red")
        )
        self._drop([directory])
        self._bars.update(self._sweep, advance=1, state=self._count())

    def update(self, states: Mapping[Path, State]) -> None:
        for directory, state in states.items():
            if directory not in self._tasks:
                self._tasks[directory] = self._bars.add_task(
                    str(self._waiting[directory]), total=1.0, state=""
                )
            self._bars.update(self._tasks[directory], completed=fraction(state), state=describe(state))
        self._drop([directory for directory in self._tasks if directory not in states])

    def _drop(self, directories: Iterable[Path]) -> None:
        for directory in directories:
            task = self._tasks.pop(directory, None)
            if task is not None:
                self._bars.remove_task(task)

    def _count(self) -> str:
        return f"{self._total - len(self._waiting)} of {self._total} trials"
