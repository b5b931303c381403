"""Keeps what a model said about each test example, so that two models are compared without running them."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...framework.atomic import write_atomically
from .schema import ResultError

RECORDS = "predictions.npz"
"""Name of the file in a trial's directory."""
_MOST_BYTES = 100_000_000  # of all arrays in a file
_MOST_ARRAYS = 100
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def write_records(path: Path, records: Mapping[str, np.ndarray]) -> None:
    """Writes arrays of one length, whole or not at all; integers and floats in as few bytes as hold them.

    Probabilities and other floats become half precision where that is exact to a thousandth, else float32, or
    float64 beyond its range. The file is one that `np.load` reads.

    Raises:
      ValueError: for arrays of more than 100 MB, or more than 100 of them.
    """
    compact = {name: _compact(values) for name, values in records.items()}
    total = sum(values.nbytes for values in compact.values())
    if len(compact) > _MOST_ARRAYS or total > _MOST_BYTES:
        raise ValueError(
            f"{len(compact)} records of {total:,} bytes are more than a trial keeps: {_MOST_ARRAYS} of "
            f"{_MOST_BYTES:,}."
        )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in compact.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, values, version=(1, 0), allow_pickle=False)
            archive.writestr(f"{name}.npy", member.getvalue())
    write_atomically(path, file.getvalue())


def read_records(path: Path) -> dict[str, np.ndarray]:
    """Reads what `write_records` wrote.

    Returns:
      Arrays by name, all with as many rows; integers as int64, other numbers as float64.

    Raises:
      FileNotFoundError: if there is no such file.
      ResultError: for any other file. Nothing in it is executed, and no more allocated than ten times what a
        trial keeps.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > _MOST_ARRAYS or sum(i.file_size for i in infos) > _MOST_BYTES + 1000 * len(infos):
                raise ValueError("it is larger than any trial's predictions")
            records = {info.filename.removesuffix(".npy"): _array(archive.read(info)) for info in infos}
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib, NumPy's parser of headers: each raises what it likes
        raise ResultError(
            f"{path} holds no predictions ({error or type(error).__name__}). Remove it, and `lambdapress "
            "evaluate` makes it anew."
        ) from error
    if not records or any(array.ndim == 0 for array in records.values()):
        raise ResultError(f"{path} holds no predictions: it has no array, or a single number.")
    if len({len(array) for array in records.values()}) > 1:
        raise ResultError(f"{path} holds no predictions: its arrays have different lengths.")
    return records


def _array(data: bytes) -> np.ndarray:
    """Returns the array in a `.npy` file; its header must tell as many bytes as there are."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"an array is of format version {version}")
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.kind not in "iufb":
        raise ValueError(f"an array is of {dtype}")
    rest = data[file.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"an array of shape {shape} has {len(rest):,} bytes")
    values = np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "u" and values.size and int(values.max()) >= 2**63:
        raise ValueError("an integer is larger than 2^63")
    return values.astype(np.int64 if dtype.kind in "iub" else np.float64)


def _compact(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind in "iub":
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        kinds = (
            (np.int8, np.int16, np.int32, np.int64) if low < 0 else (np.uint8, np.uint16, np.uint32, np.int64)
        )
        fits = (k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
        return values.astype(next(fits, np.uint64))
    with np.errstate(over="ignore"):
        half, single = values.astype(np.float16), values.astype(np.float32)
    if np.allclose(half, values, rtol=1e-3, atol=1e-3, equal_nan=True):
        return half
    exact = np.isfinite(single) == np.isfinite(values)
    return single if exact.all() else values.astype(np.float64)
