"""Loads the model of a finished trial, and measures files in bytes."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...framework.atomic import PathLike
from ..environment import data_folder
from ..gin import registries
from ..gin.bindings import load as load_config
from ..gin.isolation import isolated
from ..gin.parse import read_file
from ..results.schema import RESULT, result_in
from ..trial import settings  # noqa: F401  gin knows `trial` once it is imported
from ..trial.trial import ARTEFACT, CONFIG

if TYPE_CHECKING:
    import tensorflow as tf


@contextlib.contextmanager
def trial_model(
    directory: PathLike, data_dir: PathLike | None = None, decode: str = "during"
) -> Iterator[tuple[Any, tf.keras.Model]]:
    """Yields a trial's task and its model, read from its file, while gin holds the trial's config.

    Args:
      directory: the trial's folder.
      data_dir: sets `TFDS_DATA_DIR` meanwhile.
      decode: as in `framework.load`.

    Raises:
      FileNotFoundError: for a folder that lacks a file of a finished trial.
      ConfigError: for a config that this package did not write.
      ContainerError: for a file that is damaged.
    """
    from ...framework import load

    with trial_task(directory, data_dir) as task:
        yield task, load(Path(directory) / ARTEFACT, task.build_model(), decode=decode)


@contextlib.contextmanager
def trial_task(directory: PathLike, data_dir: PathLike | None = None) -> Iterator[Any]:
    """Yields a finished trial's task, while gin holds the trial's config.

    Args and errors are those of `trial_model`, but the model's file is not read.
    """
    directory = Path(directory)
    for name in (ARTEFACT, RESULT, CONFIG):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{str(directory)!r} is no finished trial's folder: it has no {name}.")
    result = result_in(directory)
    assert result is not None
    with isolated(), data_folder(data_dir):
        registries.load_all()
        load_config(read_file(directory / CONFIG))
        yield registries.tasks().build(result["task"])


def size_of(path: Path) -> int:
    """Returns the size in bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in _files(path))


def zipped_size(path: Path) -> int:
    """Returns the size in bytes of a zip archive (deflate, level 9) of a file or folder."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for file in [path] if path.is_file() else _files(path):
            packed.write(file, file.name if path.is_file() else file.relative_to(path))
    return archive.getbuffer().nbytes


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
