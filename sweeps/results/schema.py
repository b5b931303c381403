"""Defines the fields of a trial's `result.json`, and checks every file against them.

A file that no trial can have written is an error that names it, so that no row goes missing silently.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...framework.errors import LambdapressError

RESULT = "result.json"
"""Name of the file in a trial's directory."""
SCHEMA = 1
MAX_FILE_BYTES = 1_000_000


class ResultError(LambdapressError, ValueError):
    """A result cannot be read, or a set of results cannot be summarised."""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _is_number(value: Any, low: float = 0.0, high: float = math.inf) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return low <= value <= high and abs(value) < 2**63


def _is_count(value: Any, low: int = 0) -> bool:
    return isinstance(value, int) and _is_number(value, low)


def _is_plain(value: Any, depth: int = 20) -> bool:
    """Tells whether a JSON value is of little depth and finite: `1e999` is read as infinity."""
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(item, depth - 1) for item in inner)
    return not isinstance(value, float) or math.isfinite(value)


def _is_overrides(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_name, value)) and _is_plain(value)


def _is_versions(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_name, value)) and all(map(_is_name, value.values()))


# The check of each field, and its wording in errors. `_MEASURED` may be null where the trial failed.
_ALWAYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "identity": (_is_name, "a name"),
    "task": (_is_name, "a name"),
    "algorithm": (_is_name, "a name"),
    "lmbda": (_is_number, "a finite number of at least 0"),
    "seed": (_is_count, "an integer of at least 0"),
    "status": (lambda value: value in ("ok", "failed"), "'ok' or 'failed'"),
    "overrides": (_is_overrides, "an object of gin parameters"),
    "versions": (_is_versions, "an object of strings"),
    "attempts": (lambda value: _is_count(value, 1), "an integer of at least 1"),
}
_MEASURED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "metric_name": (_is_name, "a name"),
    "metric": (lambda value: _is_number(value, high=1), "a number in [0, 1]"),
    "metric_compressible": (lambda value: _is_number(value, high=1), "a number in [0, 1]"),
    "size_bytes": (lambda value: _is_count(value, 1), "an integer of at least 1"),
    "float_bytes": (lambda value: _is_count(value, 1), "an integer of at least 1"),
    "ratio": (_is_number, "a finite number of at least 0"),
    "estimated_bytes": (lambda value: value is None or _is_number(value), "a number of at least 0, or null"),
    "num_params": (lambda value: _is_count(value, 1), "an integer of at least 1"),
    "train_seconds": (_is_number, "a finite number of at least 0"),
    "compress_seconds": (_is_number, "a finite number of at least 0"),
    "evaluate_seconds": (_is_number, "a finite number of at least 0"),
}
_FIELDS = ["schema", *_ALWAYS, "error", *_MEASURED]
MEASURED = tuple(name for name in _MEASURED if name != "metric_name")
"""Names of the measured numbers, which are null where a failed trial did not get so far."""


def _refuse_constant(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return mapping


def _parse(path: Path) -> Any:
    try:
        if not path.is_file():
            raise ResultError(f"{path} is not a regular file.")
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ResultError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes: no trial wrote it.")
        return json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats
        )
    except ResultError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(
            f"{path} cannot be read as JSON ({error}). Remove it, and the sweep will run that trial again."
        ) from error


def read_result(path: str | os.PathLike) -> dict[str, Any]:
    """Reads one `result.json` and checks its content.

    Raises:
      ResultError: if it is not what a trial of this schema writes; names the file and the field.
    """
    path = Path(path)
    record = _parse(path)
    if not isinstance(record, dict):
        raise ResultError(f"{path} must hold a JSON object, got {type(record).__name__}.")
    schema = record.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise ResultError(
            f"{path} has schema {_shown(schema)}, this version of lambdapress reads schema {SCHEMA}. "
            "Read it with the version that wrote it, or run the trial again."
        )
    missing = [name for name in _FIELDS if name not in record]
    unknown = [name for name in record if name not in _FIELDS]
    if missing or unknown:
        parts = [f"lacks {missing}"] * bool(missing) + [f"has unknown {_shown(unknown)}"] * bool(unknown)
        raise ResultError(f"{path} is no result of schema {SCHEMA}: it {' and '.join(parts)}.")
    failed = record["status"] == "failed"
    for name, (holds, wanted) in {**_ALWAYS, **_MEASURED}.items():
        value = record[name]
        if not holds(value) and not (failed and name in _MEASURED and value is None):
            raise ResultError(f"{path}: {name!r} must be {wanted}, got {_shown(value)}.")
    error = record["error"]
    if failed and not (isinstance(error, str) and error.strip()):
        raise ResultError(f"{path}: 'error' of a failed trial must be its traceback, got {_shown(error)}.")
    if not failed:
        if error is not None:
            raise ResultError(f"{path}: 'error' must be null where 'status' is 'ok', got {_shown(error)}.")
        ratio = record["float_bytes"] / record["size_bytes"]
        if not math.isclose(record["ratio"], ratio, rel_tol=1e-3):
            raise ResultError(
                f"{path}: 'ratio' is {record['ratio']}, but float_bytes / size_bytes is {ratio:.6g}."
            )
    return record


def result_in(directory: Path) -> dict[str, Any] | None:
    """Returns the result in a trial's directory, or None where there is none yet.

    Raises:
      ResultError: where there is a `result.json` that no trial wrote.
    """
    path = directory / RESULT
    return read_result(path) if path.exists() else None


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
