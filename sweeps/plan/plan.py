"""Turns a sweep and its gin files into trials with frozen configs, and checks every one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gin

from ..gin import registries
from ..gin.bindings import Binding, ConfigError, Source, calling, load, was_used
from ..gin.files import find
from ..gin.isolation import isolated
from ..gin.parse import read_file, read_overrides
from ..gin.type_checks import check_types
from ..results.schema import BASELINE, SEARCH
from ..results.traces import Stop
from ..trial.settings import Settings
from ..trial.trial import Trial
from .curve import PlannedCurve, curves_of, first_proposals
from .definition import Sweep
from .freeze import axis_binding, freeze
from .grid import Curve, Point, lmbdas_of, parents, points
from .grid import overrides as settings_of
from .library import SWEEP, Library
from .requantise import requantised
from .search import LMBDA, Choices, Range, Space, lmbda_range, space_of

_TRIAL = "lambdapress.sweeps.trial"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep that is ready to run.

    Attributes:
      name: of the sweep.
      trials: each once; what others start from comes before them.
      curves: its trade-off curves.
      added: the points that are none of the sweep's own, with one of its seeds.
      refine: how many λ are to be added to each curve; see `Sweep.refine`.
      search_trials: how many settings the search of each curve tries; see `Sweep.search`.
      stop: when a trial stops early; no part of its identity, since one that is not stopped is the same.
    """

    name: str
    trials: tuple[Trial, ...]
    curves: tuple[PlannedCurve, ...] = ()
    added: tuple[Point, ...] = ()
    refine: int = 0
    search_trials: int = 0
    stop: Stop | None = None


def plan(
    sweep: str | Path | Sweep,
    overrides: Sequence[str] = (),
    more: Sequence[Point] | None = None,
) -> Plan:
    """Makes the trials of a sweep, and checks each as far as possible without training.

    Each trial's config consists of the following, later wins: its task's gin file, its algorithms' gin
    files, the sweep file's bindings except `sweep.…`, its point of the grid, `overrides`. Bindings for
    tasks and algorithms that the trial does not use are left out, so that changing a hyper-parameter of
    one algorithm leaves the results of the others valid.

    Args:
      sweep: a gin file (see `gin/files.py`), or the sweep itself.
      overrides: gin bindings, such as `"digits.epochs = 3"`.
      more: points that are added, each for all seeds; None: those that a search begins with.

    Raises:
      ConfigError: for any mistake in the sweep; nothing has been trained.
    """
    with isolated():
        extra = read_overrides(overrides)
        name, spec, file_source = _read(sweep, extra)
        # Only after the gin files are read: they may import modules that register more.
        library = Library.collect(file_source + extra)
        uses_lmbda = library.uses_lmbda(spec)
        own = calling(name, points, spec, uses_lmbda)
        taken: set[str] = set()  # keys of the bindings that some trial takes

        def probe(point: Point) -> Trial:
            trial, bindings = freeze(point, file_source, extra, library, {}, None)
            _check(trial, bindings)
            taken.update(binding.key for binding in bindings if was_used(binding))
            return trial

        spaces = _spaces(spec, uses_lmbda, own, probe) if spec.search is not None else {}
        if more is None:
            first = {point.curve: point for point in reversed(own)}
            more = [
                added
                for curve, space in spaces.items()
                for added in calling("sweep.search", first_proposals, first[curve], space, spec.search_trials)
            ]
        listed = points(spec, uses_lmbda, more)
        starts = parents(spec, listed)
        trials: dict[int, Trial] = {}
        children: dict[int, list[Trial]] = {}
        checked: dict[str, Settings] = {}
        for index in _parents_first(starts):
            start = starts[index]
            parent = None if start is None else trials[start]
            # One at a time: a trial is checked while gin's config is its own.
            trial, bindings = freeze(listed[index], file_source, extra, library, _start(spec, parent), parent)
            if trial.config not in checked:
                checked[trial.config] = _check(trial, bindings)
                taken |= {binding.key for binding in bindings if was_used(binding)}
            trials[index] = dataclasses.replace(trial, onednn=checked[trial.config].onednn)
            children[index] = _requantised(spec, trials[index])
        _check_taken(spec, file_source, extra, library, taken)
    once: dict[str, Trial] = {}
    for index, trial in trials.items():
        for one in (trial, *children[index]):
            once.setdefault(one.identity, one)
    if spec.requantise and not any(children.values()):
        raise ConfigError("sweep.requantise: no algorithm of this sweep has steps.")
    return Plan(
        name=name,
        trials=tuple(once.values()),
        curves=curves_of([(listed[index], trials[index]) for index in range(len(listed))], spaces),
        added=tuple(more),
        refine=spec.refine,
        search_trials=spec.search_trials if spaces else 0,
        stop=Stop.of(spec.stop, spec.stop_settings),
    )


def _spaces(
    sweep: Sweep, uses_lmbda: Mapping[str, bool], own: Sequence[Point], probe: Callable[[Point], Trial]
) -> dict[Curve, Space]:
    """Returns what is searched on each curve: the parameters that its trials take, and λ.

    Args:
      sweep: with a search.
      uses_lmbda: for each algorithm, whether it uses λ.
      own: the sweep's own points.
      probe: makes and checks a trial. The ends of each range and every choice are tried, so that a mistake
        shows before anything is trained.
    """
    parameters = space_of(sweep.search or {})
    spaces: dict[Curve, Space] = {}
    for point in own:
        if point.curve in spaces or point.algorithm == BASELINE:
            continue
        space: dict[str, Range | Choices] = {}
        for name, dimension in parameters.items():
            for value in dimension.ends:
                trial = probe(dataclasses.replace(point, searched={name: value}))
                if SEARCH in trial.overrides:
                    space[name] = dimension
        if space and uses_lmbda[point.algorithm]:
            space[LMBDA] = calling("sweep.search", lmbda_range, lmbdas_of(sweep, point.algorithm, True))
        spaces[point.curve] = space
    return spaces


def _parents_first(starts: Sequence[int | None]) -> list[int]:
    """Returns the indices of all points, each after the one that it starts from, else in their order."""
    order: dict[int, None] = {}

    def visit(index: int) -> None:
        start = starts[index]
        if start is not None and start not in order:
            visit(start)
        order[index] = None

    for index in range(len(starts)):
        visit(index)
    return list(order)


def _start(sweep: Sweep, parent: Trial | None) -> dict[str, Any]:
    """Returns what the table says of a trial that starts from another: `sweep.start`, and its own epochs."""
    if parent is None:
        return {}
    epochs = sweep.start_epochs
    epochs = epochs.get(parent.task) if isinstance(epochs, Mapping) else epochs
    return {"sweep.start": sweep.start, **({} if epochs is None else {f"{parent.task}.epochs": int(epochs)})}


def _requantised(sweep: Sweep, trial: Trial) -> list[Trial]:
    """Returns the trials that store a trial's model with other steps; gin's config must be the trial's."""
    if not sweep.requantise:
        return []
    rules = gin.get_configurable(Settings)().build_rules(trial.algorithm)
    algorithms = [rules] if not isinstance(rules, list) else [algorithm for _, algorithm in rules]
    if not any(algorithm is not None and algorithm.has_steps for algorithm in algorithms):
        return []
    return [requantised(trial, factor) for factor in sweep.requantise]


def _read(sweep: str | Path | Sweep, extra: Source) -> tuple[str, Sweep, Source]:
    """Returns the sweep's name, the sweep itself, and everything that its file says."""
    if isinstance(sweep, Sweep):
        if any(binding.selector == SWEEP for binding in extra.bindings):
            raise ConfigError("The sweep is given as an object: change that, do not bind sweep.…")
        return "sweep", sweep, Source()
    path = find(str(sweep))
    file_source = read_file(path)
    load(file_source + extra)
    check_types(b for b in (file_source + extra).bindings if b.selector == SWEEP)
    return path.stem, calling(str(path), gin.get_configurable(Sweep)), file_source


def _check(trial: Trial, bindings: Sequence[Binding]) -> Settings:
    """Builds the trial's parts, its model only if rules need it; gin's config must be the trial's.

    Returns its settings.
    """
    from ...framework import to_compressible

    check_types(bindings)
    task = calling(f"task {trial.task!r}", registries.tasks().build, trial.task)
    settings: Settings = calling("trial", gin.get_configurable(Settings))
    where = "trial.rules" if settings.rules else f"algorithm {trial.algorithm!r}"
    rules = calling(where, settings.build_rules, trial.algorithm)
    if settings.rules:  # patterns can only be checked against the paths of a model
        calling(where, to_compressible, task.build_model(), rules)
    return settings


def _check_taken(sweep: Sweep, file_source: Source, extra: Source, library: Library, taken: set[str]) -> None:
    """Refuses bindings without effect: a table would show a difference that is none.

    Of what a sweep's file binds, only what belongs to a task or algorithm that runs: a sweep can be narrowed
    down for once. Functions that others registered with gin may be called later, and are let through.
    """
    axes = [axis_binding(key, value) for setting in settings_of(sweep.grid) for key, value in setting.items()]
    axes += (
        [
            axis_binding(key, one.ends[0], f"sweep.search[{key!r}]")
            for key, one in space_of(sweep.search).items()
        ]
        if sweep.search
        else []
    )
    run = {key.rpartition("/")[2].partition(".")[0] for key in taken}
    narrowed = [b for b in file_source.bindings if library.owners.get(b.selector) in run]
    for binding in (*axes, *extra.bindings, *narrowed):
        ours = binding.selector in library.owners or binding.selector == _TRIAL
        if ours and binding.key not in taken:
            raise ConfigError(f"{binding.where}: nothing in this sweep takes {binding.key}.")
