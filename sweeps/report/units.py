"""Formats numbers, for tables and plots alike.

A kilobyte is 1,000 bytes. An unknown number (NaN) becomes an empty text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


def decimals(value: float, digits: int = 3) -> int:
    """Returns how many decimals show `value` with `digits` significant digits, at least 0."""
    if value == 0 or not math.isfinite(value):
        return 0
    exponent = math.floor(math.log10(abs(value)))
    rounded = round(abs(value), digits - 1 - exponent)  # 9.996 is 10.0, not 10.00
    return max(0, digits - 1 - math.floor(math.log10(rounded)))


def number(value: float, places: int) -> str:
    """Formats `value` with thousands separators and `places` decimals: `18,712` or `98.71`."""
    return "" if math.isnan(value) else f"{value:,.{places}f}"


def percent(fraction: float) -> str:
    """Formats a fraction in percent, with two decimals and no percent sign: 0.98712 is `98.71`."""
    return number(100 * fraction, 2)


class Scale(NamedTuple):
    """Shows the values of a metric: times `factor`, with `places` decimals, under a header."""

    factor: float
    places: int
    unit: str

    def text(self, value: float) -> str:
        """Formats a value without its unit: 0.98712 of a fraction is `98.71`; NaN is empty."""
        return number(self.factor * value, self.places)

    def header(self, name: str) -> str:
        """Returns the header of a column: `accuracy (%)`, `nll (nat)`, `perplexity`."""
        return f"{name} ({self.unit})" if self.unit else name


def metric_scale(unit: str, values: Iterable[float]) -> Scale:
    """Returns how to show a metric: fractions (`%`) in percent with two decimals, others with four digits."""
    if unit == "%":
        return Scale(100, 2, unit)
    return Scale(1, max((decimals(value, 4) for value in values), default=2), unit)


def ratio_decimals(value: float) -> int:
    return min(2, decimals(value))


def ratio(value: float) -> str:
    """Formats a compression ratio with three significant digits, at most two decimals: `12.4×`."""
    return "" if math.isnan(value) else f"{number(value, ratio_decimals(value))}×"


def relative_size(size: float, other: float) -> str:
    """Says how large `size` is beside `other`: `12.4× smaller than`, `1.02× larger than`, `as large as`.

    Sizes whose ratio is shown as 1 are told apart by `a little`.
    """
    if size == other:
        return "as large as"
    word = "smaller" if size < other else "larger"
    times = ratio(max(size, other) / max(1, min(size, other)))
    return f"a little {word} than" if times == ratio(1.0) else f"{times} {word} than"


def seconds(value: float) -> str:
    """Formats seconds with one decimal and no unit: `12.3`."""
    return number(value, 1)


def lmbda(value: float) -> str:
    """Formats λ with at most six significant digits: `0`, `0.01`, `50`."""
    return "" if math.isnan(value) else f"{value:.6g}"


def size(value: float) -> str:
    """Formats bytes with three significant digits and a unit: `950 B`, `18.7 kB`, `10 kB`, `5.02 MB`."""
    if math.isnan(value):
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        short = float(f"{value:.3g}")
        if short < 1000 or unit == "GB":
            return f"{short:g} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
