"""Renders a summary as a table: for the terminal, for a README, or for another program."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Sequence

import pandas as pd
import rich.box
import rich.console
import rich.measure
import rich.table
import rich.text

from ..results.frames import VALIDATION, uncompressed
from ..results.published import GRADES
from ..results.schema import BASELINE
from ..results.summary import USEFUL
from ..statistics.significance import LEVEL
from . import units
from .override_texts import settings

STYLES = ("terminal", "csv", "markdown")
STAR, STALE = "★", "†"
_IN_KILOBYTES = 10_000_000  # from this many bytes on, a table's sizes are in kB


def render(
    summary: pd.DataFrame, style: str = "terminal", *, width: int = 110, ansi: bool | None = None
) -> str:
    """Renders the size-metric table of `summary`, with Pareto-optimal rows marked.

    "terminal" and "markdown" have one table for each task, and below them the hypervolume of each
    algorithm and each stopped or failed trial with its reason. "±" is half a 95% interval; it is missing
    where a row has a single seed. "csv" has the columns of `results.summarise`, in full precision.

    Args:
      summary: as from `results.summarise`, or as from `published.beside`, which adds rows to it.
      style: "terminal", "csv" or "markdown".
      width: columns of the terminal. Names are folded to fit; a number is never cut.
      ansi: whether bold print may be used; by default only if standard output is a terminal.

    Returns:
      The text, ending in a line break.

    Raises:
      ValueError: for another style.
    """
    if style not in STYLES:
        raise ValueError(f"Unknown table style {style!r} (available: {', '.join(STYLES)})")
    if style == "csv":
        return summary.to_csv(index=False, lineterminator="\n")
    tables = [_table(of_task) for _, of_task in summary.groupby("task", sort=False)]
    if style == "markdown":
        return "\n\n".join([*map(_markdown, tables), _markdown_notes(summary)]) + "\n"
    if ansi is None:
        ansi = rich.console.Console().is_terminal
    return _terminal(tables, summary, width, ansi)


@dataclasses.dataclass(frozen=True)
class _Table:
    """A task's table as text, before it has a style."""

    title: str
    remarks: list[str]
    headers: list[str]
    names: int  # number of columns on the left that hold names, which may be folded
    rows: list[list[str]]
    pareto: list[bool]


def _table(rows: pd.DataFrame) -> _Table:
    metric = rows["metric_name"].iloc[0]
    scale = units.metric_scale(rows["unit"].iloc[0], rows["metric"])
    sources = list(rows["source"]) if "source" in rows else [""] * len(rows)
    ours = sources.count("")  # published rows follow them
    texts, common = settings(list(rows["overrides"][:ours]))
    in_kb = rows["size_bytes"].max() >= _IN_KILOBYTES
    per_unit, unit, places = (1e-3, "kB", 1) if in_kb else (1, "bytes", 0)

    columns = {
        "": [STAR if optimal else "" for optimal in rows["pareto"]],
        "algorithm": [
            f"{name}{STALE}" if stale else name
            for name, stale in zip(rows["algorithm"], rows["stale"], strict=True)
        ],
    }
    if any(sources):
        columns["source"] = sources
        grades = [_graded(*row) for row in zip(rows["grade"], rows["counts"], strict=True)]
        if any(grades):
            columns["grade"] = grades
    if any(texts):
        columns["settings"] = texts + [""] * (len(rows) - ours)
    names = len(columns)
    columns["λ"] = [units.lmbda(value) for value in rows["lmbda"]]
    columns["n"] = ["" if source else str(n) for n, source in zip(rows["n"], sources, strict=True)]
    for name in ("failed", "stopped"):
        if rows[f"n_{name}"].any():
            columns[name] = [str(n) if n else "" for n in rows[f"n_{name}"]]
    columns[f"size ({unit})"] = _with_intervals(rows, "size_bytes", per_unit, places)
    columns["ratio"] = _with_intervals(rows, "ratio", suffix="×")
    columns[scale.header(metric)] = _with_intervals(rows, "metric", scale.factor, scale.places, ranges=True)
    if (rows["chosen_on"] == VALIDATION).any():
        columns[VALIDATION] = [scale.text(value) for value in rows["validation"]]
    if rows["metric_drop"].notna().any():
        columns[_worse(rows)] = _drops(rows, scale)
    if rows["p_dominated"].notna().any():
        columns["dom."] = [f"{p:.0%}" if p == p else "" for p in rows["p_dominated"]]
    columns["train (s)"] = _aligned([units.seconds(value) for value in rows["train_seconds"]], [""])
    if (rows["all_train_seconds"] > rows["train_seconds"]).any():  # some began where others had ended
        columns["in all (s)"] = _aligned([units.seconds(value) for value in rows["all_train_seconds"]], [""])
        columns["epochs in all"] = [f"{value:.0f}" if value == value else "" for value in rows["all_epochs"]]
    return _Table(
        title=str(rows["task"].iloc[0]),
        remarks=[*_remarks(rows, scale), *common],
        headers=list(columns),
        names=names,
        rows=[list(row) for row in zip(*columns.values(), strict=True)],
        pareto=list(rows["pareto"]),
    )


def _graded(grade: str, counts: str) -> str:
    """Returns how sure a figure of others is, and what its size is of, unless that is the whole file."""
    return f"{grade}, {counts}" if counts not in ("", "file") else grade


def _worse(rows: pd.DataFrame) -> str:
    """Names a change for the worse: a drop, or a rise where lower is better."""
    return "rise" if rows["direction"].iloc[0] == "lower" else "drop"


def _drops(rows: pd.DataFrame, scale: units.Scale) -> list[str]:
    drops = rows["metric_drop"].where(~uncompressed(rows))
    halves = rows["metric_drop_ci"].where(~uncompressed(rows))
    return _aligned(
        [scale.text(drop).replace("-", "−") for drop in drops],
        [
            f"±{scale.text(half)}{'*' if p <= LEVEL else ' '}" if half == half else ""
            for half, p in zip(halves, rows["metric_drop_p"], strict=True)
        ],
    )


def _remarks(rows: pd.DataFrame, scale: units.Scale) -> list[str]:
    """Returns the lines above a table: baseline, splits, and what keeps rows from being comparable."""
    metric, worse = rows["metric_name"].iloc[0], _worse(rows)
    ours = rows[rows["n"] > 0]
    baselines = sorted({scale.text(b) for b in ours["baseline_metric"] if b == b})
    if baselines:
        listed = " or ".join(f"{b}%" if scale.unit == "%" else b for b in baselines)
        same = ", by its settings" if len(baselines) > 1 else ""
        beyond = "percentage points below" if scale.unit == "%" and worse == "drop" else "beyond"
        if worse == "drop" and scale.unit != "%":
            beyond = "below"
        remarks = [f"baseline {listed} {metric}{same} ({worse}: {beyond} it, paired by seed)"]
    else:
        remarks = [f"no baseline: no trial of {BASELINE!r} has finished"]
    if len(ours):
        chosen, split = ours["chosen_on"].iloc[0], ours["split"].iloc[0]
        held_out = "" if chosen == VALIDATION != split else ", the same split: nothing else was held out"
        remarks.append(f"{STAR} chosen on {chosen}, {metric} reported on {split}{held_out}")
    if "source" in rows and (rows["source"] != "").any():
        remarks += [
            f"rows with a source are others': {worse} from their own baseline, no part in the Pareto front"
        ]
    if "grade" in rows and (rows["grade"] != "").any():
        remarks += [f"grade: {', '.join(f'{grade} {meaning}' for grade, meaning in GRADES.items())}"]
    if ours["n_stopped"].any():
        remarks.append("stopped trials are in no mean: rows that have some show the seeds that did better")
    if ours["stale"].any():
        total = int(ours["stale"].sum())
        remarks.append(
            f"{STALE} older code of the algorithm ({total} trials); sweep --retry-stale runs it anew"
        )
    if (ours["codes"] > 1).any():
        remarks.append("some rows average trials of different code of the algorithm")
    machines = {machine for machines in ours["machines"] for machine in machines.split("; ") if machine}
    if len(machines) > 1:
        remarks.append(f"seconds are of {len(machines)} different machines: {'; '.join(sorted(machines))}")
    return remarks


def _with_intervals(
    rows: pd.DataFrame,
    name: str,
    scale: float = 1,
    places: int | None = None,
    suffix: str = "",
    ranges: bool = False,
) -> list[str]:
    """Returns a column of `mean ± half-width`, aligned in two parts; with `ranges` two seeds show theirs."""
    means, spreads = [], []
    for _, row in rows.iterrows():
        mean, half = row[name] * scale, row[f"{name}_ci"] * scale
        digits = units.ratio_decimals(mean) if places is None else places
        means.append(units.number(mean, digits) + suffix if mean == mean else "")
        ends = [units.number(row[f"{name}_{end}"] * scale, digits) for end in ("low", "high")]
        two = ranges and row["n"] == 2
        spreads.append(f"±{units.number(half, digits)}" if half == half else "–".join(ends) * two)
    return _aligned(means, spreads)


def _aligned(means: list[str], spreads: list[str]) -> list[str]:
    """Puts means, and what follows each of them, in line on the right."""
    wide, narrow = max(map(len, means)), max(map(len, spreads))
    if not narrow:
        return [mean.rjust(wide) for mean in means]
    return [f"{mean:>{wide}} {spread:>{narrow}}" for mean, spread in zip(means, spreads, strict=True)]


def _hypervolumes(summary: pd.DataFrame) -> dict[str, str]:
    """Returns a text for each task, best algorithm first.

    The baseline is left out, because its size is about the reference size.
    """
    compressed = summary[(summary["n"] > 0) & ~uncompressed(summary)]
    compressed = compressed.drop_duplicates(["task", "algorithm"]).dropna(subset=["hypervolume"])
    texts = {}
    for task, rows in compressed.sort_values("hypervolume", ascending=False).groupby("task"):
        scale = units.metric_scale(rows["unit"].iloc[0], rows["metric"])
        reference = scale.text(rows["hypervolume_reference"].iloc[0]) + "%" * (scale.unit == "%")
        areas = zip(rows["algorithm"], rows["hypervolume"], strict=True)
        texts[str(task)] = f"{', '.join(f'{name} {area:.3f}' for name, area in areas)} (from {reference} on)"
    return texts


_HYPERVOLUME = (
    "Hypervolume (metric × decades of size below the float32 size; larger is better)",
    f"of models that keep {USEFUL:.0%} of what the baseline gains over a constant answer",
)
_MARKS = (
    f"{STAR} Pareto-optimal within its task. ± half a 95% interval over n seeds; of two, the metric's range."
)
_SURE = (
    "* differs from the baseline (paired t-test, Holm-corrected, 5%).",
    "dom.: how likely another row is at most as large and at least as good, by bootstrap over seeds.",
)


def _notes(summary: pd.DataFrame) -> list[str]:
    """Explains the marks that a table has."""
    return [_MARKS, *_SURE] if summary["p_dominated"].notna().any() else [_MARKS]


def _reasons(summary: pd.DataFrame) -> dict[str, list[str]]:
    """Returns a line for each trial that has no model, by headings; without those that have no line."""
    headings = {"Failed trials": "failures", "Stopped trials": "stops"}
    found = {
        h: [line for lines in summary[name] for line in lines.splitlines()] for h, name in headings.items()
    }
    return {f"{heading}: {len(lines)}": lines for heading, lines in found.items() if lines}


def _drawn(table: _Table) -> rich.table.Table:
    """Makes a table in which names may be folded to 8 characters, and numbers never are."""
    drawn = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, header in enumerate(table.headers):
        if i < table.names:
            drawn.add_column(header, overflow="fold", min_width=8 if header else None)
        else:
            drawn.add_column(rich.text.Text(header), no_wrap=True)
    for cells, optimal in zip(table.rows, table.pareto, strict=True):
        drawn.add_row(*map(rich.text.Text, cells), style="bold" if optimal else "")
    return drawn


def _terminal(tables: list[_Table], summary: pd.DataFrame, width: int, ansi: bool) -> str:
    out = io.StringIO()
    console = rich.console.Console(
        file=out,
        width=width,
        force_terminal=ansi,
        color_system="standard" if ansi else None,
        legacy_windows=False,
        _environ={},
    )

    wide = rich.console.Console(width=1000, _environ={})

    def say(text: str, style: str = "") -> None:
        console.print(rich.text.Text(text, style=style), soft_wrap=True)

    for table in tables:
        say(table.title, "bold")
        for remark in table.remarks:
            say(f"  {remark}")
        numbers = _drawn(
            dataclasses.replace(table, rows=[[""] * table.names + r[table.names :] for r in table.rows])
        )
        console.width = max(width, rich.measure.Measurement.get(wide, wide.options, numbers).minimum)
        console.print(_drawn(table))
    for note in _notes(summary):
        say(note)
    areas = _hypervolumes(summary)
    if areas:
        say("\n" + ",\n".join(_HYPERVOLUME) + ":")
    for task, text in areas.items():
        say(f"  {task}: {text}")
    for heading, lines in _reasons(summary).items():
        say(f"\n{heading}")
        for line in lines:
            say(f"  {line}")
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _markdown(table: _Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rules = [":--" if i < table.names else "--:" for i in range(len(table.headers))]
    rows = [
        [f"**{cell}**" if optimal and cell and i else cell for i, cell in enumerate(_escape(row))]
        for row, optimal in zip(table.rows, table.pareto, strict=True)
    ]
    head = f"### {_escape([table.title])[0]}\n\n{_escape(['; '.join(table.remarks)])[0]}"
    return "\n".join([f"{head}\n", line(_escape(table.headers)), line(rules), *map(line, rows)])


def _escape(cells: Sequence[str]) -> list[str]:
    return [re.sub(r"([\\`*_|<>\[\]#~&])", r"\\\1", " ".join(cell.split())) for cell in cells]


def _markdown_notes(summary: pd.DataFrame) -> str:
    areas = _hypervolumes(summary)
    blocks = [" ".join(_notes(summary))]
    if areas:
        lines = _escape([f"{task}: {text}" for task, text in areas.items()])
        blocks.append("\n".join([f"{', '.join(_HYPERVOLUME)}:\n", *(f"- {line}" for line in lines)]))
    for heading, lines in _reasons(summary).items():
        blocks.append("\n".join([f"{heading}\n", *(f"- {line}" for line in _escape(lines))]))
    return "\n\n".join(blocks)
