"""Takes what models said of single examples into a report, and pictures of those that they disagree on."""

from __future__ import annotations

import base64
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..deployment.trial_model import trial_task
from ..results.records import RECORDS, read_records
from ..results.schema import ResultError

MOST_MODELS = 40
"""Of each task, so many models can be compared example by example."""
MOST_PICTURES = 160
_ACROSS = 16
_MOST_EXAMPLES = 50_000
_MOST_CLASSES = 256
_MOST_PIXELS = 128
_log = logging.getLogger(__name__)


def examples(telling: pd.DataFrame, data_dir: str | None = None, pictures: bool = True) -> dict[str, Any]:
    """Returns predictions of classifiers, and pictures where the task has some.

    Args:
      telling: finished trials, in the order in which they are taken.
      data_dir: sets `TFDS_DATA_DIR` while pictures are read.
      pictures: whether to read pictures, for which a task's data must be here.

    Returns:
      `examples` by task: `labels` and, by identity, `predicted` and `probability` (in 255ths): one byte an
      example, in base64; `classes`, how many bytes mean something. `pictures` is missing or has `sheet` (a
      PNG's address, `_ACROSS` pictures a row), `examples` (their positions) and the `width` and `height` of
      each.
    """
    found = {}
    for task, rows in telling.groupby("task", sort=False):
        labels, said = _predictions(rows)
        if labels is None or len(said) < 2:
            continue
        found[task] = {
            "classes": int(max([labels.max(), *(one["predicted"].max() for one in said.values())])) + 1,
            "labels": _packed(labels),
            "predicted": {identity: _packed(one["predicted"]) for identity, one in said.items()},
            "probability": {
                identity: _packed(np.clip(np.round(255 * one["probability"]), 0, 255))
                for identity, one in said.items()
                if "probability" in one
            },
        }
        if pictures:
            folder = Path(rows["directory"].iloc[0])
            found[task] |= _pictures(folder, _disputed(labels, said), str(rows["split"].iloc[0]), data_dir)
    return {"examples": found}


def _predictions(rows: pd.DataFrame) -> tuple[np.ndarray | None, dict[str, dict[str, np.ndarray]]]:
    """Returns labels, `[n]`, and what each model said of these examples."""
    labels, said = None, {}
    for identity, directory in zip(rows["identity"], rows["directory"], strict=True):
        if len(said) == MOST_MODELS:
            break
        try:
            records = read_records(Path(directory) / RECORDS)
        except (ResultError, FileNotFoundError):
            continue
        if not _is_classification(records) or (labels is not None and not _same(labels, records["label"])):
            continue
        labels = records["label"]
        said[identity] = records
    return labels, said


def _is_classification(records: dict[str, np.ndarray]) -> bool:
    names = [name for name in ("label", "predicted") if name in records]
    arrays = [records[name] for name in names]
    return len(names) == 2 and all(
        array.ndim == 1
        and 0 < len(array) <= _MOST_EXAMPLES
        and array.dtype.kind == "i"
        and 0 <= array.min() <= array.max() < _MOST_CLASSES
        for array in arrays
    )


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool((a == b).all())


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode()


def _disputed(labels: np.ndarray, said: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """Returns the positions of examples that some models get right and some wrong, most disputed first."""
    right = np.stack([one["predicted"] == labels for one in said.values()]).sum(axis=0)
    fewer = np.minimum(right, len(said) - right)
    order = np.argsort(-fewer, kind="stable")[:MOST_PICTURES]
    return order[fewer[order] > 0]


def _pictures(folder: Path, positions: np.ndarray, split: str, data_dir: str | None) -> dict[str, Any]:
    if not len(positions):
        return {}
    try:
        images = _images(folder, split, data_dir)
    except Exception as error:  # a task's own code reads its data
        _log.warning("The report has no pictures: %s.", str(error).partition("\n")[0].rstrip("."))
        return {}
    if images is None or len(images) <= positions.max():
        return {}
    import matplotlib.image

    chosen = images[positions]
    height, width = chosen.shape[1:3]
    sheet = np.zeros((-(-len(chosen) // _ACROSS) * height, _ACROSS * width, 3), np.uint8)
    for i, image in enumerate(chosen):
        y, x = i // _ACROSS * height, i % _ACROSS * width
        sheet[y : y + height, x : x + width] = image  # one channel becomes three
    file = io.BytesIO()
    matplotlib.image.imsave(file, sheet, format="png", pil_kwargs={"optimize": True})
    address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {
        "pictures": {
            "sheet": address,
            "examples": positions.tolist(),
            "width": int(width),
            "height": int(height),
            "across": _ACROSS,
        }
    }


def _images(folder: Path, split: str, data_dir: str | None) -> np.ndarray | None:
    """Returns a task's images, uint8 `[n, height, width, 1 or 3]`; None for other inputs."""
    with trial_task(folder, data_dir) as task:
        read = getattr(task, "examples", None)
        if read is None:
            return None
        images = np.asarray(read(split).images)
        if images.ndim != 4 or images.shape[-1] not in (1, 3) or max(images.shape[1:3]) > _MOST_PIXELS:
            return None
        white = float(getattr(task, "max_value", None) or images.max() or 1)
        return np.clip(images.astype(np.float32) * (255 / white), 0, 255).astype(np.uint8)
