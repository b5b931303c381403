"""Shows how two models differ: for the terminal, as comma-separated values, as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import rich.box
import rich.console
import rich.table
import rich.text

from . import units

if TYPE_CHECKING:
    from ..model_pair import Pair

_CLASSES, _EXAMPLES = 12, 10  # rows that the terminal shows


def render(pair: Pair, style: str = "terminal", width: int = 110) -> str:
    """Renders what `model_pair.compare_models` returned.

    Args:
      pair: the two models and their difference.
      style: `terminal`; `csv`, a line a number: `section`, `item`, `field`, `value`; or `json`. The last two
        have everything, in full precision.
      width: columns of the terminal.

    Returns:
      The text, ending in a line break.
    """
    if style == "json":
        return json.dumps(_plain(_everything(pair)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if style == "csv":
        return _long(_everything(pair)).to_csv(index=False, lineterminator="\n")
    found = pair.difference
    blocks = [_head(pair), *_flips(found.totals)]
    if len(found.classes):
        shown = found.classes.head(_CLASSES)
        left = len(found.classes) - len(shown)
        more = f", the {len(shown)} of {len(found.classes)} that lost most" if left else ", most lost first"
        blocks.append(_table(f"Per class{more}", shown, _CLASS_COLUMNS, width))
    if len(pair.weights):
        blocks.append(_table("Per weight", pair.weights, _WEIGHT_COLUMNS, width))
    if len(found.examples):
        blocks.append(_table("Most changed examples", _examples(found.examples), {}, width))
    return "\n".join(blocks)


def _head(pair: Pair) -> str:
    a, b = pair.a, pair.b
    lines = [
        f"A  {a.name}: {a.size_bytes:,} bytes",
        f"B  {b.name}: {b.size_bytes:,} bytes, {units.relative_size(b.size_bytes, a.size_bytes)} A",
        f"{a.task}, {pair.difference.totals['examples']:,.0f} examples of {a.split}",
    ]
    shared = [name for name in a.metrics if name in b.metrics]
    for name in shared:
        lines.append(f"   {name}: {a.metrics[name]:.6g} → {b.metrics[name]:.6g}")
    return "\n".join(lines) + "\n"


def _flips(totals: dict[str, float]) -> list[str]:
    if "change" not in totals:
        return []
    low, high = (_signed(totals[f"change_{end}"]) for end in ("low", "high"))
    return [
        f"Right in A and wrong in B: {totals['right_to_wrong']:,.0f}. Wrong in A and right in B: "
        f"{totals['wrong_to_right']:,.0f}. Change {_signed(totals['change'])} points (95%: {low} to {high}), "
        f"McNemar's p = {totals['mcnemar_p']:.2g}.\n"
    ]


_CLASS_COLUMNS = {
    "label": ("class", str),
    "examples": ("examples", lambda value: f"{value:,}"),
    "accuracy_a": ("A (%)", lambda value: units.percent(value)),
    "accuracy_b": ("B (%)", lambda value: units.percent(value)),
    "change": ("change", lambda value: _signed(value)),
    "change_low": ("95% from", lambda value: _signed(value)),
    "change_high": ("to", lambda value: _signed(value)),
    "right_to_wrong": ("right → wrong", str),
    "wrong_to_right": ("wrong → right", str),
}
_WEIGHT_COLUMNS = {
    "weight": ("weight", str),
    "elements": ("elements", lambda value: f"{value:,}"),
    "bits_a": ("bits A", lambda value: f"{value:.3f}"),
    "bits_b": ("bits B", lambda value: f"{value:.3f}"),
    "nonzeros_a": ("not 0 in A", lambda value: f"{value:,}"),
    "nonzeros_b": ("in B", lambda value: f"{value:,}"),
    "zeros_overlap": ("zeros shared", lambda value: "" if math.isnan(value) else f"{value:.0%}"),
    "relative_error": ("relative error", lambda value: "" if math.isnan(value) else f"{value:.3g}"),
}


def _examples(examples: pd.DataFrame) -> pd.DataFrame:
    shown = examples.head(_EXAMPLES)
    return shown.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value))


def _table(title: str, frame: pd.DataFrame, columns: dict[str, Any], width: int) -> str:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    columns = columns or {name: (name, str) for name in frame.columns}
    for index, (header, _) in enumerate(columns.values()):
        table.add_column(header, justify="right" if index else "left", overflow="fold")
    for row in frame.to_dict("records"):
        table.add_row(*(rich.text.Text(show(row[name])) for name, (_, show) in columns.items()))
    console = rich.console.Console(width=width, _environ={})
    with console.capture() as capture:
        console.print(rich.text.Text(title))
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _signed(fraction: float) -> str:
    return f"{100 * fraction:+.2f}".replace("-", "−")


def _everything(pair: Pair) -> dict[str, Any]:
    """Returns all numbers, by section and item."""
    sides = {
        key: {"name": side.name, "size_bytes": side.size_bytes, **side.metrics}
        for key, side in (("a", pair.a), ("b", pair.b))
    }
    found = pair.difference
    frames = (("class", found.classes, "label"), ("weight", pair.weights, "weight"))
    sections: dict[str, Any] = {
        "model": {key: {"task": pair.a.task, "split": pair.a.split, **side} for key, side in sides.items()},
        "total": {"": found.totals},
    }
    for section, frame, key in (*frames, ("example", found.examples, "example")):
        sections[section] = {
            str(row[key]): {name: value for name, value in row.items() if name != key}
            for row in frame.to_dict("records")
        }
    return sections


def _long(sections: dict[str, Any]) -> pd.DataFrame:
    rows = [
        (section, item, field, value)
        for section, items in sections.items()
        for item, fields in items.items()
        for field, value in fields.items()
    ]
    return pd.DataFrame(rows, columns=["section", "item", "field", "value"])


def _plain(value: Any) -> Any:
    """Returns a value as JSON has it: NumPy's numbers as Python's, NaN as null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
