"""Writes a model card of a trial: Markdown with the front matter that Hugging Face's hub reads."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..report.units import percent, ratio, size
from ..results.records import RECORDS, read_records
from ..results.schema import RESULT, ResultError, read_result

_MOST_CLASSES = 100
_Z = 1.959964
_METRIC_TYPES = {"nll": "loss", "top_5": "accuracy", "mean_ap": "mean_average_precision"}
"""Names under which the hub knows metrics that are called otherwise here."""


def card(
    directory: str | os.PathLike,
    *,
    name: str | None = None,
    base_model: str | None = None,
    datasets: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> str:
    """Returns a model card of a finished trial.

    Args:
      directory: the trial's folder.
      name: of the model; by default task, algorithm and λ.
      base_model: the hub's name of the model that was compressed, such as `keras-io/resnet20`.
      datasets: the hub's names of the data; by default none is named in the front matter.
      files: of the model, beside which the card will lie.

    Returns:
      Markdown. Every text that comes from the result is escaped, in the front matter by YAML.

    Raises:
      ResultError: for a folder that has no finished trial.
    """
    folder = Path(directory)
    result = read_result(folder / RESULT)
    if result["status"] != "ok":
        raise ResultError(f"{folder} has no model: its trial {result['status']}.")
    name = name or f"{result['task']}-{result['algorithm']}-{result['lmbda']:g}"
    accuracy, classes = _from_predictions(folder)
    front = yaml.safe_dump(
        _front_matter(result, name, base_model, datasets), sort_keys=False, allow_unicode=True
    )
    parts = [
        f"---\n{front}---\n",
        f"# {_literal(name)}\n",
        f"A compressed model of the task {_code(result['task'])}: {result['size_bytes']:,} bytes, "
        f"{ratio(result['ratio'])} smaller than its weights as floats ({size(result['float_bytes'])}). "
        f"Compressed by {_code(result['algorithm'])} of lambdapress {_literal(_version(result))} at "
        f"λ = {result['lmbda']:g}, seed {result['seed']}.\n",
        "## What it can do\n",
        _metrics_table(result, accuracy),
        *([] if classes is None else ["## Class by class\n", classes]),
        "## How to load it\n",
        _usage(folder, files),
        "## What is not known\n",
        _unknown(result, base_model, datasets, accuracy),
    ]
    return "\n".join(parts)


def _front_matter(
    result: dict[str, Any], name: str, base_model: str | None, datasets: Sequence[str]
) -> dict[str, Any]:
    metrics = [
        {
            "type": _METRIC_TYPES.get(metric, metric),
            "value": value,
            "name": f"{metric} ({split})",
        }
        for metric, known in result["metrics"].items()
        for split, value in known["value"].items()
    ]
    metrics.append({"type": "size_bytes", "value": result["size_bytes"], "name": "bytes of the whole file"})
    first = datasets[0] if datasets else result["task"]
    classification = "accuracy" in result["metrics"]
    text = re.search("text|language|bert", result["task"]) is not None
    kind = ("text" if text else "image") + "-classification" if classification else "other"
    return {
        "library_name": "keras",
        "tags": ["lambdapress", "compression", result["algorithm"]],
        **({"datasets": list(datasets)} if datasets else {}),
        "metrics": sorted({str(_METRIC_TYPES.get(metric, metric)) for metric in result["metrics"]}),
        **({"base_model": base_model, "base_model_relation": "quantized"} if base_model else {}),
        "model-index": [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": kind, "name": result["task"]},
                        "dataset": {"type": first, "name": first},
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }


def _metrics_table(result: dict[str, Any], accuracy: tuple[float, float, int] | None) -> str:
    lines = ["| metric | split | value | better | best constant answer |", "| :-- | :-- | --: | :-- | --: |"]
    for metric, known in result["metrics"].items():
        for split, value in known["value"].items():
            constant = known.get("constant", {}).get(split)
            shown = _shown(value, known["unit"])
            if metric == "accuracy" and accuracy is not None and split == "test":
                low, high, _ = accuracy
                shown += f" ({percent(low)} to {percent(high)})"
            unit = f" ({known['unit']})" if known["unit"] else ""
            better = known["direction"]
            known_constant = "" if constant is None else _shown(constant, known["unit"])
            lines.append(
                f"| {_literal(metric + unit)} | {_literal(split)} | {shown} | {better} | {known_constant} |"
            )
    note = "\nIn brackets: the 95% interval over test examples (Wilson's)." if accuracy else ""
    return "\n".join(lines) + f"\n{note}\n"


def _shown(value: float, unit: str) -> str:
    return percent(value) if unit == "%" else f"{value:.5g}"


def _from_predictions(folder: Path) -> tuple[tuple[float, float, int] | None, str | None]:
    """Returns the interval of the accuracy with the number of examples, and a table by class."""
    try:
        records = read_records(folder / RECORDS)
    except (FileNotFoundError, ResultError):
        return None, None
    if not {"label", "predicted"} <= set(records) or records["label"].ndim != 1:
        return None, None
    labels, right = records["label"], records["predicted"] == records["label"]
    if right.shape != labels.shape or not len(labels):
        return None, None
    interval = (*_wilson(int(right.sum()), len(right)), len(right))
    found = np.unique(labels)
    if len(found) > _MOST_CLASSES:
        return interval, None
    lines = ["| class | examples | accuracy (%) | 95% interval |", "| --: | --: | --: | :-- |"]
    for label in found:
        own = right[labels == label]
        low, high = _wilson(int(own.sum()), len(own))
        lines.append(
            f"| {label} | {len(own):,} | {percent(own.mean())} | {percent(low)} to {percent(high)} |"
        )
    return interval, "\n".join(lines) + "\n"


def _wilson(right: int, n: int) -> tuple[float, float]:
    """Returns the 95% interval of a share (E. B. Wilson, JASA 22, 1927)."""
    share, square = right / n, _Z**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _usage(folder: Path, files: Sequence[Path]) -> str:
    lines = []
    for path in files:
        if path.is_dir():
            lines += [f"model = lambdapress.framework.load_exported({path.name!r})  # a Keras model"]
        elif path.suffix == ".tflite":
            lines += [f"interpreter = tensorflow.lite.Interpreter({path.name!r})"]
        else:
            lines += [
                f"restored = lambdapress.framework.load({path.name!r}, model)  # `model`: of the same code"
            ]
    if not lines:
        lines = [
            "from lambdapress.sweeps import trial_model",
            "",
            f"with trial_model({folder.name!r}) as (task, model):",
            "    print(task.evaluate(model).values)",
        ]
    return _fenced("\n".join(lines), "python")


def _unknown(
    result: dict[str, Any],
    base_model: str | None,
    datasets: Sequence[str],
    accuracy: tuple[float, float, int] | None,
) -> str:
    missing = [
        "How it behaves on data unlike that of its task.",
        "What other seeds give: this is one training. A sweep's table has intervals over seeds.",
    ]
    if "validation" not in result["metrics"][result["metric_name"]]["value"]:
        missing.append("How much of its figures is luck of the choice: its task holds no examples out.")
    if not base_model:
        missing.append("On what it is based: no base model was named.")
    if not datasets:
        missing.append("The hub's name of its data, and under what licence they are.")
    if accuracy is None:
        missing.append("Which classes lost most: no predictions were kept.")
    return "\n".join(f"- {line}" for line in missing) + "\n"


def _version(result: dict[str, Any]) -> str:
    return str(result["versions"].get("lambdapress", "of unknown version"))


def _literal(text: str) -> str:
    """Escapes what Markdown and HTML would read in a text of one line."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&-])", r"\\\1", line)


def _code(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in str(text))
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if "`" in line else ""
    return f"{ticks}{pad}{line}{pad}{ticks}".replace("|", "\\|")


def _fenced(text: str, kind: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}\n"
