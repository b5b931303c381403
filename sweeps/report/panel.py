"""Draws one task's trade-off into its axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..results.frames import VALIDATION, uncompressed
from ..statistics.pareto import pareto_mask
from . import units
from .metric_axis import MetricAxis, log_ticks, view
from .styles import Curve, on

_REFERENCE = (0, (4, 3))
DARK, GREY = "#222222", "#777777"


def panel(
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
    axes.set_title(literal(str(summary["task"].iloc[0])), loc="left", fontsize=11, fontweight="bold")
    lost = {how: int(summary[f"n_{how}"].sum()) for how in ("failed", "stopped")}
    said = [f"{count} {'trial' if count == 1 else 'trials'} {how}" for how, count in lost.items() if count]
    axes.set_title(", ".join(said), loc="right", fontsize=8.5, color=GREY)
    if finished.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no trial has finished", ha="center", transform=axes.transAxes, color=GREY)
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
        ours = on(curve, curves)
        if ours.empty:
            continue
        _curve(axes, ours.sort_values("lmbda"), on(curve, trials), style, vertical)
    key = [*_others(axes, theirs, vertical), *key]
    if not baseline.empty:
        mean = baseline["metric"].mean()
        shown = vertical.scale.text(mean) + "%" * (vertical.scale.unit == "%")
        label = f"uncompressed: {shown}, {units.size(baseline['size_bytes'].mean())}"
        level = vertical.place(mean)
        key = [
            axes.axhline(
                float(level), color=DARK, linestyle=_REFERENCE, linewidth=1, zorder=1.5, label=label
            ),
            *key,
        ]
    if key:
        place = "lower right" if theirs.empty else "best"  # theirs may be anywhere
        axes.legend(handles=key, loc=place, fontsize=8.5, framealpha=0.9, edgecolor="none")
    axes.set_xlabel("compressed size", fontsize=10)
    split = finished["split"].iloc[0]
    name = f"{split} {finished['metric_name'].iloc[0]}".strip()
    axes.set_ylabel(literal(vertical.label(name)), fontsize=10)
    log_ticks(axes.xaxis, left, right, 6, units.size)
    vertical.set_ticks(axes.yaxis, best, worst)
    axes.grid(True, color="#E4E4E4", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)


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
    line = _line(means)
    axes.plot(x[line], y[line], color=color, linestyle=style["linestyle"], linewidth=1.4, zorder=3)
    for optimal, fill, edge, area in ((False, "white", color, 26), (True, color, DARK, 46)):
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


def _line(means: pd.DataFrame) -> np.ndarray:
    """Returns the indices of the points that a curve's line goes through, of points in the order of λ."""
    if means["overrides"].nunique() == 1:
        return np.arange(len(means))
    chosen = means[VALIDATION if means["chosen_on"].iloc[0] == VALIDATION else "metric"].to_numpy()
    sizes = means["size_bytes"].to_numpy()
    sign = -1 if means["direction"].iloc[0] == "lower" else 1
    own = np.flatnonzero(pareto_mask(sizes, sign * chosen))
    return own[np.argsort(sizes[own], kind="stable")]


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
            color=GREY,
            marker=marks[i % len(marks)],
            markeredgecolor="white",
            markeredgewidth=0.8,
            markersize=8,
            linewidth=0.8,
            linestyle=":",
            zorder=4.5,
            label=literal(f"{algorithm}, {source}{grade}"),
        )
        key.append(line)
    return key


def _bars(means: pd.DataFrame, name: str, centre: np.ndarray) -> list[np.ndarray]:
    """Returns how far bars reach below and above: an interval of three seeds or more, of two the range."""
    half = means[f"{name}_ci"].to_numpy()
    below = np.where(np.isnan(half), centre - means[f"{name}_low"], half)
    above = np.where(np.isnan(half), means[f"{name}_high"] - centre, half)
    return [below, above]


def _reach(curves: pd.DataFrame, name: str) -> np.ndarray:
    half = curves[f"{name}_ci"].fillna(0)  # a range of two seeds is where trials are, which are in view
    return np.concatenate([curves[name] - half, curves[name] + half])


def literal(text: str) -> str:
    """Escapes `$` in `text`, which matplotlib would read as mathematics."""
    return text.replace("$", r"\$")
