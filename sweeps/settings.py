"""What a sweep's grid set, for people to read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any


def settings(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides for people to read: what sets each row apart, and what all rows have in common.

    Args:
      overrides: `[n]`, JSON objects as in the column `overrides`.

    Returns:
      `[n]` texts such as `epochs=3, init=0.1`, in which a parameter goes by its last name where that
      is unambiguous; and the common ones, such as `digits.epochs=3`.
    """
    parsed: list[dict[str, Any]] = [json.loads(text) for text in overrides]
    names = sorted({name for one in parsed for name in one})
    common = [name for name in names if len({json.dumps(one.get(name, one)) for one in parsed}) == 1]
    apart = [name for name in names if name not in common]
    last = [re.split(r"[./]", name)[-1] for name in apart]
    short = {name: end if last.count(end) == 1 else name for name, end in zip(apart, last)}
    texts = [
        ", ".join(f"{short[name]}={_value(one[name])}" for name in apart if name in one) for one in parsed
    ]
    return texts, [f"{name}={_value(parsed[0][name])}" for name in common]


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
