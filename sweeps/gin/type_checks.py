"""Compares the values that gin binds with the annotations of their parameters."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import gin
import typeguard
from gin import config as gin_config

from .bindings import Binding, ConfigError

_NUMBERS = {int: int, float: (int, float)}  # what passes for each


def check_types(bindings: Iterable[Binding]) -> None:
    """Checks each value against its parameter's annotation; `bindings.load` must come first.

    Macros are resolved. A value with a reference (`@Adam()`) is not checked.

    Raises:
      ConfigError: with the value, and where it was written.
    """
    every = typeguard.CollectionCheckStrategy.ALL_ITEMS
    for binding in bindings:
        references = list(gin_config.iterate_references({("", ""): {"": binding.value}}))
        objects = [reference for reference in references if not repr(reference).startswith("%")]
        if objects and binding.selector.startswith("lambdapress.sweeps."):
            raise ConfigError(
                f"{binding.where}: {binding.key} has {objects[0]!r}; tasks and algorithms are given by name, "
                f"in quotes: {_name_of(objects[0])!r}."
            )
        if objects:
            continue
        try:
            value = copy.deepcopy(binding.value)  # copying is how gin resolves a macro
        except (TypeError, ValueError):
            raise ConfigError(
                f"{binding.where}: {references[0]!r} has no value; add `{str(references[0])[1:]} = …`."
            ) from None
        hint = _hints(gin.get_configurable(binding.selector)).get(binding.parameter, Any)
        try:
            with _booleans_are_no_numbers():
                typeguard.check_type(value, hint, collection_check_strategy=every)
        except typeguard.TypeCheckError as error:
            raise ConfigError(
                f"{binding.where}: {binding.key} = {value!r} has the wrong type; it takes {_shown(hint)} "
                f"({' '.join(str(error).split())})."
            ) from None


def _name_of(reference: Any) -> str:
    return repr(reference).lstrip("@").removesuffix("()").rpartition("/")[2]


@contextlib.contextmanager
def _booleans_are_no_numbers() -> Iterator[None]:
    """Has typeguard tell booleans from numbers at any depth: to Python alone a boolean is an `int`."""

    def lookup(origin: Any, arguments: Any, extras: Any) -> Any:
        return check if origin in _NUMBERS else None

    def check(value: Any, origin: Any, arguments: Any, memo: Any) -> None:
        if isinstance(value, bool):
            raise typeguard.TypeCheckError("is a boolean, which is no number here")
        if not isinstance(value, _NUMBERS[origin]):
            raise typeguard.TypeCheckError(f"is not an instance of {origin.__name__}")

    typeguard.checker_lookup_functions.insert(0, lookup)
    try:
        yield
    finally:
        typeguard.checker_lookup_functions.remove(lookup)


def _hints(configurable: Any) -> dict[str, Any]:
    """Returns the annotations of a configurable's parameters, or none if they cannot be resolved."""
    if inspect.isclass(configurable) and not dataclasses.is_dataclass(configurable):
        configurable = configurable.__init__
    try:
        return typing.get_type_hints(configurable)  # a dataclass's fields, each by the names of its module
    except (NameError, TypeError):
        return {}


def _shown(hint: Any) -> str:
    plain = inspect.isclass(hint) and not typing.get_args(hint)
    return hint.__name__ if plain else str(hint).replace("typing.", "").replace("collections.abc.", "")
