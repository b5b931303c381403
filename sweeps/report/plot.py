"""Draws the trade-off: size on a log axis against the metric, one line for each algorithm.

`metric_axis.py` says how metrics are spaced. Only the ends of intervals that are wider than the picture lie
outside of it.

matplotlib is used without pyplot, so drawing needs no display and may run in any thread.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..results.published import of_same_metric
from ..results.summary import summarise
from . import units
from .panel import DARK, GREY, literal, panel
from .styles import COLORS, Curve, curve_styles, on, shared

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", (0, (6, 1.5, 1, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 2)))
_NAME = "tradeoff"
_DPI = 200
_DEVICES = threading.Lock()  # matplotlib keeps the salt of its SVG identifiers in one global


def plot(frame: pd.DataFrame, out_dir: str | os.PathLike, others: pd.DataFrame | None = None) -> list[Path]:
    """Writes `tradeoff.png` and `tradeoff.svg`, one panel for each task; equal frames give equal files.

    Args:
      frame: as from `results.load_results`.
      out_dir: the folder to write to; made if it does not exist.
      others: figures of others, as `published.beside` takes them, drawn in grey.

    Returns:
      The paths of the two files.

    Raises:
      ResultError: as `results.summarise` does.
    """
    figure = draw(frame, others=others)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    png, svg = out_dir / f"{_NAME}.png", out_dir / f"{_NAME}.svg"
    figure.savefig(png, dpi=_DPI)
    with _DEVICES:
        salt = matplotlib.rcParams["svg.hashsalt"]
        matplotlib.rcParams["svg.hashsalt"] = "lambdapress"
        try:
            figure.savefig(svg, metadata={"Date": None})
        finally:
            matplotlib.rcParams["svg.hashsalt"] = salt
    return [png, svg]


def draw(
    frame: pd.DataFrame,
    axes: None | Axes | Iterable[Axes] = None,
    others: pd.DataFrame | None = None,
) -> Figure:
    """Draws the trade-off of each task.

    A line goes through an algorithm's means over seeds in the order of λ, with 95% intervals in both
    directions where there are three seeds or more, and the range of two. Where more than λ varies on a curve
    (other steps of one training, a search's settings) it goes through the curve's own Pareto-optimal means.
    Filled markers are Pareto-optimal within the task (on the validation split, as in the table), hollow ones
    are not; small dots are single trials. The uncompressed model is a dashed line, because its size is far
    off the axis; the legend gives the size.

    Args:
      frame: as from `results.load_results`, or a selection of its rows.
      axes: one for each task, in the order of the tasks' names; by default those of a new figure.
      others: figures of others, as `published.beside` takes them, drawn in grey.

    Returns:
      The figure. (A notebook shows it by itself after `%matplotlib inline`.)

    Raises:
      ValueError: if there are more or fewer `axes` than tasks.
      ResultError: as `results.summarise` does.
    """
    frame = frame.assign(curve=shared(frame["overrides"]))
    summary = summarise(frame)
    summary = summary.assign(curve=shared(summary["overrides"]))
    finished = summary[summary["n"] > 0]
    tasks = sorted(summary["task"].unique())
    styles = _styles(finished)
    key = _key(finished, styles)
    if axes is not None:
        panels = [axes] if isinstance(axes, Axes) else list(axes)
        if len(panels) != len(tasks):
            raise ValueError(
                f"`axes` has {len(panels)}, but the frame has {len(tasks)} tasks ({', '.join(tasks)}); "
                "give one for each, or none."
            )
        figure = cast(Figure, panels[0].figure)
        own_key = key
    else:
        across = min(len(tasks), 3)
        down = math.ceil(len(tasks) / across)
        figure = Figure(figsize=(max(5.6, 4.6 * across), 3.9 * down))
        figure.set_layout_engine("constrained", wspace=0.06, hspace=0.06)
        canvas = FigureCanvasAgg(figure)
        panels = list(figure.subplots(down, across, squeeze=False).ravel())
        for unused in panels[len(tasks) :]:
            unused.remove()
        own_key = []
        if key:
            _shared_legend(figure, canvas, key, across)
    for task, axes in zip(tasks, panels, strict=False):
        of_task = summary[summary["task"] == task]
        theirs = None if others is None else of_same_metric(of_task, others)
        panel(axes, of_task, frame[frame["task"] == task], theirs, styles, own_key)
    return figure


def _styles(summary: pd.DataFrame) -> dict[Curve, dict[str, Any]]:
    """Returns the look of each curve, the same in all panels."""
    return {
        curve: {
            "color": COLORS[style.color],
            "marker": _MARKERS[style.marker],
            "linestyle": _LINES[style.line],
            "label": literal(style.label),
        }
        for curve, style in curve_styles(summary).items()
    }


def _key(summary: pd.DataFrame, styles: dict[Curve, dict[str, Any]]) -> list[Line2D]:
    """Returns the legend that the panels share: the curves, then three marks; empty without curves."""
    lines = []
    for curve, style in styles.items():
        rows = on(curve, summary)
        ends = sorted({units.lmbda(rows["lmbda"].min()), units.lmbda(rows["lmbda"].max())}, key=float)
        label = f"{style['label']}, λ = {' to '.join(ends)}"
        lines.append(Line2D([], [], markersize=6, linewidth=1.4, **{**style, "label": label}))
    looks = (
        {"marker": "o", "markeredgecolor": DARK, "markersize": 7, "label": _optimal(summary)},
        {"marker": "o", "markerfacecolor": "white", "markersize": 5, "label": "dominated"},
        {
            "marker": ".",
            "markersize": 5,
            "alpha": 0.6,
            "label": "one trial (bars: 95% interval)",
        },
    )
    marks = [Line2D([], [], linestyle="none", color=GREY, **look) for look in looks]
    return lines + marks if lines else []


def _optimal(summary: pd.DataFrame) -> str:
    """Says what filled markers are, and on which split, if it is the same for all tasks."""
    chosen = set(summary["chosen_on"])
    return "Pareto-optimal" + (f" on {chosen.pop()}" if len(chosen) == 1 else "")


def _shared_legend(figure: Figure, canvas: FigureCanvasAgg, key: list[Line2D], across: int) -> None:
    """Draws the legend below the panels: curves in as many columns as fit, the marks in their own."""
    lines, marks = key[:-3], key[-3:]
    for columns in range(across, -1, -1):
        down = max(3, math.ceil(len(lines) / columns)) if columns else len(key)
        blank = [Line2D([], [], linestyle="none", label=" ")]
        gap = -len(lines) % down if columns else 0
        handles = lines + blank * gap + marks
        columns = math.ceil(len(handles) / down)
        legend = figure.legend(
            handles=handles + blank * (down * columns - len(handles)),
            loc="outside lower center",
            ncols=columns,
            fontsize=9,
            frameon=False,
            handlelength=3.4,
        )
        extent = legend.get_window_extent(canvas.get_renderer())
        if columns == 1 or extent.width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)
            return
        legend.remove()
