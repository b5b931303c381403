"""Writes a report of a folder of results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from ...framework.atomic import write_atomically
from .content import Content, Others, content
from .examples import examples
from .html import page, plotly_code
from .integers import histograms

NAME = "report.html"


def write_report(
    directory: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    metric: str | None = None,
    others: Others = lambda summary: None,
    pictures: bool = True,
    data_dir: str | None = None,
) -> Path:
    """Writes a report: one HTML file, which needs no network and no other file.

    Args:
      directory: of a sweep, or of several.
      out: the file [default: `report.html` in the folder].
      metric: the metric to begin with; None: each task's main one.
      others: given the summary, returns figures of others, as `published.beside` takes them, or None.
      pictures: whether examples are shown as pictures, for which the tasks' data must be here.
      data_dir: sets `TFDS_DATA_DIR` while pictures are read.

    Returns:
      The file's path.

    Raises:
      ReportError: where plotly is not installed.
      ResultError: as `load_results`.
      OSError: where the file system refuses.
    """
    plotly_code()  # before anything that takes time
    path = Path(out) if out is not None else Path(directory) / NAME
    found = whole_content(directory, metric, others, pictures, data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page(found).encode())
    return path


def whole_content(
    directory: str | os.PathLike,
    metric: str | None = None,
    others: Others = lambda summary: None,
    pictures: bool = True,
    data_dir: str | None = None,
) -> Content:
    """Returns everything that a report shows; arguments and errors are those of `write_report`."""

    def more(telling: pd.DataFrame) -> dict[str, Any]:
        return {**examples(telling, data_dir, pictures), **histograms(telling)}

    return content(directory, metric, others, more)
