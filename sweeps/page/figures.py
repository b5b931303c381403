"""Draws a report's figures for notebooks, with plotly."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..report.metric_axis import MetricAxis
from ..report.styles import COLORS, curve_styles, on, shared
from ..report.units import metric_scale
from ..report.units import size as size_text
from ..results.frames import load_results, uncompressed
from ..results.summary import summarise
from .details import details
from .html import ReportError

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
_DASHES = ("solid", "dashdot", "dot", "longdashdot", "longdash")


def figure(
    results: str | os.PathLike | pd.DataFrame,
    kind: str = "tradeoff",
    *,
    task: str | None = None,
    algorithm: str | None = None,
    x: str = "size_bytes",
) -> go.Figure:
    """Draws one figure of a report.

    >>> figure("runs/digits")  # doctest: +SKIP
    >>> figure("runs/digits", "layers", algorithm="epr")  # doctest: +SKIP

    Args:
      results: a folder, or a frame as from `load_results` or a selection of its rows.
      kind: `tradeoff`: a number of the models against the metric that counts. `layers`: bytes of each weight
        along λ. `training`: what each trial's epochs have shown.
      task: whose trials; needed where there are several.
      algorithm: whose trials; for `layers` needed where there are several. None: all.
      x: for `tradeoff`, a column of a summary that has means: `size_bytes`, `ratio`, `bits_per_weight`,
        `multiply_adds`, `train_seconds`, …

    Returns:
      A figure of plotly, which a notebook shows.

    Raises:
      ReportError: where plotly is not installed.
      ValueError: for another kind, task, algorithm or column, and where one must be said.
      ResultError: as `load_results`.
    """
    drawings: dict[str, Callable[[pd.DataFrame, str], go.Figure]] = {
        "tradeoff": _tradeoff,
        "layers": _layers,
        "training": _training,
    }
    if kind not in drawings:
        raise ValueError(f"kind is {kind!r}; give one of {', '.join(drawings)}.")
    frame = results if isinstance(results, pd.DataFrame) else load_results(results)
    frame = pd.DataFrame(frame)
    frame = _only(frame, "task", task)
    if algorithm is not None or kind == "layers":
        compressed = frame[~uncompressed(frame)] if kind == "layers" else frame
        frame = _only(compressed, "algorithm", algorithm)
    return drawings[kind](frame, x)


def _only(frame: pd.DataFrame, column: str, value: str | None) -> pd.DataFrame:
    found = sorted(frame[column].unique())
    if value is None and len(found) <= 1:
        return frame
    if value not in found:
        raise ValueError(f"{column} is {value!r}; the results have {', '.join(found)}.")
    return frame[frame[column] == value]


def _go() -> Any:
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ReportError(f"Figures need plotly ({error}): pip install 'lambdapress[report]'.") from None
    return go


def _tradeoff(frame: pd.DataFrame, x: str) -> go.Figure:
    go = _go()
    summary = summarise(frame)
    summary = summary[summary["n"] > 0].assign(curve=shared(summary["overrides"][summary["n"] > 0]))
    if x not in summary or not pd.api.types.is_numeric_dtype(summary[x]):
        raise ValueError(f"x is {x!r}; give a column of means, such as 'size_bytes' or 'train_seconds'.")
    first = summary.iloc[0]
    axis = MetricAxis.of(summary["metric"].to_numpy(), first["direction"], first["unit"])
    scale = metric_scale(first["unit"], summary["metric"])
    show = size_text if x.endswith("bytes") else lambda value: f"{value:.4g}"
    drawn = go.Figure()
    for curve, style in curve_styles(summary).items():
        rows = on(curve, summary)
        rows = rows[~uncompressed(rows)].sort_values("lmbda")
        drawn.add_trace(
            go.Scatter(
                x=rows[x],
                y=axis.place(rows["metric"]),
                name=_text(style.label),
                mode="lines+markers",
                line={"color": COLORS[style.color], "dash": _DASHES[style.line]},
                marker={
                    "size": [11 if optimal else 8 for optimal in rows["pareto"]],
                    "symbol": [
                        _SYMBOLS[style.marker] + ("" if optimal else "-open") for optimal in rows["pareto"]
                    ],
                },
                text=[
                    _text(f"{style.label} λ={row['lmbda']:g}: {show(row[x])}, {scale.text(row['metric'])}")
                    for row in rows.to_dict("records")
                ],
                hoverinfo="text",
            )
        )
    ours = summary[~uncompressed(summary)] if (~uncompressed(summary)).any() else summary
    ends = [ours[x].min(), ours[x].max()]
    for row in summary[uncompressed(summary)].to_dict("records"):
        drawn.add_trace(
            go.Scatter(
                x=ends,
                y=[float(axis.place(row["metric"]))] * 2,
                name=_text(f"uncompressed: {scale.text(row['metric'])}, {show(row[x])}"),
                mode="lines",
                line={"dash": "dash", "width": 1, "color": "#777777"},
            )
        )
    places = axis.place(summary["metric"])
    ticks = {} if not axis.log else _log_axis(axis, places)
    name = f"{first['split']} {first['metric_name']}".strip()
    drawn.update_layout(
        title=_text(str(first["task"])),
        xaxis={"title": x, "type": "log" if (summary[x] > 0).all() else "linear"},
        yaxis={"title": _text(scale.header(name)), **ticks},
        template="plotly_white",
    )
    return drawn


def _log_axis(axis: MetricAxis, places: np.ndarray) -> dict[str, Any]:
    """Returns an axis of losses, better up, that is labelled with metrics."""
    low, high = float(places.min()) / 1.15, float(places.max()) * 1.15
    values = [float(f"{value:.2g}") for value in np.geomspace(low, high, 7)[1:-1]]
    texts = [f"{axis.scale.factor * axis.loss(value):.6g}" for value in values]
    ends = [float(np.log10(high)), float(np.log10(low))]
    return {"type": "log", "range": ends, "tickvals": values, "ticktext": texts}


def _layers(frame: pd.DataFrame, x: str) -> go.Figure:
    del x
    go = _go()
    found = details(frame[frame["status"] == "ok"])
    rows = []
    for identity, task, lmbda in frame[["identity", "task", "lmbda"]].itertuples(index=False):
        weights = found["details"].get(identity, {}).get("weights", {})
        if isinstance(weights, list):
            weights = dict(zip(found["paths"][task], weights, strict=True))
        rows += [{"lmbda": lmbda, "weight": path, "bytes": size} for path, size in weights.items()]
    drawn = go.Figure()
    if rows:
        table = pd.DataFrame(rows).groupby(["weight", "lmbda"], sort=False)["bytes"].mean().unstack()
        for path in table.sum(axis=1).sort_values(ascending=False).index:
            drawn.add_trace(
                go.Bar(x=[f"{lmbda:g}" for lmbda in table.columns], y=table.loc[path], name=_text(path))
            )
    drawn.update_layout(
        barmode="stack",
        title=_text(f"{frame['task'].iloc[0]}, {frame['algorithm'].iloc[0]}"),
        xaxis={"title": "λ", "type": "category"},
        yaxis={"title": "bytes, mean over trials"},
        template="plotly_white",
    )
    return drawn


def _training(frame: pd.DataFrame, x: str) -> go.Figure:
    del x
    go = _go()
    from plotly.subplots import make_subplots

    found = details(frame[frame["status"] == "ok"])["details"]
    epochs = {identity: one["epochs"] for identity, one in found.items() if one["epochs"].get("epoch")}
    names = sorted({name for one in epochs.values() for name in one} - {"epoch"})
    if not names:
        return go.Figure(layout={"title": "None of these trials was trained."})
    drawn = make_subplots(rows=len(names), cols=1, shared_xaxes=True, row_titles=[_text(n) for n in names])
    labels = {
        row["identity"]: f"{row['algorithm']} λ={row['lmbda']:g} seed {row['seed']}"
        for row in frame.to_dict("records")
    }
    for i, (identity, one) in enumerate(epochs.items()):
        for number, name in enumerate(names):
            drawn.add_trace(
                go.Scatter(
                    x=one["epoch"],
                    y=one.get(name, []),
                    name=_text(labels[identity]),
                    legendgroup=identity,
                    showlegend=number == 0,
                    line={"color": COLORS[i % len(COLORS)]},
                ),
                row=number + 1,
                col=1,
            )
    drawn.update_layout(template="plotly_white", height=160 + 140 * len(names))
    drawn.update_xaxes(title="epoch", row=len(names), col=1)
    return drawn


def _text(text: str) -> str:
    """Escapes a text for plotly, which reads a little HTML."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
