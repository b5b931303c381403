"""Sets up processes: TensorFlow's start-up messages, the folder of prepared datasets, shares of GPUs."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
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


def visible_gpus() -> list[str]:
    """Returns the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them.

    Asks no driver: what the variable says, or else what NVIDIA's kernel module lists.
    """
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        names = [name.strip() for name in told.split(",")]
        valid = itertools.takewhile(lambda name: name not in ("", "-1"), names)  # as CUDA reads it
        return list(valid)
    listed = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number in range(len(list(listed.iterdir())))] if listed.is_dir() else []


def gpu_shares(gpus: Sequence[str], per_trial: float) -> list[str]:
    """Returns what `CUDA_VISIBLE_DEVICES` is for each trial that can run at a time.

    >>> gpu_shares(["0", "1"], 0.5), gpu_shares(["0", "1", "2"], 2)
    (['0', '1', '0', '1'], ['0,1'])

    Args:
      gpus: as from `visible_gpus`.
      per_trial: GPUs of a trial; of a fraction, several trials share one.

    Raises:
      ValueError: for a number that is neither whole nor below 1, and for more than there are.
    """
    if not per_trial > 0 or (per_trial > 1 and per_trial != int(per_trial)):
        raise ValueError(f"gpus_per_trial is {per_trial!r}; give a whole number, or a fraction such as 0.5.")
    if per_trial > len(gpus):
        raise ValueError(f"gpus_per_trial is {per_trial:g}, and {len(gpus)} GPUs are visible here.")
    if per_trial < 1:
        return list(gpus) * int(1 / per_trial + 1e-9)
    each = int(per_trial)
    return [",".join(gpus[i : i + each]) for i in range(0, len(gpus) - each + 1, each)]
