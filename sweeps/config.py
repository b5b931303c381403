"""From a sweep and its gin files to the frozen config of every trial, all of it checked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import gin
from gin import config_parser

from . import gin_files, own
from .gin_files import Binding, ConfigError, Source
from .grid import Point, Sweep, points
from .names import registries
from .trial import Trial
from .trial_settings import Settings

_SWEEP = "lambdapress.sweeps.sweep"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep, ready to run: its name, and its trials, each once."""

    name: str
    trials: tuple[Trial, ...]


def plan(sweep: Union[str, Path, Sweep], overrides: Sequence[str] = ()) -> Plan:
    """The trials of a sweep, every one of them checked as far as can be without training.

    Each trial's config is, later wins: its task's gin file, its algorithms' gin files, what the sweep
    file binds besides `sweep.…`, its point of the grid, `overrides`. What is bound for tasks and
    algorithms that the trial has no use for is left out, so that changing the hyper-parameter of
    one algorithm leaves the results of the others valid.

    Args:
      sweep: a gin file (see `gin_files.find`), or the sweep itself.
      overrides: gin bindings, such as `"digits.epochs = 3"`.

    Raises:
      ConfigError: for anything that is not as it should be; nothing was trained.
    """
    with gin_files.isolated():
        extra = gin_files.read_overrides(overrides)
        name, what, given = _read(sweep, extra)
        library = _Library.collect(
            given + extra
        )  # once the gin files are read: they may import what registers more
        frozen = (  # one at a time: gin's config is that of the trial at hand when it is checked
            _freeze(point, given, extra, library)
            for point in gin_files.calling(name, points, what, library.uses_lmbda(what))
        )
        trials: dict[str, Trial] = {}
        checked: set[str] = set()
        for trial, bindings in frozen:
            if trial.config not in checked:
                _check(trial, bindings)
                checked.add(trial.config)
            trials.setdefault(trial.identity, trial)
    return Plan(name, tuple(trials.values()))


def _read(sweep: Union[str, Path, Sweep], extra: Source) -> tuple[str, Sweep, Source]:
    """The sweep's name, what it consists of, and all that its file says."""
    if isinstance(sweep, Sweep):
        if any(binding.selector == _SWEEP for binding in extra.bindings):
            raise ConfigError("The sweep is given as an object: change that, do not bind sweep.…")
        return "sweep", sweep, Source()
    path = gin_files.find(str(sweep))
    given = gin_files.read_file(path)
    gin_files.load(given + extra)
    gin_files.check_types(b for b in (given + extra).bindings if b.selector == _SWEEP)
    return path.stem, gin_files.calling(str(path), gin.get_configurable(Sweep)), given


@dataclasses.dataclass(frozen=True)
class _Library:
    """What is registered, and the gin file that the package has for it.

    Attributes:
      defaults: by name of a task or algorithm, what its gin file says.
      owners: by gin's full selector, the task or algorithm that it configures.
      registered: by module that is imported, the tasks and algorithms of its own; those that have some.
      hashes: of these modules' code.
    """

    defaults: Mapping[str, Source]
    owners: Mapping[str, str]
    registered: Mapping[str, set[str]]
    hashes: Mapping[str, str]

    @staticmethod
    def collect(source: Source) -> _Library:
        tasks, algorithms = registries()
        defaults, owners = {}, {}
        for kind, names in (("tasks", tasks.names()), ("algorithms", algorithms.names())):
            files = gin_files.packaged(kind)
            for name in names:
                owners[f"lambdapress.{kind}.{name}"] = name
                defaults[name] = gin_files.read_file(files[name]) if name in files else Source()
        registered = {module: own.registered_by(module) for module in source.modules()}
        registered = {module: names for module, names in registered.items() if names}
        return _Library(
            defaults, owners, registered, {module: own.code_hash(module) for module in registered}
        )

    def only(self, used: set[str], source: Source) -> Source:
        """What `source` binds for those in `used`, and for what is no task, algorithm or sweep."""

        def belongs(binding: Binding) -> bool:
            owner = self.owners.get(binding.selector)
            return binding.selector != _SWEEP and (owner is None or owner in used)

        return source.only(belongs)

    def uses_lmbda(self, sweep: Sweep) -> dict[str, bool]:
        """For each algorithm of the sweep, whether λ means anything to it; all its names are checked."""
        tasks, algorithms = registries()
        for task in sweep.tasks:
            gin_files.calling("sweep.tasks", tasks.get, task)
        if isinstance(sweep.lmbdas, Mapping):
            for name in sweep.lmbdas:
                gin_files.calling("sweep.lmbdas", algorithms.get, name)
        classes = {a: gin_files.calling("sweep.algorithms", algorithms.get, a) for a in sweep.algorithms}
        return {name: cls.uses_lmbda for name, cls in classes.items()}


def _freeze(
    point: Point, given: Source, extra: Source, library: _Library
) -> tuple[Trial, tuple[Binding, ...]]:
    """The trial of a point, with what is bound for it; gin's config is left as just that."""
    axes = tuple(_axis(key, value) for key, value in point.overrides.items())
    bound = given + Source(bindings=axes) + extra
    used = {point.task, point.algorithm}
    while True:
        whole = sum((library.defaults[name] for name in _ordered(used, point)), Source()) + bound
        kept = library.only(used, whole)
        named = {name for name in library.defaults if _mentioned(name, kept)}
        if named <= used:
            break
        used |= named
    kept = _pin_own(dataclasses.replace(kept, imports=_needed(kept, used, library)), library)
    text = gin_files.load(kept)
    if any(binding.key == "trial.init_from" for binding in kept.bindings):
        kept += _pin(kept)
        text = gin_files.load(kept)
    kept_keys = {binding.key for binding in kept.bindings}
    overrides = {axis.key: gin.query_parameter(axis.key) for axis in axes if axis.key in kept_keys}
    return Trial(point.task, point.algorithm, point.lmbda, point.seed, text, overrides), kept.bindings


def _check(trial: Trial, bindings: Sequence[Binding]) -> None:
    """Builds what the trial is made of, its model only where rules need it: gin's config is the trial's."""
    from ..framework import to_compressible

    gin_files.check_types(bindings)
    task = gin_files.calling(f"task {trial.task!r}", registries()[0].build, trial.task)
    settings = gin_files.calling("trial", gin.get_configurable(Settings))
    where = "trial.rules" if settings.rules else f"algorithm {trial.algorithm!r}"
    rules = gin_files.calling(where, settings.build_rules, trial.algorithm)
    if settings.rules:  # patterns can only be held against the model's own paths
        gin_files.calling(where, to_compressible, task.build_model(), rules)


def _needed(source: Source, used: set[str], library: _Library) -> tuple[str, ...]:
    """The import statements but for those of modules that register tasks and algorithms, all without use."""
    if any("@" in repr(binding.value) for binding in source.bindings):  # to what, gin alone knows
        return source.imports
    statements = source.modules().items()
    return tuple(text for module, text in statements if library.registered.get(module, used) & used)


def _pin_own(source: Source, library: _Library) -> Source:
    """Binds the hashes of the user's modules: what their algorithm does is part of a trial's identity."""
    if any(binding.key == "trial.own_sha256" for binding in source.bindings):
        return source
    hashes = {module: library.hashes[module] for module in source.modules() if module in library.hashes}
    if not hashes:
        return source
    return source + Source(bindings=(gin_files.bind("", "trial", "own_sha256", hashes, "--import"),))


def _pin(source: Source) -> Source:
    """Binds the hash of the file that a trial starts from: its content is part of the trial's identity."""
    from ..framework.pretrained import content_hash

    gin_files.check_types(source.bindings)
    settings = gin_files.calling("trial", gin.get_configurable(Settings))
    if settings.init_from is None or settings.init_from_sha256 is not None:
        return Source()
    found = gin_files.calling("trial.init_from", content_hash, settings.init_from)
    return Source(bindings=(gin_files.bind("", "trial", "init_from_sha256", found, "trial.init_from"),))


def _axis(key: str, value: Any) -> Binding:
    where = f"sweep.grid[{key!r}]"
    scope, selector, parameter = config_parser.parse_binding_key(key)
    if not parameter:
        raise ConfigError(f"{where}: name a parameter, such as 'digits.epochs'.")
    return gin_files.bind(scope, selector, parameter, value, where)


def _mentioned(name: str, source: Source) -> bool:
    """Whether a value names the task or algorithm, as a string or a reference (`@epr()`)."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    return any(pattern.search(repr(binding.value)) for binding in source.bindings)


def _ordered(used: set[str], point: Point) -> list[str]:
    return sorted(used, key=lambda name: (name != point.task, name))
