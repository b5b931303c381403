"""A model's file, from the command line's point of view: compressed, looked into, measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from . import gin_files, run
from .names import registries
from .trial_settings import OWN, Settings


@dataclasses.dataclass(frozen=True)
class Compressed:
    """What has become of a model: its file's size report; a task's metric before and after, if asked for."""

    report: Any
    metric: Optional[str] = None
    before: Optional[float] = None
    after: Optional[float] = None


def compress_file(
    model: Union[str, Path],
    out: Union[str, Path],
    algorithm: str,
    rules: Sequence[tuple[str, Optional[str]]] = (),
    bindings: Sequence[str] = (),
    lmbda: float = 0.1,
    task: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> Compressed:
    """Compresses a saved Keras model post training.

    Args:
      model: what `tf.keras.models.load_model` reads.
      out: the `.lpz` to write.
      algorithm: name of the algorithm for every weight that no rule takes.
      rules: `(pattern over weight paths, algorithm name or None)`, first match wins.
      bindings: gin bindings on top of the algorithms' gin files.
      lmbda: λ, for algorithms that it means something to without training.
      task: name of a task on which to evaluate the model and what is read back from the file.
      data_dir: folder of prepared TensorFlow Datasets.

    Raises:
      ValueError: for a model, a rule, an algorithm, a task or a binding that cannot be used.
    """
    import tensorflow as tf

    from ..framework import load, save, size_report, to_compressible

    with gin_files.isolated(), run.data_folder(data_dir):
        names = {algorithm, *(name for _, name in rules if name)}
        _configure(names | ({task} if task else set()), bindings)
        measured = registries()[0].build(task) if task else None
        plain = tf.keras.models.load_model(model, compile=False)
        named = [*rules, (".*", OWN)] if rules else []
        compressible = to_compressible(plain, Settings(rules=named).build_rules(algorithm), lmbda)
        save(compressible, out)
        report = size_report(out)
        if measured is None:
            return Compressed(report)
        before, after = (float(measured.evaluate(model)) for model in (plain, load(out, plain)))
        return Compressed(report, measured.metric, before, after)


def inspect_file(path: Union[str, Path]) -> Any:
    """The size report of an `.lpz`."""
    _exists(path)
    from ..framework import size_report

    return size_report(path)


def evaluate_file(
    path: Union[str, Path],
    task: str,
    bindings: Sequence[str] = (),
    data_dir: Union[str, Path, None] = None,
) -> tuple[str, float]:
    """The name and the value of a task's metric for the model in an `.lpz`.

    Raises:
      ValueError: for an unknown task, or a file that is not of the task's model.
    """
    _exists(path)
    from ..framework import load

    tasks, _ = registries()
    with gin_files.isolated(), run.data_folder(data_dir):
        tasks.get(task)
        _configure({task}, bindings)
        built = tasks.build(task)
        return built.metric, float(built.evaluate(load(path, built.build_model())))


def _configure(names: set[str], bindings: Sequence[str]) -> None:
    """Makes gin's config the package's defaults for these tasks and algorithms, with `bindings` on top."""
    registries()
    extra = gin_files.read_overrides(bindings)
    defaults = {**gin_files.packaged("tasks"), **gin_files.packaged("algorithms")}
    files = (gin_files.read_file(defaults[name]) for name in sorted(names & set(defaults)))
    source = sum(files, gin_files.Source()) + extra
    gin_files.load(source)
    gin_files.check_types(source.bindings)


def _exists(path: Union[str, Path]) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
