"""Defines the fields of a trial's `result.json`, and checks every file against them.

A file that no trial can have written is an error that names it, so that no row goes missing silently. Fields
that are not defined here are kept as they are. Results of schema 1 are read as if written in schema 2.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...framework.errors import LambdapressError

RESULT = "result.json"
"""Name of the file in a trial's directory."""
SCHEMA = 2
BASELINE = "none"
"""Name of the algorithm that stores floats: the reference row of every table."""
STATUSES = ("ok", "failed", "blocked", "stopped")
REQUANTISE = "trial.requantise"
"""Name of the override of a trial that stores another's model with other steps; it says by which factor."""
SEARCH = "sweep.search"
"""Name of the override of a trial that a search has added; it holds what the search has set."""
MAX_FILE_BYTES = 4_000_000

Check = tuple[Callable[[Any], bool], str]
"""A test of a field's value, and how errors word it."""


class ResultError(LambdapressError, ValueError):
    """A result cannot be read, or a set of results cannot be summarised."""


def is_name(value: Any) -> bool:
    """Tells whether a stranger's value is a name: a short, printable text."""
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def error_line(error: str) -> str:
    """Returns the line of a traceback that names the exception, or the first line of any other text."""
    lines = [line.rstrip() for line in error.strip().splitlines()]
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback")]
    after = lines[starts[-1] + 1 :] if starts else lines
    line = next((line for line in after if line and not line[0].isspace()), lines[0].strip())
    return "".join(c if c.isprintable() else " " for c in line)


def _is_number(value: Any, low: float = 0.0, high: float = math.inf) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return low <= value <= high and abs(value) < 2**63  # which NaN and infinities are not


def _is_value(value: Any) -> bool:
    return _is_number(value, -math.inf)


def _is_count(value: Any, low: int = 0) -> bool:
    return isinstance(value, int) and _is_number(value, low)


def _is_plain(value: Any, depth: int = 20) -> bool:
    """Tells whether a JSON value is of little depth and finite: `1e999` is read as infinity."""
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(item, depth - 1) for item in inner)
    return not isinstance(value, float) or math.isfinite(value)


def _is_overrides(value: Any) -> bool:
    return _is_map(value, _is_plain)


def _is_map(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(is_name, value)) and all(map(holds, value.values()))


def _is_metric(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("direction") in ("higher", "lower")
        and isinstance(value.get("unit"), str)
        and (value["unit"] == "" or is_name(value["unit"]))
        and _is_map(value.get("value"), _is_value)
        and bool(value["value"])
        and _is_map(value.get("constant", {}), _is_value)
    )


_NUMBER: Check = (_is_number, "a finite number of at least 0")
_STRINGS: Check = (lambda value: _is_map(value, is_name), "an object of strings")


def _or_null(check: Check) -> Check:
    holds, wanted = check
    return lambda value: value is None or holds(value), f"{wanted}, or null"


_ALWAYS: dict[str, Check] = {
    "identity": (is_name, "a name"),
    "task": (is_name, "a name"),
    "algorithm": (is_name, "a name"),
    "lmbda": _NUMBER,
    "seed": (_is_count, "an integer of at least 0"),
    "status": (lambda value: value in STATUSES, f"one of {', '.join(map(repr, STATUSES))}"),
    "overrides": (_is_overrides, "an object of gin parameters"),
    "versions": _STRINGS,
    "environment": (lambda value: _is_map(value, lambda v: is_name(v) or _is_count(v)), "an object"),
    "code": _STRINGS,
    "attempts": (lambda value: _is_count(value, 1), "an integer of at least 1"),
    "parent": _or_null((is_name, "a name")),
}
# May be null where the trial failed.
_COUNT: Check = (lambda value: _is_count(value, 1), "an integer of at least 1")
_MEASURED: dict[str, Check] = {
    "metric_name": (is_name, "a name"),
    "metrics": (lambda value: _is_map(value, _is_metric), "an object of metrics"),
    "metric_compressible": (_is_value, "a finite number"),
    "size_bytes": _COUNT,
    "coded_bytes": _or_null((_is_count, "an integer of at least 0")),
    "float_bytes": _COUNT,
    "ratio": _NUMBER,
    "estimated_bytes": _or_null(_NUMBER),
    "bits_per_weight": _or_null(_NUMBER),
    "num_params": _COUNT,
    "nonzeros": _or_null((_is_count, "an integer of at least 0")),
    "multiply_adds": _or_null((_is_count, "an integer of at least 0")),
    "weight_bytes": _or_null((lambda value: _is_map(value, _is_count), "an object of integers")),
    "train_seconds": _NUMBER,
    "all_train_seconds": _or_null(_NUMBER),
    "all_epochs": _or_null((_is_count, "an integer of at least 0")),
    "compress_seconds": _NUMBER,
    "evaluate_seconds": _NUMBER,
}
FIELDS = ("schema", *_ALWAYS, "error", *_MEASURED)
MEASURED = tuple(name for name in _MEASURED if name not in ("metric_name", "metrics", "weight_bytes"))
"""Names of the measured numbers, which are null where a failed trial did not get so far."""

_NEW = ("environment", "code", "metrics", "coded_bytes", "bits_per_weight", "nonzeros", "multiply_adds")
_LATER = ("parent", "all_train_seconds", "all_epochs")  # which schema 2 did not have from the beginning
_SCHEMA_1 = {name for name in FIELDS if name not in (*_NEW, "weight_bytes")} | {"metric"}
_UNKNOWN_CODE = {"unknown": "schema 1"}  # no file of today's code: such a result counts as stale


def _refuse_constant(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return mapping


def parse_json(path: Path, advice: str = "Remove it, and the sweep will run that trial again.") -> Any:
    """Returns the content of a JSON file of strangers.

    Raises:
      ResultError: for a file that is no JSON, is larger than `MAX_FILE_BYTES`, or is no regular file.
    """
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
        raise ResultError(f"{path} cannot be read as JSON ({error}). {advice}") from error


def read_result(path: str | os.PathLike) -> dict[str, Any]:
    """Reads one `result.json` and checks its content.

    Returns:
      Its fields, of schema 2; those that a file of schema 1 lacks are null or empty.

    Raises:
      ResultError: if it is not what a trial writes; names the file and the field.
    """
    path = Path(path)
    record = parse_json(path)
    if not isinstance(record, dict):
        raise ResultError(f"{path} must hold a JSON object, got {type(record).__name__}.")
    schema = record.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise ResultError(
            f"{path} has schema {_shown(schema)}, this version of lambdapress reads schemas 1 to {SCHEMA}. "
            "Read it with the version that wrote it, or run the trial again."
        )
    record = {**dict.fromkeys(_LATER), **record}
    missing = [name for name in (_SCHEMA_1 if schema == 1 else FIELDS) if name not in record]
    if missing:
        raise ResultError(f"{path} is no result of schema {schema}: it lacks {sorted(missing)}.")
    if schema == 1:
        record = _of_schema_1(record, path)
    _check(record, path)
    return record


def _of_schema_1(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Returns a result in today's form: its one metric was a fraction of the test split, higher better."""
    metric = record["metric"]
    if not (metric is None and record["status"] == "failed" or _is_number(metric, high=1)):
        raise ResultError(f"{path}: 'metric' must be a number in [0, 1], got {_shown(metric)}.")
    metrics = None
    if metric is not None:
        metrics = {
            str(record["metric_name"]): {"direction": "higher", "unit": "%", "value": {"test": metric}}
        }
    unknown = dict.fromkeys(("coded_bytes", "bits_per_weight", "nonzeros", "multiply_adds", "weight_bytes"))
    kept = {name: value for name, value in record.items() if name != "metric"}
    return {**kept, "schema": SCHEMA, "metrics": metrics, "environment": {}, "code": _UNKNOWN_CODE, **unknown}


def _check(record: Mapping[str, Any], path: Path) -> None:
    failed = record["status"] != "ok"
    for name, (holds, wanted) in {**_ALWAYS, **_MEASURED}.items():
        value = record[name]
        if not holds(value) and not (failed and name in _MEASURED and value is None):
            raise ResultError(f"{path}: {name!r} must be {wanted}, got {_shown(value)}.")
    error = record["error"]
    if failed:
        if not (isinstance(error, str) and error.strip()):
            raise ResultError(
                f"{path}: 'error' of a {record['status']} trial must say why, got {_shown(error)}."
            )
        return
    if error is not None:
        raise ResultError(f"{path}: 'error' must be null where 'status' is 'ok', got {_shown(error)}.")
    if record["metric_name"] not in record["metrics"]:
        raise ResultError(f"{path}: 'metrics' lacks the main metric, {record['metric_name']!r}.")
    ratio = record["float_bytes"] / record["size_bytes"]
    if not math.isclose(record["ratio"], ratio, rel_tol=1e-3):
        raise ResultError(
            f"{path}: 'ratio' is {record['ratio']}, but float_bytes / size_bytes is {ratio:.6g}."
        )


def result_in(directory: Path) -> dict[str, Any] | None:
    """Returns the result in a trial's directory, or None where there is none yet.

    Raises:
      ResultError: where there is a `result.json` that no trial wrote.
    """
    path = directory / RESULT
    return read_result(path) if path.exists() else None


def main_value(record: Mapping[str, Any]) -> float:
    """Returns the main metric of a result that is ok: on the test split, or the only one that it has."""
    values = record["metrics"][record["metric_name"]]["value"]
    return values.get("test", next(iter(values.values())))


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
