"""Draws the trade-off: size on a log axis against the metric, one line for each algorithm.

The metric's axis is spaced by the logarithm of the error, 1 − metric, and labelled with the metric. A
researcher looks for small losses close to the baseline (98.9 or 98.6%), but a sweep's largest λ often
breaks the model (10%). On a linear axis the broken models would make the small losses invisible, and a
shorter axis would cut the broken models off. With equal steps for equal factors of error both are
readable. Only the ends of intervals that are wider than the picture lie outside of it.

matplotlib is used without pyplot, so drawing needs no display and may run in any thread.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from ..results.frames import uncompressed
from ..results.summary import summarise
from . import units
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


def plot(frame: pd.DataFrame, out_dir: str | os.PathLike) -> list[Path]:
    """Writes `tradeoff.png` and `tradeoff.svg`, one panel for each task; equal frames give equal files.

    Args:
      frame: as from `results.load_results`.
      out_dir: the folder to write to; made if it does not exist.

    Returns:
      The paths of the two files.

    Raises:
      ResultError: as `results.summarise` does.
    """
    figure = draw(frame)
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


def draw(frame: pd.DataFrame, axes: None | Axes | Iterable[Axes] = None) -> Figure:
    """Draws the trade-off of each task.

    A line goes through an algorithm's means over seeds in the order of λ, with 95% intervals in
    both directions where there are three seeds or more, and the range of two. Filled markers are
    Pareto-optimal within the task, hollow ones are not; small dots are single trials. The uncompressed model
    is a dashed line, because its size is far off the axis; the legend gives the size.

    Args:
      frame: as from `results.load_results`, or a selection of its rows.
      axes: one for each task, in the order of the tasks' names; by default those of a new figure.

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
        _panel(panel, summary[summary["task"] == task], frame[frame["task"] == task], styles, own_key)
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
    styles: dict[Curve, dict[str, Any]],
    key: list[Line2D],
) -> None:
    finished = summary[summary["n"] > 0]
    curves, baseline = finished[~uncompressed(finished)], finished[uncompressed(finished)]
    trials = frame[(frame["status"] == "ok") & ~uncompressed(frame)]
    failed = int(summary["n_failed"].sum())
    axes.set_title(_literal(str(summary["task"].iloc[0])), loc="left", fontsize=11, fontweight="bold")
    if failed:
        noun = "trial" if failed == 1 else "trials"
        axes.set_title(f"{failed} {noun} failed", loc="right", fontsize=8.5, color=_GREY)
    if finished.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no trial has finished", ha="center", transform=axes.transAxes, color=_GREY)
        return

    metrics = np.concatenate([trials["metric"], baseline["metric"]])
    floor = _smallest_error(metrics)
    bottom, top = _view(np.maximum(1 - metrics, floor), _reach(curves, "metric", lambda m: 1 - m), 1.15)
    sizes = trials["size_bytes"].to_numpy() if len(trials) else baseline["size_bytes"].to_numpy()
    left, right = _view(sizes, _reach(curves, "size_bytes", lambda size: size), 1.15)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(min(top, 1.2), bottom)  # upside down: the error falls upwards
    for curve, style in styles.items():
        ours = curves[(curves["algorithm"] == curve[0]) & (curves["overrides"] == curve[1])]
        if ours.empty:
            continue
        dots = trials[(trials["algorithm"] == curve[0]) & (trials["overrides"] == curve[1])]
        _curve(axes, ours.sort_values("lmbda"), dots, style, floor)
    if not baseline.empty:
        mean = baseline["metric"].mean()
        label = f"uncompressed: {units.percent(mean)}%, {units.size(baseline['size_bytes'].mean())}"
        level = max(1 - mean, floor)
        key = [
            axes.axhline(level, color=_DARK, linestyle=_REFERENCE, linewidth=1, zorder=1.5, label=label),
            *key,
        ]
    if key:
        axes.legend(handles=key, loc="lower right", fontsize=8.5, framealpha=0.9, edgecolor="none")
    metric = _literal(str(summary["metric_name"].iloc[0]))
    axes.set_xlabel("compressed size", fontsize=10)
    axes.set_ylabel(f"{metric} (%), log scale of the error", fontsize=10)
    _ticks(axes.xaxis, left, right, 6, units.size)
    _ticks(axes.yaxis, bottom, min(top, 1.0), 8, lambda error: f"{100 * (1 - error):.6g}")
    if metrics.max() == 1:
        _mark_perfect(axes, floor)
    axes.grid(True, color="#E4E4E4", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, color=_GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)


def _curve(
    axes: Axes, means: pd.DataFrame, trials: pd.DataFrame, style: dict[str, Any], floor: float
) -> None:
    color = style["color"]
    x = means["size_bytes"].to_numpy()
    metric = means["metric"].to_numpy()
    y = np.maximum(1 - metric, floor)
    # An interval may reach 0, which a log axis lacks; its bar then runs to the edge of the picture.
    smaller, larger = _bars(means, "size_bytes", x)
    worse, better = _bars(means, "metric", metric)
    bars_x = [np.minimum(smaller, x * (1 - 1e-6)), larger]
    bars_y = [np.minimum(better, y * (1 - 1e-6)), worse]  # the axis is of the error
    axes.scatter(
        trials["size_bytes"],
        np.maximum(1 - trials["metric"], floor),
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
        {"marker": "o", "markeredgecolor": _DARK, "markersize": 7, "label": "Pareto-optimal"},
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


def _smallest_error(metrics: np.ndarray) -> float:
    """Returns the place of an error of 0, which a log axis lacks: half the smallest other error.

    `_mark_perfect` labels it 100%.
    """
    errors = 1 - metrics[metrics < 1]
    return float(errors.min() / 2) if len(errors) else 1e-4


def _reach(curves: pd.DataFrame, name: str, transform: Callable[[Any], Any]) -> np.ndarray:
    half = curves[f"{name}_ci"].fillna(0)  # a range of two seeds is where trials are, which are in view
    return transform(np.concatenate([curves[name] - half, curves[name] + half]))


def _view(values: np.ndarray, reach: np.ndarray, margin: float) -> tuple[float, float]:
    """Returns limits around all `values`, and around `reach` (intervals) up to a factor of 1.3 beyond."""
    low, high = float(values.min()), float(values.max())
    if len(reach):
        low, high = min(low, max(reach.min(), low / 1.3)), max(high, min(reach.max(), high * 1.3))
    return low / margin, high * margin


def _ticks(axis: Axis, low: float, high: float, most: int, text: Callable[[float], str]) -> None:
    """Sets at most `most` ticks at round numbers, on an axis of a few percent or of many decades."""
    decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(decades, steps).ravel()
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) <= most:
            break
    if len(ticks) < 3:
        ticks = np.asarray(MaxNLocator(most - 2).tick_values(low, high))
        ticks = ticks[(ticks >= low) & (ticks <= high)]
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FixedFormatter([text(tick) for tick in ticks]))
    axis.set_minor_locator(NullLocator())


def _mark_perfect(axes: Axes, floor: float) -> None:
    """Labels `floor` as a metric of 100%: it stands for an error of 0."""
    ticks = np.asarray(axes.yaxis.get_majorticklocs())
    texts = [text.get_text() for text in axes.yaxis.get_ticklabels()]
    kept = [(tick, text) for tick, text in zip(ticks, texts, strict=True) if tick > 1.3 * floor]
    axes.yaxis.set_major_locator(FixedLocator([floor, *(tick for tick, _ in kept)]))
    axes.yaxis.set_major_formatter(FixedFormatter(["100", *(text for _, text in kept)]))


def _literal(text: str) -> str:
    """Escapes `$` in `text`, which matplotlib would read as mathematics."""
    return text.replace("$", r"\$")
