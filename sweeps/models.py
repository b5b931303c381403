"""A model's file, from the command line's point of view: compressed, looked into, measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from . import gin_files, run
from .names import registries


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
    lmbda: Optional[float] = None,
    task: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
    allow_code: bool = False,
) -> Compressed:
    """Compresses a saved Keras model post training.

    Args:
      model: a `.keras` or `.h5` file or a SavedModel's folder.
      out: the `.lpz` to write; its folder is made where it is missing.
      algorithm: name of the algorithm for every weight that no rule takes.
      rules: `(pattern over weight paths, algorithm name or None)`, first match wins.
      bindings: gin bindings on top of the algorithms' gin files.
      lmbda: λ, for algorithms that it means something to without training; 0.1 unless given.
      task: name of a task on which to evaluate the model and what is read back from the file.
      data_dir: folder of prepared TensorFlow Datasets.
      allow_code: whether Python code that is in `model` (a `Lambda` layer's) may run.

    Raises:
      ValueError: for a model, a rule, an algorithm, a λ, a task or a binding that cannot be used.
    """
    from ..framework import load, save, size_report
    from ..framework.keras_files import load_keras

    model, out = Path(model), Path(out)
    if out.resolve() == model.resolve() or model.resolve() in out.resolve().parents:
        raise ValueError(f"OUT.lpz is {str(out)!r}, which would write over the model; give another path.")
    with gin_files.isolated(), run.data_folder(data_dir):
        names = {algorithm, *(name for _, name in rules if name)}
        extra = _configure(names | ({task} if task else set()), bindings)
        measured = registries()[0].build(task) if task else None
        named = _built(algorithm, rules)
        _check_lmbda(lmbda, [rule[1] for rule in named])
        _check_used(extra)
        plain = load_keras(model, allow_code)
        compressible = _compressible(plain, named, 0.1 if lmbda is None else lmbda)
        before = _evaluate(measured, plain, model) if measured else None
        out.parent.mkdir(parents=True, exist_ok=True)
        save(compressible, out)
        report = size_report(out)
        if measured is None:
            return Compressed(report)
        return Compressed(report, measured.metric, before, float(measured.evaluate(load(out, plain))))


def _built(algorithm: str, rules: Sequence[tuple[str, Optional[str]]]) -> list[tuple[str, Any]]:
    """The rules with their algorithms, the last one for what no other takes."""
    build = registries()[1].build

    def built(name: str) -> Any:
        return gin_files.calling(f"algorithm {name!r}", build, name)

    return [(pattern, name and built(name)) for pattern, name in rules] + [(".*", built(algorithm))]


def _compressible(plain: Any, rules: list[tuple[str, Any]], lmbda: float) -> Any:
    """The compressible model; the last rule may find nothing left to take."""
    from ..framework import RuleError, to_compressible

    if len(rules) == 1:
        return to_compressible(plain, rules[0][1], lmbda)
    try:
        return to_compressible(plain, rules, lmbda)
    except RuleError:
        return to_compressible(plain, rules[:-1], lmbda)


def _check_lmbda(lmbda: Optional[float], built: Sequence[Any]) -> None:
    if lmbda is not None and not any(a is not None and a.lmbda_at_once for a in built):
        names = ", ".join(sorted({a.name for a in built if a is not None}))
        raise ValueError(
            f"--lmbda {lmbda:g} changes nothing here: without training λ means nothing to {names}. Leave it "
            "out, or take an algorithm whose λ acts on a trained weight, such as uniform."
        )


def _check_used(extra: gin_files.Source) -> None:
    """Refuses what is bound for a trial, a sweep or an algorithm that was not built."""
    for binding in extra.bindings:
        if not binding.selector.startswith(("lambdapress.algorithms.", "lambdapress.sweeps.")):
            continue
        if not gin_files.was_used(binding):
            raise ValueError(
                f"{binding.where}: nothing here takes it. Compressing a model runs no trial; --algorithm and "
                "--rule say which algorithms there are."
            )


def _evaluate(task: Any, model: Any, path: Path) -> float:
    try:
        return float(task.evaluate(model))
    except Exception as error:  # TensorFlow's, from inside a graph: about shapes that do not fit
        shapes = [getattr(m, "input_shape", "?") for m in (task.build_model(), model)]
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ValueError(
            f"--task {task.name!r} cannot evaluate {str(path)!r}: the task's own model takes inputs of shape "
            f"{shapes[0]}, this one {shapes[1]} ({lines[-1] if lines else type(error).__name__})."
        ) from error


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


def _configure(names: set[str], bindings: Sequence[str]) -> gin_files.Source:
    """Makes gin's config the defaults of these names, with `bindings` on top; returns these as read."""
    registries()
    extra = gin_files.read_overrides(bindings)
    defaults = {**gin_files.packaged("tasks"), **gin_files.packaged("algorithms")}
    files = (gin_files.read_file(defaults[name]) for name in sorted(names & set(defaults)))
    source = sum(files, gin_files.Source()) + extra
    gin_files.load(source)
    gin_files.check_types(source.bindings)
    return extra


def _exists(path: Union[str, Path]) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
