"""Sets up the process: silences TensorFlow's start-up messages, and sets the folder of prepared datasets."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path


def quiet() -> None:
    """Silences all but errors of TensorFlow and its imports; call it before TensorFlow is imported.

    A log level that the user has set for TensorFlow stays.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.api_core.*")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def data_folder(data_dir: str | os.PathLike[str] | None) -> Iterator[None]:
    """Sets `TFDS_DATA_DIR` in a with-block, for this process and its children; None leaves it alone."""
    if data_dir is None:
        yield
        return
    before = os.environ.get("TFDS_DATA_DIR")
    os.environ["TFDS_DATA_DIR"] = str(Path(data_dir).expanduser().resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["TFDS_DATA_DIR"]
        else:
            os.environ["TFDS_DATA_DIR"] = before
