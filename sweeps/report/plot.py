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
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..results.frames import uncompressed
from ..results.published import of_same_metric
from ..results.summary import summarise
from . import units
from .metric_axis import MetricAxis, log_ticks, view
from .override_texts import settings

# P. Tol's high-contrast and medium-contrast schemes: distinct for the colour-blind, and in grey.
_COLORS = ("#004488", "#BB5566", "#DDAA33", "#6699CC", "#994455", "#997700", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", (0, (6, 1.5, 1, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 2)))
_REFERENCE = (0, (4, 3))
_DARK, _GREY = "#222222", "#777777"
_NAME = "tradeoff"
_DPI = 200
_DEVICES = threading.Lock()  # matplotlib keeps the salt of its SVG identifiers in one global

Curve = tuple[str, str]  # an algorithm and its overrides


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

    A line goes through an algorithm's means over seeds in the order of λ, with 95% intervals in
    both directions where there are three seeds or more, and the range of two. Filled markers are
    Pareto-optimal within the task (on the validation split, as in the table), hollow ones are not; small dots
    are single trials. The uncompressed model is a dashed line, because its size is far off the axis; the
    legend gives the size.

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
    summary = summarise(frame)
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
    for task, panel in zip(tasks, panels, strict=False):
        of_task = summary[summary["task"] == task]
        theirs = None if others is None else of_same_metric(of_task, others)
        _panel(panel, of_task, frame[frame["task"] == task], theirs, styles, own_key)
    return figure


def _styles(summary: pd.DataFrame) -> dict[Curve, dict[str, Any]]:
    """Returns the look of each curve, the same in all panels."""
    compressed = summary[~uncompressed(summary)]
    curves = sorted(set(zip(compressed["algorithm"], compressed["overrides"], strict=True)))
    texts, _ = settings([overrides for _, overrides in curves])
    return {
        curve: {
            "color": _COLORS[i % len(_COLORS)],
            "marker": _MARKERS[(i + i // len(_MARKERS)) % len(_MARKERS)],
            "linestyle": _LINES[i % len(_LINES)],
            "label": _literal(f"{curve[0]} ({text})" if text else curve[0]),
        }
        for i, (curve, text) in enumerate(zip(curves, texts, strict=True))
    }


def _panel(
    axes: Axes,
    summary: pd.DataFrame,
    frame: pd.DataFrame,
    others: pd.DataFrame | None,
    styles: dict[Curve, dict[str, Any]],
    key: list[Line2D],
) -> None:
    finished = summary[summary["n"] > 0]
    curves, baseline = finished[~uncompressed(finished)], finished[uncompressed(finished)]
    trials = frame[(frame["status"] == "ok") & ~uncompressed(frame)]
    axes.set_title(_literal(str(summary["task"].iloc[0])), loc="left", fontsize=11, fontweight="bold")
    lost = {how: int(summary[f"n_{how}"].sum()) for how in ("failed", "stopped")}
    said = [f"{count} {'trial' if count == 1 else 'trials'} {how}" for how, count in lost.items() if count]
    axes.set_title(", ".join(said), loc="right", fontsize=8.5, color=_GREY)
    if finished.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no trial has finished", ha="center", transform=axes.transAxes, color=_GREY)
        return

    theirs = finished.iloc[:0] if others is None else others
    metrics = np.concatenate([trials["metric"], baseline["metric"], theirs["metric"]])
    vertical = MetricAxis.of(metrics, finished["direction"].iloc[0], finished["unit"].iloc[0])
    best, worst = vertical.view(metrics, _reach(curves, "metric"))
    shown = trials if len(trials) else baseline
    sizes = np.concatenate([shown["size_bytes"], theirs["size_bytes"]])
    left, right = view(sizes, _reach(curves, "size_bytes"))
    axes.set_xscale("log")
    axes.set_yscale("log" if vertical.log else "linear")
    axes.set_xlim(left, right)
    axes.set_ylim(worst, best)  # upside down: the loss falls upwards
    for curve, style in styles.items():
        ours = curves[(curves["algorithm"] == curve[0]) & (curves["overrides"] == curve[1])]
        if ours.empty:
            continue
        dots = trials[(trials["algorithm"] == curve[0]) & (trials["overrides"] == curve[1])]
        _curve(axes, ours.sort_values("lmbda"), dots, style, vertical)
    key = [*_others(axes, theirs, vertical), *key]
    if not baseline.empty:
        mean = baseline["metric"].mean()
        shown = vertical.scale.text(mean) + "%" * (vertical.scale.unit == "%")
        label = f"uncompressed: {shown}, {units.size(baseline['size_bytes'].mean())}"
        level = vertical.place(mean)
        key = [
            axes.axhline(
                float(level), color=_DARK, linestyle=_REFERENCE, linewidth=1, zorder=1.5, label=label
            ),
            *key,
        ]
    if key:
        place = "lower right" if theirs.empty else "best"  # theirs may be anywhere
        axes.legend(handles=key, loc=place, fontsize=8.5, framealpha=0.9, edgecolor="none")
    axes.set_xlabel("compressed size", fontsize=10)
    split = finished["split"].iloc[0]
    name = f"{split} {finished['metric_name'].iloc[0]}".strip()
    axes.set_ylabel(_literal(vertical.label(name)), fontsize=10)
    log_ticks(axes.xaxis, left, right, 6, units.size)
    vertical.set_ticks(axes.yaxis, best, worst)
    axes.grid(True, color="#E4E4E4", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, color=_GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)


def _curve(
    axes: Axes, means: pd.DataFrame, trials: pd.DataFrame, style: dict[str, Any], vertical: MetricAxis
) -> None:
    color = style["color"]
    x = means["size_bytes"].to_numpy()
    metric = means["metric"].to_numpy()
    y = vertical.place(metric)
    # An interval may reach 0, which a log axis lacks; its bar then runs to the edge of the picture.
    smaller, larger = _bars(means, "size_bytes", x)
    bars_x = [np.minimum(smaller, x * (1 - 1e-6)), larger]
    below, above = _bars(means, "metric", metric)
    ends = np.sort([vertical.loss(metric - below), vertical.loss(metric + above)], axis=0)
    most = y * (1 - 1e-6) if vertical.log else np.inf
    bars_y = [np.clip(y - ends[0], 0, most), np.maximum(ends[1] - y, 0)]
    axes.scatter(
        trials["size_bytes"],
        vertical.place(trials["metric"].to_numpy()),
        s=9,
        color=color,
        alpha=0.5,
        linewidths=0,
        zorder=2,
    )
    axes.errorbar(
        x,
        y,
        xerr=bars_x,
        yerr=bars_y,
        fmt="none",
        ecolor=color,
        elinewidth=0.7,
        capsize=1.6,
        alpha=0.5,
        zorder=2.5,
    )
    axes.plot(x, y, color=color, linestyle=style["linestyle"], linewidth=1.4, zorder=3)
    for optimal, fill, edge, area in ((False, "white", color, 26), (True, color, _DARK, 46)):
        chosen = means["pareto"].to_numpy() == optimal
        axes.scatter(
            x[chosen],
            y[chosen],
            s=area,
            marker=style["marker"],
            color=fill,
            edgecolors=edge,
            linewidths=1.1,
            zorder=4,
        )


def _others(axes: Axes, others: pd.DataFrame, vertical: MetricAxis) -> list[Line2D]:
    """Draws the figures of others in grey; returns their part of the panel's legend."""
    key = []
    marks = ("p", "h", "8", "<", ">", "d", "*", "X")
    groups = others.groupby(["source", "algorithm"], sort=False) if len(others) else []
    for i, ((source, algorithm), rows) in enumerate(groups):
        rows = rows.sort_values("size_bytes")
        grade = f" [{rows['grade'].iloc[0]}]" if rows["grade"].iloc[0] else ""
        (line,) = axes.plot(
            rows["size_bytes"],
            vertical.place(rows["metric"].to_numpy()),
            color=_GREY,
            marker=marks[i % len(marks)],
            markeredgecolor="white",
            markeredgewidth=0.8,
            markersize=8,
            linewidth=0.8,
            linestyle=":",
            zorder=4.5,
            label=_literal(f"{algorithm}, {source}{grade}"),
        )
        key.append(line)
    return key


def _bars(means: pd.DataFrame, name: str, centre: np.ndarray) -> list[np.ndarray]:
    """Returns how far bars reach below and above: an interval of three seeds or more, of two the range."""
    half = means[f"{name}_ci"].to_numpy()
    below = np.where(np.isnan(half), centre - means[f"{name}_low"], half)
    above = np.where(np.isnan(half), means[f"{name}_high"] - centre, half)
    return [below, above]


def _key(summary: pd.DataFrame, styles: dict[Curve, dict[str, Any]]) -> list[Line2D]:
    """Returns the legend that the panels share: the curves, then three marks; empty without curves."""
    lines = []
    for (algorithm, overrides), style in styles.items():
        rows = summary[(summary["algorithm"] == algorithm) & (summary["overrides"] == overrides)]
        ends = sorted({units.lmbda(rows["lmbda"].min()), units.lmbda(rows["lmbda"].max())}, key=float)
        label = f"{style['label']}, λ = {' to '.join(ends)}"
        lines.append(Line2D([], [], markersize=6, linewidth=1.4, **{**style, "label": label}))
    looks = (
        {"marker": "o", "markeredgecolor": _DARK, "markersize": 7, "label": _optimal(summary)},
        {"marker": "o", "markerfacecolor": "white", "markersize": 5, "label": "dominated"},
        {
            "marker": ".",
            "markersize": 5,
            "alpha": 0.6,
            "label": "one trial (bars: 95% interval)",
        },
    )
    marks = [Line2D([], [], linestyle="none", color=_GREY, **look) for look in looks]
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


def _reach(curves: pd.DataFrame, name: str) -> np.ndarray:
    half = curves[f"{name}_ci"].fillna(0)  # a range of two seeds is where trials are, which are in view
    return np.concatenate([curves[name] - half, curves[name] + half])


def _literal(text: str) -> str:
    """Escapes `$` in `text`, which matplotlib would read as mathematics."""
    return text.replace("$", r"\$")
