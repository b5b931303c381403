"""Compresses, inspects and evaluates model files for the command line."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .environment import data_folder
from .gin import registries
from .gin.bindings import Source, calling, was_used
from .gin.bindings import load as load_config
from .gin.files import packaged
from .gin.isolation import isolated
from .gin.parse import read_file, read_overrides
from .gin.type_checks import check_types
from .plan import grid  # noqa: F401  gin knows `sweep` once it is imported, …
from .trial import settings  # noqa: F401  … and `trial`


@dataclasses.dataclass(frozen=True)
class Compressed:
    """The result of `compress_file`: a size report and, with a task, its metric before and after.

    `notes` say what was not done although it may be expected.
    """

    report: Any
    metric: str | None = None
    before: float | None = None
    after: float | None = None
    notes: Sequence[str] = ()


def compress_file(
    model: str | Path,
    out: str | Path,
    algorithm: str,
    rules: Sequence[tuple[str, str | None]] = (),
    bindings: Sequence[str] = (),
    lmbda: float | None = None,
    task: str | None = None,
    data_dir: str | Path | None = None,
    allow_code: bool = False,
    show: Callable[[str], None] = lambda line: None,
    dry_run: bool = False,
) -> Compressed | None:
    """Compresses a saved Keras model post training.

    Args:
      model: a `.keras` or `.h5` file or a SavedModel's folder.
      out: the `.lpz` file to write; its folder is made if missing.
      algorithm: name of the algorithm for every weight that no rule matches.
      rules: `(pattern over weight paths, algorithm name or None)`, first match wins.
      bindings: gin bindings that override the gin files of the algorithms and the task.
      lmbda: λ, for algorithms that use it without training; None: 0.1.
      task: name of a task; it evaluates the model before compression and as read back from the file.
      data_dir: folder of prepared TensorFlow Datasets.
      allow_code: whether Python code stored in `model` (in `Lambda` layers) may run.
      show: is called with a line for each rule, of the weights that it takes, before they are compressed.
      dry_run: whether nothing is compressed or written after that.

    Returns:
      What was written; None after a dry run.

    Raises:
      ValueError: for a model, a rule, an algorithm, a λ, a task or a binding that cannot be used.
    """
    from ..framework import CompressionWarning, load, save, size_report
    from ..framework.files.keras_model import load_keras
    from ..framework.forms.untold import warn_of_no_training
    from ..framework.task import main_value, reported_split

    model, out = Path(model), Path(out)
    if out.resolve() == model.resolve() or model.resolve() in out.resolve().parents:
        raise ValueError(f"OUT.lpz is {str(out)!r}, which would write over the model; give another path.")
    with isolated(), data_folder(data_dir):
        names = {algorithm, *(name for _, name in rules if name)}
        extra = _configure(names | ({task} if task else set()), bindings)
        measured = registries.tasks().build(task) if task else None
        named = _built(algorithm, rules)
        _check_lmbda(lmbda, [rule[1] for rule in named])
        _check_used(extra)
        plain = load_keras(model, allow_code)
        for line in _taken(plain, named):
            show(line)
        if dry_run:
            return None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CompressionWarning)
            compressible = _compressible(plain, named, 0.1 if lmbda is None else lmbda)
            warn_of_no_training(compressible, stacklevel=1)
        notes = _notes(caught)
        before = _evaluate(measured, plain, model) if measured else None
        out.parent.mkdir(parents=True, exist_ok=True)
        save(compressible, out)
        report = size_report(out)
        if measured is None:
            return Compressed(report, notes=notes)
        after = measured.evaluate(load(out, plain), reported_split(measured))
        return Compressed(report, measured.metrics[0].name, before, main_value(measured, after), notes)


def _built(algorithm: str, rules: Sequence[tuple[str, str | None]]) -> list[tuple[str, Any]]:
    """Builds the rules' algorithms, and adds a last rule for the weights that no other matches."""
    build = registries.algorithms().build

    def built(name: str) -> Any:
        return calling(f"algorithm {name!r}", build, name)

    return [(pattern, name and built(name)) for pattern, name in rules] + [(".*", built(algorithm))]


def _taken(plain: Any, rules: list[tuple[str, Any]]) -> Iterator[str]:
    """Yields a line for each rule, with the weights that it takes; no line where there is but one."""
    from ..framework.forms.rules import taken_by
    from ..framework.messages import some
    from ..framework.surgery.weights import weights_of

    if len(rules) < 2:
        return
    taken = taken_by([pattern for pattern, _ in rules], weights_of(plain))
    for (pattern, algorithm), paths in zip(rules, taken, strict=True):
        yield f"{pattern} = {algorithm.name if algorithm else 'in full'}: {some(paths, 8) or 'nothing'}"


def _compressible(plain: Any, rules: list[tuple[str, Any]], lmbda: float) -> Any:
    """Makes the compressible model; the last rule may match no weight."""
    from ..framework import RuleError, to_compressible

    if len(rules) == 1:
        return to_compressible(plain, rules[0][1], lmbda)
    try:
        return to_compressible(plain, rules, lmbda)
    except RuleError:
        return to_compressible(plain, rules[:-1], lmbda)


def _notes(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """Returns the texts of the warnings about the compression; shows the others."""
    from ..framework import CompressionWarning

    for one in caught:
        if not issubclass(one.category, CompressionWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    ours = [str(one.message) for one in caught if issubclass(one.category, CompressionWarning)]
    return list(dict.fromkeys(ours))


def _check_lmbda(lmbda: float | None, built: Sequence[Any]) -> None:
    if lmbda is not None and not any(a is not None and a.lmbda_at_once for a in built):
        names = ", ".join(sorted({a.name for a in built if a is not None}))
        raise ValueError(
            f"--lmbda {lmbda:g} changes nothing here: without training λ means nothing to {names}. Leave it "
            "out, or take an algorithm whose λ acts on a trained weight, such as uniform."
        )


def _check_used(extra: Source) -> None:
    """Refuses bindings for a trial, a sweep or an algorithm that was not built."""
    for binding in extra.bindings:
        if not binding.selector.startswith(("lambdapress.algorithms.", "lambdapress.sweeps.")):
            continue
        if not was_used(binding):
            raise ValueError(
                f"{binding.where}: nothing here takes it. Compressing a model runs no trial; --algorithm and "
                "--rule say which algorithms there are."
            )


def _evaluate(task: Any, model: Any, path: Path) -> float:
    from ..framework.task import main_value, reported_split

    try:
        return main_value(task, task.evaluate(model, reported_split(task)))
    except Exception as error:  # TensorFlow raises it inside a graph: shapes do not fit
        shapes = [getattr(m, "input_shape", "?") for m in (task.build_model(), model)]
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ValueError(
            f"--task {task.name!r} cannot evaluate {str(path)!r}: the task's own model takes inputs of shape "
            f"{shapes[0]}, this one {shapes[1]} ({lines[-1] if lines else type(error).__name__})."
        ) from error


def inspect_file(path: str | Path) -> Any:
    """Returns the size report of an `.lpz` file."""
    _exists(path)
    from ..framework import size_report

    return size_report(path)


def evaluate_file(
    path: str | Path,
    task: str,
    bindings: Sequence[str] = (),
    data_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Evaluates the model in an `.lpz` file on every split of a task.

    Returns:
      By a metric's name, the main one first, its `direction`, `unit` and `value` by split, as in a result.

    Raises:
      ValueError: for an unknown task, or a file that does not hold the task's model.
      FloatingPointError: where the main metric is not finite.
    """
    _exists(path)
    from ..framework import load
    from .measurement.evaluation import as_metrics, evaluations

    with data_folder(data_dir), configured_task(task, bindings) as built:
        return as_metrics(built, evaluations(built, load(path, built.build_model())))


@contextlib.contextmanager
def configured_task(name: str, bindings: Sequence[str] = ()) -> Iterator[Any]:
    """Yields a task with the parameters of its gin file and of `bindings`, while gin holds them.

    Raises:
      ValueError: for an unknown task or parameter.
    """
    tasks = registries.tasks()
    with isolated():
        tasks.get(name)
        _configure({name}, bindings)
        yield tasks.build(name)


def _configure(names: set[str], bindings: Sequence[str]) -> Source:
    """Loads the gin files of these names, with `bindings` on top; returns `bindings` as read."""
    registries.load_all()
    extra = read_overrides(bindings)
    defaults = {**packaged("tasks"), **packaged("algorithms")}
    files = (read_file(defaults[name]) for name in sorted(names & set(defaults)))
    source = sum(files, Source()) + extra
    load_config(source)
    check_types(source.bindings)
    return extra


def _exists(path: str | Path) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
