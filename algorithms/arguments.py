"""Checks hyper-parameters where an algorithm is built: gin, JSON and containers give values of any type."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np


def check_integer(name: str, value: Any, least: int, most: int | None = None, also: str = "") -> None:
    """Raises ValueError, naming the argument, unless `value` is an integer in [least, most].

    Args:
      name: the argument's name.
      value: the argument's value.
      least: the smallest value allowed.
      most: the largest value allowed; None: no limit.
      also: what else the argument accepts, for the message, such as ", or None to choose".
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (whole and least <= int(value) <= (math.inf if most is None else most)):
        where = f"of at least {least}" if most is None else f"in [{least}, {most}]"
        raise ValueError(f"{name} must be an integer {where}{also}, got {value!r}.")


def check_number(
    name: str,
    value: Any,
    least: float,
    most: float,
    above: bool = False,
    below: bool = False,
    also: str = "",
) -> None:
    """Raises ValueError, naming the argument, unless `value` is a number between `least` and `most`.

    Args:
      name: the argument's name.
      value: the argument's value; NaN is never allowed.
      least: the smallest value allowed; with `above`, values must be larger.
      most: the largest value allowed; with `below`, values must be smaller.
      above, below: exclude the bound itself.
      also: as in `check_integer`.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        low = number > least if above else number >= least
        if low and (number < most if below else number <= most):
            return
    where = f"{'(' if above else '['}{least:g}, {most:g}{')' if below else ']'}"
    raise ValueError(f"{name} must be a number in {where}{also}, got {value!r}.")


def check_finite(values: Any, path: str) -> None:
    """Raises ValueError, naming the weight, if an array of floats contains a NaN or an infinity."""
    if not np.isfinite(values).all():
        raise ValueError(f"{path} has weights that are not finite.")


def check_flag(name: str, value: Any) -> None:
    """Raises ValueError, naming the argument, unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}.")
