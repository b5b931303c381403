"""Turns a sweep and its gin files into trials with frozen configs, and checks every one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gin
from gin import config_parser

from ..gin import registries, user_modules
from ..gin.bindings import Binding, ConfigError, Source, bind, calling, load, was_used
from ..gin.files import find, packaged
from ..gin.isolation import isolated
from ..gin.parse import read_file, read_overrides
from ..gin.type_checks import check_types
from ..results.traces import Stop
from ..trial.settings import Settings
from ..trial.trial import Trial
from .grid import Curve, Point, Sweep, parents, points
from .grid import overrides as settings_of
from .requantise import requantised

_SWEEP, _TRIAL = "lambdapress.sweeps.sweep", "lambdapress.sweeps.trial"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep that is ready to run.

    Attributes:
      name: of the sweep.
      trials: each once; what others start from comes before them.
      curves: the trained trials of each trade-off curve, over all seeds.
      refine: how many λ are to be added to each curve; see `Sweep.refine`.
      stop: when a trial stops early; no part of its identity, since one that is not stopped is the same.
    """

    name: str
    trials: tuple[Trial, ...]
    curves: Mapping[Curve, tuple[Trial, ...]] = dataclasses.field(default_factory=dict)
    refine: int = 0
    stop: Stop | None = None


def plan(
    sweep: str | Path | Sweep,
    overrides: Sequence[str] = (),
    more: Mapping[Curve, Sequence[float]] | None = None,
) -> Plan:
    """Makes the trials of a sweep, and checks each as far as possible without training.

    Each trial's config consists of the following, later wins: its task's gin file, its algorithms' gin
    files, the sweep file's bindings except `sweep.…`, its point of the grid, `overrides`. Bindings for
    tasks and algorithms that the trial does not use are left out, so that changing a hyper-parameter of
    one algorithm leaves the results of the others valid.

    Args:
      sweep: a gin file (see `gin/files.py`), or the sweep itself.
      overrides: gin bindings, such as `"digits.epochs = 3"`.
      more: λ that are added to curves, by the keys of `Plan.curves`.

    Raises:
      ConfigError: for any mistake in the sweep; nothing has been trained.
    """
    with isolated():
        extra = read_overrides(overrides)
        name, spec, file_source = _read(sweep, extra)
        # Only after the gin files are read: they may import modules that register more.
        library = _Library.collect(file_source + extra)
        listed = calling(name, points, spec, library.uses_lmbda(spec), more)
        starts = parents(spec, listed)
        trials: dict[int, Trial] = {}
        children: dict[int, list[Trial]] = {}
        checked: dict[str, Settings] = {}
        taken: set[str] = set()  # keys of the bindings that some trial takes
        for index in _parents_first(starts):
            start = starts[index]
            parent = None if start is None else trials[start]
            # One at a time: a trial is checked while gin's config is its own.
            trial, bindings = _freeze(
                listed[index], file_source, extra, library, _start(spec, parent), parent
            )
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
    curves: dict[Curve, list[Trial]] = {}
    for index, trial in trials.items():
        curves.setdefault(listed[index].curve, []).append(trial)
    stop = Stop.of(spec.stop, spec.stop_settings)
    return Plan(name, tuple(once.values()), {key: tuple(of) for key, of in curves.items()}, spec.refine, stop)


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
        if any(binding.selector == _SWEEP for binding in extra.bindings):
            raise ConfigError("The sweep is given as an object: change that, do not bind sweep.…")
        return "sweep", sweep, Source()
    path = find(str(sweep))
    file_source = read_file(path)
    load(file_source + extra)
    check_types(b for b in (file_source + extra).bindings if b.selector == _SWEEP)
    return path.stem, calling(str(path), gin.get_configurable(Sweep)), file_source


@dataclasses.dataclass(frozen=True)
class _Library:
    """Keeps the registered tasks and algorithms, and the gin files that the package has for them.

    Attributes:
      defaults: the content of each task's and algorithm's gin file, by name; empty where there is no file.
      owners: the task or algorithm that each of gin's full selectors configures.
      registered: the tasks and algorithms of each imported module that registers anything.
      hashes: the SHA-256 of the code of those modules that have a task or algorithm.
    """

    defaults: Mapping[str, Source]
    owners: Mapping[str, str]
    registered: Mapping[str, set[str]]
    hashes: Mapping[str, str]

    @staticmethod
    def collect(source: Source) -> _Library:
        tasks, algorithms = registries.tasks(), registries.algorithms()
        defaults, owners = {}, {}
        for kind, names in (("tasks", tasks.names()), ("algorithms", algorithms.names())):
            files = packaged(kind)
            for name in names:
                owners[f"lambdapress.{kind}.{name}"] = name
                defaults[name] = read_file(files[name]) if name in files else Source()
        names_by_module = {module: user_modules.registered_by(module) for module in source.modules()}
        registered = {module: names for module, names in names_by_module.items() if names is not None}
        hashes = {module: user_modules.code_hash(module) for module, names in registered.items() if names}
        return _Library(defaults, owners, registered, hashes)

    def only(self, used: set[str], source: Source) -> Source:
        """Returns the bindings of `source` for names in `used`, or for no task, algorithm or sweep."""

        def belongs(binding: Binding) -> bool:
            owner = self.owners.get(binding.selector)
            return binding.selector != _SWEEP and (owner is None or owner in used)

        return source.only(belongs)

    def uses_lmbda(self, sweep: Sweep) -> dict[str, bool]:
        """Tells for each algorithm of the sweep whether it uses λ; checks all names in the sweep."""
        tasks, algorithms = registries.tasks(), registries.algorithms()
        for task in sweep.tasks:
            calling("sweep.tasks", tasks.get, task)
        if isinstance(sweep.lmbdas, Mapping):
            for name in sweep.lmbdas:
                calling("sweep.lmbdas", algorithms.get, name)
        classes = {a: calling("sweep.algorithms", algorithms.get, a) for a in sweep.algorithms}
        return {name: cls.uses_lmbda for name, cls in classes.items()}


def _freeze(
    point: Point,
    file_source: Source,
    extra: Source,
    library: _Library,
    start: Mapping[str, Any],
    parent: Trial | None,
) -> tuple[Trial, tuple[Binding, ...]]:
    """Returns the trial of a point and its bindings; gin's config is then the trial's.

    `start` is what `_start` returns of the parent.
    """
    axes = tuple(_axis(key, value) for key, value in point.overrides.items())
    shorter = tuple(
        _axis(key, value, "sweep.start_epochs") for key, value in start.items() if key != "sweep.start"
    )
    bound = file_source + Source(bindings=axes) + extra + Source(bindings=shorter)
    used = {point.task, point.algorithm}
    while True:
        whole = sum((library.defaults[name] for name in _ordered(used, point)), Source()) + bound
        kept = library.only(used, whole)
        named = {name for name in library.defaults if _mentioned(name, kept)}
        if named <= used:
            break
        used |= named
    kept = _used_macros(kept)
    kept = _pin_own(dataclasses.replace(kept, imports=_needed(kept, used, library)), library)
    text = load(kept)
    if any(binding.key == "trial.init_from" for binding in kept.bindings):
        kept += _pin(kept)
        text = load(kept)
    kept_keys = {binding.key for binding in kept.bindings}
    overrides = {axis.key: gin.query_parameter(axis.key) for axis in axes if axis.key in kept_keys}
    overrides |= start
    trial = Trial(point.task, point.algorithm, point.lmbda, point.seed, text, overrides, parent)
    return trial, kept.bindings


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


def _check_taken(
    sweep: Sweep, file_source: Source, extra: Source, library: _Library, taken: set[str]
) -> None:
    """Refuses bindings without effect: a table would show a difference that is none.

    Of what a sweep's file binds, only what belongs to a task or algorithm that runs: a sweep can be narrowed
    down for once. Functions that others registered with gin may be called later, and are let through.
    """
    axes = [_axis(key, value) for setting in settings_of(sweep.grid) for key, value in setting.items()]
    run = {key.rpartition("/")[2].partition(".")[0] for key in taken}
    narrowed = [b for b in file_source.bindings if library.owners.get(b.selector) in run]
    for binding in (*axes, *extra.bindings, *narrowed):
        ours = binding.selector in library.owners or binding.selector == _TRIAL
        if ours and binding.key not in taken:
            raise ConfigError(f"{binding.where}: nothing in this sweep takes {binding.key}.")


def _used_macros(source: Source) -> Source:
    """Leaves out macros that no binding refers to: they are not part of a trial."""
    while True:
        values = [repr(binding.value) for binding in source.bindings]
        names = {name for value in values for name in re.findall(r"%([\w./]+)", value)}
        kept = source.only(lambda b, names=names: b.selector != "gin.macro" or b.scope in names)
        if kept == source:
            return source
        source = kept


def _needed(source: Source, used: set[str], library: _Library) -> tuple[str, ...]:
    """Returns the import statements, except of modules that register names but none in `used`."""
    if any("@" in repr(binding.value) for binding in source.bindings):  # only gin knows what it refers to
        return source.imports
    statements = source.modules().items()
    return tuple(text for module, text in statements if library.registered.get(module, used) & used)


def _pin_own(source: Source, library: _Library) -> Source:
    """Adds the hashes of the user's modules to `source`: their code is part of a trial's identity."""
    if any(binding.key == "trial.own_sha256" for binding in source.bindings):
        return source
    hashes = {module: library.hashes[module] for module in source.modules() if module in library.hashes}
    if not hashes:
        return source
    return source + Source(bindings=(bind("", "trial", "own_sha256", hashes, "--import"),))


def _pin(source: Source) -> Source:
    """Returns a binding of the hash of the file that a trial starts from: a part of its identity."""
    from ...framework.files.pretrained import content_hash

    check_types(source.bindings)
    settings = calling("trial", gin.get_configurable(Settings))
    if settings.init_from is None or settings.init_from_sha256 is not None:
        return Source()
    digest = calling("trial.init_from", content_hash, settings.init_from)
    return Source(bindings=(bind("", "trial", "init_from_sha256", digest, "trial.init_from"),))


def _axis(key: str, value: Any, where: str = "") -> Binding:
    where = where or f"sweep.grid[{key!r}]"
    scope, selector, parameter = config_parser.parse_binding_key(key)
    if not parameter:
        raise ConfigError(f"{where}: name a parameter, such as 'digits.epochs'.")
    axis = bind(scope, selector, parameter, value, where)
    if axis.selector == _SWEEP:
        raise ConfigError(f"{where}: a grid cannot change the sweep itself; list the values in {axis.key}.")
    return axis


def _mentioned(name: str, source: Source) -> bool:
    """Tells whether a value names the task or algorithm, as a string or a reference (`@epr()`)."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    return any(pattern.search(repr(binding.value)) for binding in source.bindings)


def _ordered(used: set[str], point: Point) -> list[str]:
    return sorted(used, key=lambda name: (name != point.task, name))
