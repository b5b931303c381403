"""Writes the parameters that a sweep's grid set as short texts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ..results.frames import flat


def settings(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns overrides as short texts: those in which rows differ, and those that all rows share.

    Args:
      overrides: `[n]`, JSON objects as in the column `overrides`; what a search has set counts as the rest.

    Returns:
      `[n]` texts of the overrides that differ, such as `epochs=3, init=0.1`, each parameter by its last
      name where that is unambiguous; and the shared ones, such as `digits.epochs=3`.
    """
    parsed: list[dict[str, Any]] = [flat(json.loads(text)) for text in overrides]
    names = sorted({name for row in parsed for name in row})
    common = [name for name in names if len({json.dumps(row.get(name, row)) for row in parsed}) == 1]
    apart = [name for name in names if name not in common]
    last = [re.split(r"[./]", name)[-1] for name in apart]
    short = {name: end if last.count(end) == 1 else name for name, end in zip(apart, last, strict=True)}
    texts = [
        ", ".join(f"{short[name]}={_value(row[name])}" for name in apart if name in row) for row in parsed
    ]
    return texts, [f"{name}={_value(parsed[0][name])}" for name in common]


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
