"""Renders the measurements of `benchmark` as a table: for the terminal, a document or a program."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import rich.box
import rich.console
import rich.table

from ..report import units
from .benchmark import BATCHES


def _milliseconds(value: float) -> str:
    return units.number(1000 * value, units.decimals(1000 * value))


def _megabytes(value: float) -> str:
    return units.number(value / 1e6, 1)


def _columns() -> Mapping[str, tuple[str, Callable[[Any], str]]]:
    """Returns, by name in the frame, each column's header and the function that formats its values."""
    columns: dict[str, tuple[str, Callable[[Any], str]]] = {
        "bytes": ("bytes", lambda value: units.number(value, 0)),
        "zipped_bytes": ("zipped", lambda value: units.number(value, 0)),
        "metric": ("metric", lambda value: units.number(value, 4)),
        "difference": ("differs by", lambda value: f"{value:.0e}" if value else "0"),
        "threads": ("threads", lambda value: units.number(value, 0)),
        "load_seconds": ("load ms", _milliseconds),
        "peak_bytes": ("peak MB", _megabytes),
    }
    for batch in BATCHES:
        if batch == BATCHES[0]:
            columns[f"b{batch}_first"] = (f"first ×{batch}, ms", _milliseconds)
        columns[f"b{batch}_median"] = (f"×{batch}, ms", _milliseconds)
        columns[f"b{batch}_p95"] = ("95%", _milliseconds)
        columns[f"b{batch}_ratio"] = ("to plain", lambda value: f"{units.number(value, 2)}×")
    return columns


def render(frame: pd.DataFrame, style: str = "terminal", width: int = 130) -> str:
    """Renders the frame of `benchmark` as a table.

    Args:
      frame: from `benchmark`.
      style: `terminal`, `markdown` or `csv` (every column, in full precision).
      width: of the terminal, in characters.
    """
    if style == "csv":
        return frame.to_csv(index=False, lineterminator="\n")
    columns = {name: column for name, column in _columns().items() if name in frame}
    headers = ["format", "decode", *(header for header, _ in columns.values())]
    rows, errors = [], []
    for _, row in frame.iterrows():
        shown = [
            "" if value is None or math.isnan(value) else show(value)
            for value, (_, show) in ((row[name], column) for name, column in columns.items())
        ]
        rows.append([row["format"], row["decode"], *shown])
        if isinstance(row.get("error"), str):
            errors.append(f"{row['format']} {row['decode']}: {row['error']}")
    if style == "markdown":
        lines = [headers, [":--"] * 2 + ["--:"] * len(columns), *rows]
        return (
            "\n".join([*(f"| {' | '.join(line)} |" for line in lines), *(f"\n{error}" for error in errors)])
            + "\n"
        )
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, header in enumerate(headers):
        table.add_column(header, justify="left" if index < 2 else "right", no_wrap=index >= 2)
    for row in rows:
        table.add_row(*row)
    console = rich.console.Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return "\n".join([*(line.rstrip() for line in capture.get().splitlines()), *errors]) + "\n"
