"""Freezes the gin config of one point of a sweep."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import gin
from gin import config_parser

from ..gin.bindings import Binding, ConfigError, Source, bind, calling, load
from ..gin.type_checks import check_types
from ..results.schema import SEARCH
from ..trial.settings import Settings
from ..trial.trial import Trial
from .grid import Point
from .library import SWEEP, Library


def freeze(
    point: Point,
    file_source: Source,
    extra: Source,
    library: Library,
    start: Mapping[str, Any],
    parent: Trial | None,
) -> tuple[Trial, tuple[Binding, ...]]:
    """Returns the trial of a point and its bindings; gin's config is then the trial's.

    `start` says, for the table, from what the trial starts, and how many epochs it has of its own.
    """
    axes = tuple(axis_binding(key, value) for key, value in point.overrides.items())
    searched = tuple(
        axis_binding(key, value, f"sweep.search[{key!r}]") for key, value in point.searched.items()
    )
    shorter = tuple(
        axis_binding(key, value, "sweep.start_epochs") for key, value in start.items() if key != "sweep.start"
    )
    bound = file_source + Source(bindings=axes) + extra + Source(bindings=searched + shorter)
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
    overrides, found = (
        {axis.key: gin.query_parameter(axis.key) for axis in own if axis.key in kept_keys}
        for own in (axes, searched)
    )
    overrides |= {SEARCH: found} if found else {}
    overrides |= start
    trial = Trial(point.task, point.algorithm, point.lmbda, point.seed, text, overrides, parent)
    return trial, kept.bindings


def _used_macros(source: Source) -> Source:
    """Leaves out macros that no binding refers to: they are not part of a trial."""
    while True:
        values = [repr(binding.value) for binding in source.bindings]
        names = {name for value in values for name in re.findall(r"%([\w./]+)", value)}
        kept = source.only(lambda b, names=names: b.selector != "gin.macro" or b.scope in names)
        if kept == source:
            return source
        source = kept


def _needed(source: Source, used: set[str], library: Library) -> tuple[str, ...]:
    """Returns the import statements, except of modules that register names but none in `used`."""
    if any("@" in repr(binding.value) for binding in source.bindings):  # only gin knows what it refers to
        return source.imports
    statements = source.modules().items()
    return tuple(text for module, text in statements if library.registered.get(module, used) & used)


def _pin_own(source: Source, library: Library) -> Source:
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


def axis_binding(key: str, value: Any, where: str = "") -> Binding:
    where = where or f"sweep.grid[{key!r}]"
    scope, selector, parameter = config_parser.parse_binding_key(key)
    if not parameter:
        raise ConfigError(f"{where}: name a parameter, such as 'digits.epochs'.")
    axis = bind(scope, selector, parameter, value, where)
    if axis.selector == SWEEP:
        raise ConfigError(f"{where}: a trial cannot change the sweep itself; list the values in {axis.key}.")
    return axis


def _mentioned(name: str, source: Source) -> bool:
    """Tells whether a value names the task or algorithm, as a string or a reference (`@epr()`)."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    return any(pattern.search(repr(binding.value)) for binding in source.bindings)


def _ordered(used: set[str], point: Point) -> list[str]:
    return sorted(used, key=lambda name: (name != point.task, name))
