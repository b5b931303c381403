"""How numbers are written, in tables and plots alike.

A kilobyte is 1,000 bytes. A number that is not known (NaN) is written as nothing at all.
"""

from __future__ import annotations

import math


def decimals(value: float, digits: int = 3) -> int:
    """Places after the point that show `value` with `digits` significant digits, at least 0."""
    if value == 0 or not math.isfinite(value):
        return 0
    exponent = math.floor(math.log10(abs(value)))
    rounded = round(abs(value), digits - 1 - exponent)  # 9.996 is 10.0, not 10.00
    return max(0, digits - 1 - math.floor(math.log10(rounded)))


def number(value: float, places: int) -> str:
    """`value` with thousands separators and `places` decimals, such as `18,712` or `98.71`."""
    return "" if math.isnan(value) else f"{value:,.{places}f}"


def percent(fraction: float) -> str:
    """A fraction in percent with two decimals and without its sign: 0.98712 is `98.71`."""
    return number(100 * fraction, 2)


def ratio_decimals(value: float) -> int:
    return min(2, decimals(value))


def ratio(value: float) -> str:
    """How many times smaller, with three significant digits but no more than two decimals: `12.4×`."""
    return "" if math.isnan(value) else f"{number(value, ratio_decimals(value))}×"


def seconds(value: float) -> str:
    """Seconds with one decimal and without unit: `12.3`."""
    return number(value, 1)


def lmbda(value: float) -> str:
    """λ as short as six digits allow: `0`, `0.01`, `50`."""
    return "" if math.isnan(value) else f"{value:.6g}"


def size(value: float) -> str:
    """Bytes with three significant digits and a unit: `950 B`, `18.7 kB`, `10 kB`, `5.02 MB`."""
    if math.isnan(value):
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        short = float(f"{value:.3g}")
        if short < 1000 or unit == "GB":
            return f"{short:g} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
