"""Shows results in a notebook: a table of means rather than a frame of sixty columns."""

from __future__ import annotations

import html
import json
import os
from typing import Any

import pandas as pd

from ..results.frames import flat
from ..results.frames import load_results as load_frame
from ..results.schema import ResultError
from ..results.summary import summarise

_MOST_ROWS = 60


class Results(pd.DataFrame):
    """A frame of trials that a notebook shows as a table of means over seeds.

    It is an ordinary frame in all else, and what is selected from it is one, too.
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str | None:
        try:
            summary = summarise(pd.DataFrame(self))
        except (KeyError, ResultError):  # columns were taken away, or two sweeps were put together
            return pd.DataFrame(self)._repr_html_()  # pyright: ignore[reportCallIssue]
        return table_html(summary)


def load_results(directory: str | os.PathLike, metric: str | None = None) -> Results:
    """Reads every `result.json` at any depth below `directory`, one row for each.

    Args, columns and errors are those of `frames.load_results`: a frame with the fields of the results, which
    a notebook shows as a table of means over seeds.
    """
    return Results(load_frame(directory, metric))


def table_html(summary: pd.DataFrame) -> str:
    """Returns the means of a summary as an HTML table; every text in it is escaped."""
    rows = summary[summary["n"] > 0]
    parts = []
    for task, own in rows.groupby("task", sort=False):
        first = own.iloc[0]
        percent = first["unit"] == "%"
        unit = f" ({first['unit']})" if first["unit"] else ""
        headers = ["", "algorithm", "settings", "λ", "n", "bytes", "ratio", f"{first['metric_name']}{unit}"]
        chosen = bool(own["validation"].notna().any())
        headers += ["validation"] if chosen else []
        lines = []
        for row in own.head(_MOST_ROWS).to_dict("records"):
            cells = [
                "★" if row["pareto"] else "",
                row["algorithm"],
                ", ".join(f"{k}={v}" for k, v in flat(json.loads(row["overrides"])).items()),
                f"{row['lmbda']:g}",
                f"{row['n']}",
                _number(row["size_bytes"], row["size_bytes_ci"], 0),
                f"{row['ratio']:.3g}×",
                _metric(row, "metric", percent),
            ]
            lines.append(_line("td", [*cells, _metric(row, "validation", percent)] if chosen else cells))
        left = len(own) - len(lines)
        more = f"<caption>{left} more rows: summarise(…) has them.</caption>" if left else ""
        title = html.escape(f"{task}: means over seeds, ★ Pareto-optimal on {first['chosen_on']}")
        parts.append(f"<p>{title}</p><table>{more}{_line('th', headers)}{''.join(lines)}</table>")
    lost = {how: int(summary[f"n_{how}"].sum()) for how in ("failed", "stopped")}
    said = ", ".join(f"{count} {how}" for how, count in lost.items() if count)
    return "".join(parts) + (f"<p>{said}</p>" if said else "") or "<p>No trial has finished.</p>"


def _line(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _metric(row: dict[Any, Any], name: str, percent: bool) -> str:
    factor, places = (100, 2) if percent else (1, 4)
    return _number(factor * row[name], factor * row[f"{name}_ci"], places)


def _number(value: float, half: float, places: int) -> str:
    if value != value:
        return ""
    return f"{value:,.{places}f}" + (f" ±{half:,.{places}f}" if half == half else "")
