"""Shows how curves compare with an anchor: for the terminal, for a document, for another program."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import rich.box
import rich.console
import rich.table

from . import units
from .override_texts import settings

_HEADERS = ("task", "algorithm", "metric", "BD-rate (%)", "BD-metric", "over", "overlap (%)", "n")


def render(compared: pd.DataFrame, style: str = "terminal", width: int = 120) -> str:
    """Renders what `results.comparison.compare` returned.

    Args:
      compared: its frame.
      style: `terminal`, `markdown` or `csv` (every column, in full precision).
      width: columns of the terminal.

    Returns:
      The text, ending in a line break.
    """
    if style == "csv":
        return compared.to_csv(index=False, lineterminator="\n")
    if compared.empty:
        return "There is no other curve to compare.\n"
    names = curve_names(compared)
    rows = [_cells(row, name) for name, (_, row) in zip(names, compared.iterrows(), strict=True)]
    anchor, method = compared["anchor"].iloc[0], compared["method"].iloc[0]
    notes = [
        f"Against {anchor}; {method} through the Pareto-optimal means. Negative rates are fewer bytes at "
        "equal metric. ± half a 95% interval over n seeds, of three or more."
    ]
    for task, of_task in compared.groupby("task"):
        chosen, split = of_task["chosen_on"].iloc[0], of_task["split"].iloc[0]
        notes.append(f"{task}: points chosen on {chosen}, compared on {split}.")
    problems = zip(names, compared["task"], compared["problem"], strict=True)
    notes += [f"{task}, {name}: not compared: {problem}" for name, task, problem in problems if problem]
    if style == "markdown":
        lines = [_HEADERS, [":--"] * 3 + ["--:"] * (len(_HEADERS) - 3), *rows]
        return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *notes]) + "\n"
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, header in enumerate(_HEADERS):
        table.add_column(header, justify="left" if index < 3 else "right", no_wrap=index >= 2)
    for row in rows:
        table.add_row(*row)
    console = rich.console.Console(width=width, _environ={})
    with console.capture() as capture:
        console.print(table)
    return "\n".join([*(line.rstrip() for line in capture.get().splitlines()), *notes]) + "\n"


def curve_names(compared: pd.DataFrame) -> list[str]:
    """Returns each curve's algorithm, with the settings in which it differs from others or the anchor."""
    apart, _ = settings(list(compared["overrides"]))
    whole, _ = settings(["{}", *compared["overrides"]])
    own = compared["algorithm"] == compared["anchor"]
    texts = [full if is_own else text for text, full, is_own in zip(apart, whole[1:], own, strict=True)]
    return [
        f"{name} ({text})" if text else name for name, text in zip(compared["algorithm"], texts, strict=True)
    ]


def _cells(row: Any, name: str) -> list[str]:
    known = not math.isnan(row["bd_rate"])
    scale = units.metric_scale(row["unit"], [row["metric_low"]])
    span = f"{scale.text(row['metric_low'])} to {scale.text(row['metric_high'])}" if known else ""
    return [
        str(row["task"]),
        name,
        scale.header(row["metric_name"]),
        _signed(100 * row["bd_rate"], 100 * row["bd_rate_ci"], 1),
        _signed(scale.factor * row["bd_metric"], scale.factor * row["bd_metric_ci"], scale.places),
        span,
        units.number(100 * row["overlap"], 0),
        str(row["n"]),
    ]


def _signed(value: float, half: float, places: int) -> str:
    if math.isnan(value):
        return ""
    text = f"{value:+.{places}f}".replace("-", "−")
    return text if math.isnan(half) else f"{text} ±{half:.{places}f}"
