"""Reads a split of a TensorFlow Datasets image dataset into arrays in memory, once per process."""

from __future__ import annotations

import functools
import os
import pathlib
from typing import Any, NamedTuple

import filelock
import numpy as np
import requests
import tensorflow as tf

from ..framework.errors import LambdapressError

# Seconds until a host that does not answer counts as out of reach. TFDS alone would retry for minutes.
_PROBE_TIMEOUT = 5.0


class Split(NamedTuple):
    """All examples of a split, in a fixed order. The arrays are shared and read-only.

    Attributes:
      images: uint8, of shape (examples, height, width, channels).
      labels: int64, of shape (examples,).
    """

    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray) -> Split:
        """Returns a read-only split of the values, in the dtypes of the attributes."""
        split = cls(images.astype(np.uint8, copy=False), labels.astype(np.int64, copy=False))
        for array in split:
            array.setflags(write=False)
        return split


class DatasetError(LambdapressError, RuntimeError):
    """Reports a dataset that is neither on this machine nor within reach, or whose folder is damaged."""


def load_split(name: str, split: str, data_dir: str | None = None) -> Split:
    """Reads a split through TFDS, downloading the dataset first where TFDS would.

    Args:
      name: name of a TFDS dataset with one image and one label per example, such as `mnist`.
      split: the split in TFDS's notation, such as `test` or `train[:5000]`.
      data_dir: folder of prepared datasets; None takes the environment's `TFDS_DATA_DIR`, else TFDS's own
        default.

    Returns:
      The examples in their stored order. The second call for the same split costs nothing.

    Raises:
      DatasetError: when the data is absent and cannot be downloaded, or damaged. The message names
        the folder and says what to do.
    """
    folder = data_dir or os.environ.get("TFDS_DATA_DIR") or None
    return _read(name, split, folder and os.path.abspath(os.path.expanduser(folder)), data_dir)


@functools.lru_cache(maxsize=8)
def _read(name: str, split: str, folder: str | None, data_dir: str | None) -> Split:
    builder = _builder(name, folder)
    if not builder.data_path.exists():
        _download(builder, data_dir)
    if not (builder.data_path / "dataset_info.json").exists():
        raise _damaged(name, builder.data_path, "it has no dataset_info.json")
    # One batch of everything is TFDS's quickest way to arrays: it parses and decodes on all cores.
    try:
        images, labels = builder.as_dataset(split=split, batch_size=-1, as_supervised=True)
    except (tf.errors.OpError, OSError, AssertionError) as error:
        raise _damaged(name, builder.data_path, error) from error
    return Split.of(images.numpy(), labels.numpy())


def _builder(name: str, folder: str | None) -> Any:
    import tensorflow_datasets as tfds  # Takes seconds; `digits` does not need it.
    from tensorflow_datasets.core import constants, registered

    try:
        return tfds.builder(name, data_dir=folder)
    except registered.DatasetNotFoundError:
        raise
    except Exception as error:  # TFDS passes on any error of its JSON and protocol buffer readers.
        where = pathlib.Path(folder or constants.DATA_DIR) / name
        raise _damaged(name, where, error) from error


def _download(builder: Any, data_dir: str | None) -> None:
    """Lets TFDS download and prepare the dataset once the first host answers; one process at a time."""
    url = next(iter(builder.url_infos), None)
    try:
        if url is not None:
            requests.head(url, timeout=_PROBE_TIMEOUT)
        folder = pathlib.Path(builder.data_path.parents[1])
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(str(folder / f".{builder.name}.lock")):
            builder.download_and_prepare()
    except (requests.RequestException, OSError) as error:
        raise DatasetError(
            f"The dataset {builder.name!r} is not on this machine and could not be downloaded.\n"
            f"  looked in       {builder.data_path}\n"
            f"  data_dir        {data_dir or 'not given'}\n"
            f"  TFDS_DATA_DIR   {os.environ.get('TFDS_DATA_DIR') or 'not set'}\n"
            f"  download        {type(error).__name__}: {error}\n"
            "Where there is a network, run\n"
            f"  python -c \"import tensorflow_datasets as tfds; tfds.load('{builder.name}')\"\n"
            "or, with a prepared copy at hand, name the folder that holds it:\n"
            f"  export TFDS_DATA_DIR=FOLDER      (the folder that contains {builder.name}/)\n"
            "  lambdapress … --data-dir FOLDER"
        ) from error


def _damaged(name: str, folder: os.PathLike, why: object) -> DatasetError:
    reason = str(why).splitlines()[0] if str(why) else type(why).__name__
    return DatasetError(
        f"The dataset {name!r} in {os.fspath(folder)} is damaged: {reason}\n"
        f"Delete that folder and prepare it anew: "
        f"python -c \"import tensorflow_datasets as tfds; tfds.load('{name}')\""
    )
