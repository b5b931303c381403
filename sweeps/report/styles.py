"""Gives each trade-off curve its look, the same in every picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pandas as pd

from ..results.frames import curve_of, uncompressed
from .override_texts import settings

# P. Tol's high-contrast and medium-contrast schemes: distinct for the colour-blind, and in grey.
COLORS = ("#004488", "#BB5566", "#DDAA33", "#6699CC", "#994455", "#997700", "#000000")
# P. Tol's light scheme, for dark grounds.
COLORS_ON_DARK = ("#77AADD", "#EE8866", "#EEDD88", "#99DDFF", "#FFAABB", "#BBCC33", "#DDDDDD")
MARKERS = 7
"""So many markers are told apart; `CurveStyle.marker` counts them."""
LINES = 5

Curve = tuple[str, str]
"""An algorithm, and what the points of a curve have in common as `frames.curve_of` says it."""


@dataclasses.dataclass(frozen=True)
class CurveStyle:
    """Says how a curve looks.

    Attributes:
      label: its algorithm, and the settings in which curves differ.
      color: position in `COLORS` and `COLORS_ON_DARK`.
      marker: number of its marker, below `MARKERS`.
      line: number of its kind of line, below `LINES`.
    """

    label: str
    color: int
    marker: int
    line: int


def curve_styles(rows: pd.DataFrame) -> dict[Curve, CurveStyle]:
    """Returns the looks of all curves but the baselines.

    Args:
      rows: of trials or of a summary, with the columns `algorithm`, `overrides` and `ratio`.
    """
    compressed = rows[~uncompressed(rows)]
    curves = sorted(set(zip(compressed["algorithm"], shared(compressed["overrides"]), strict=True)))
    texts, _ = settings([overrides for _, overrides in curves])
    return {
        curve: CurveStyle(
            label=f"{curve[0]} ({text})" if text else curve[0],
            color=i % len(COLORS),
            marker=(i + i // MARKERS) % MARKERS,
            line=i % LINES,
        )
        for i, (curve, text) in enumerate(zip(curves, texts, strict=True))
    }


def on(curve: Curve, rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows that are on a curve; `rows` has the columns `algorithm` and `curve`."""
    return rows[(rows["algorithm"] == curve[0]) & (rows["curve"] == curve[1])]


def shared(overrides: Iterable[str]) -> list[str]:
    """Returns `curve_of` each; many rows have the same overrides."""
    texts = list(overrides)
    known = {text: curve_of(text) for text in set(texts)}
    return [known[text] for text in texts]
