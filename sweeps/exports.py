"""A trial's model as files to deploy."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from ..framework.container import ARTEFACT
from . import gin_files, run, trial
from .names import registries

if TYPE_CHECKING:
    import tensorflow as tf

PathLike = Union[str, Path]
_WAYS = [(kind, decode) for kind in ("savedmodel", "tflite") for decode in ("before", "during")]
_WAYS.insert(2, ("savedmodel", "once"))


@dataclasses.dataclass(frozen=True)
class Format:
    """One way to deploy.

    Attributes:
      kind: `savedmodel` or `tflite`.
      decode: `before`, `during` or, for a SavedModel, `once`.
      ops: `builtin` or `select`, for TensorFlow Lite.
      fold_batch_norm: whether decoded weights take the factors of batch normalisations.
      sparse_kernels: whether plain weights are stored sparse, for TensorFlow Lite.

    Raises:
      ValueError: for a combination that there is not.
    """

    kind: str
    decode: str
    ops: str = "builtin"
    fold_batch_norm: bool = False
    sparse_kernels: bool = False

    def __post_init__(self) -> None:
        if (self.kind, self.decode) not in _WAYS:
            ways = ", ".join(" ".join(way) for way in _WAYS)
            raise ValueError(f"There is no {self.kind} that decodes {self.decode!r}; there are: {ways}.")
        if self.sparse_kernels and (self.kind, self.decode) != ("tflite", "before"):
            raise ValueError(
                f"Sparse kernels are for tflite that decodes 'before', got {self.kind} {self.decode!r}."
            )

    def __str__(self) -> str:
        ops = f", {self.ops} ops" if self.kind == "tflite" and self.decode == "during" else ""
        extra = ", batch norm folded" * self.fold_batch_norm + ", sparse kernels" * self.sparse_kernels
        return f"{self.kind} {self.decode}{ops}{extra}"

    @property
    def file_name(self) -> str:
        """A name for a file or folder of this format."""
        words = [
            self.decode,
            *([self.ops] if "ops" in str(self) else []),
            *(["folded"] * self.fold_batch_norm),
            *(["sparse"] * self.sparse_kernels),
        ]
        return f"model_{'_'.join(words)}{'.tflite' if self.kind == 'tflite' else ''}"

    def write(self, model: tf.keras.Model, path: PathLike) -> None:
        """Exports a model in this format; see `framework/tflite.py` and `framework/saved_model.py`."""
        from ..framework import export_saved_model, export_tflite

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.kind == "tflite":
            export_tflite(model, path, self.decode, self.ops, self.fold_batch_norm, self.sparse_kernels)
        else:
            export_saved_model(model, path, self.decode, self.fold_batch_norm)


FORMATS = (
    Format("savedmodel", "before"),
    Format("savedmodel", "during"),
    Format("savedmodel", "once"),
    Format("tflite", "before"),
    Format("tflite", "during"),
    Format("tflite", "during", "select"),
)


@contextlib.contextmanager
def trial_model(
    directory: PathLike, data_dir: Optional[PathLike] = None
) -> Iterator[tuple[Any, tf.keras.Model]]:
    """The task of a trial and its model as read from its file, while the trial's gin config is in force.

    Raises:
      FileNotFoundError: for a folder that no finished trial left.
      ConfigError: for a config that is none of this package's.
      ContainerError: for a file that is damaged.
    """
    from ..framework import load

    directory = Path(directory)
    for name in (ARTEFACT, trial.RESULT, "config.gin"):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{str(directory)!r} is no finished trial's folder: it has no {name}.")
    result = trial.read_result(directory)
    assert result is not None
    with gin_files.isolated(), run.data_folder(data_dir):
        registries()
        gin_files.load(gin_files.read_file(directory / "config.gin"))
        task = registries()[0].build(result["task"])
        yield task, load(directory / ARTEFACT, task.build_model(), decode="each_call")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in _files(path))


def zipped_size(path: Path) -> int:
    """Bytes of a zip archive (deflate, level 9) of a file or folder."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for file in [path] if path.is_file() else _files(path):
            packed.write(file, file.name if path.is_file() else file.relative_to(path))
    return archive.getbuffer().nbytes


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
