"""Writes phrases that several error messages share: near misses, lists of names, an error's first line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def near_misses(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Returns the `count` entries of `known` closest in spelling to `name`, best first.

    >>> near_misses("kernle", ["kernel", "bias"])
    ['kernel']
    """
    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.4)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns a question that names the entries of `known` spelt much like `name`, or an empty text.

    >>> did_you_mean("kernle", ["kernel", "bias"])
    "did you mean 'kernel'? "
    """
    near = near_misses(name, known)
    return f"did you mean {' or '.join(map(repr, near))}? " if near else ""


def alternatives(name: str, known: Iterable[str]) -> str:
    """Lists the names that may be given instead of `name`, near misses first.

    >>> alternatives("kernle", ["kernel", "bias"])
    "did you mean 'kernel'? available: kernel, bias"
    >>> alternatives("kernel", [])
    'available: none'
    """
    known = list(known)
    return f"{did_you_mean(name, known)}available: {', '.join(known) or 'none'}"


def some(names: Sequence[str], most: int = 5) -> str:
    """Lists the first few names and counts the others.

    >>> some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its type if there is no message.

    >>> first_line(ValueError("short\\nlong"))
    'short'
    >>> first_line(KeyError())
    'KeyError'
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)


def without_gin_trail(error: BaseException) -> str:
    """Returns an error's message without the lines that gin adds about where it called the function."""
    return str(error).partition("\n  In call to")[0].strip()
