"""Keeps gin bindings as values, so that configs are combined by concatenation: later wins."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import gin
from gin import config as gin_config

from ...framework.errors import LambdapressError
from ...framework.messages import alternatives, without_gin_trail
from .registries import algorithms, tasks

T = TypeVar("T")


class ConfigError(LambdapressError, ValueError):
    """A gin file or binding cannot be used; the message says where it was written, and what is possible."""


@dataclasses.dataclass(frozen=True)
class Binding:
    """One binding, `scope/selector.parameter = value`, and where it was written.

    A macro is the binding `NAME/gin.macro.value = value`.
    """

    scope: str
    selector: str
    parameter: str
    value: Any
    where: str

    @property
    def key(self) -> str:
        """The parameter's name as a user writes it: `digits.epochs`."""
        prefix = f"{self.scope}/" if self.scope else ""
        return f"{prefix}{self.selector.rpartition('.')[2]}.{self.parameter}"


@dataclasses.dataclass(frozen=True)
class Source:
    """The content of gin text and the files that it includes: import statements, and bindings in order."""

    imports: tuple[str, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __add__(self, other: Source) -> Source:
        return Source(self.imports + other.imports, self.bindings + other.bindings)

    def modules(self) -> dict[str, str]:
        """Returns the import statements by the name of the module that each imports."""
        return {statement.split()[1]: statement for statement in self.imports}

    def only(self, keep: Callable[[Binding], bool]) -> Source:
        """Returns a copy with only those bindings for which `keep` returns True."""
        return Source(self.imports, tuple(filter(keep, self.bindings)))


def bind(scope: str, selector: str, parameter: str, value: Any, where: str) -> Binding:
    """Makes a binding; the parameter must exist, and gin text must be able to hold the value.

    Raises:
      ConfigError: for any other parameter or value.
    """
    configurable = configurable_of(selector, where)
    try:
        key = gin_config.ParsedBindingKey.parse((scope, selector, parameter))
    except ValueError:
        function = configurable.__init__ if inspect.isclass(configurable) else configurable
        known = [name for name in inspect.signature(function).parameters if name != "self"]
        raise ConfigError(
            f"{where}: {selector!r} has no parameter {parameter!r} ({alternatives(parameter, known)})"
        ) from None
    try:
        plain = gin_config.parse_value(repr(value))  # turns NumPy's numbers into Python's
        if plain == value:
            return Binding(scope, key.complete_selector, parameter, plain, where)
    except (SyntaxError, ValueError):
        pass
    raise ConfigError(
        f"{where}: {value!r} cannot be written as gin text; give numbers, strings, lists, tuples or dicts"
    )


def configurable_of(selector: str, where: str = "") -> Any:
    """Returns the class or function that gin knows as `selector`.

    Args:
      selector: as in gin text.
      where: starts the message of an error, if it is given.

    Raises:
      ConfigError: if there is none, or more than one.
    """
    known = [*tasks().names(), *algorithms().names(), "sweep", "trial"]
    try:
        return gin.get_configurable(selector)
    except KeyError as error:
        message = str(error.args[0])
    except ValueError:
        names = alternatives(selector.rpartition(".")[2], known)
        message = (
            f"nothing is called {selector!r} ({names}); one of your own is known once --import names its file"
        )
    raise ConfigError(f"{where}: {message}" if where else message)


def load(source: Source) -> str:
    """Replaces gin's config by `source`, and returns it as canonical gin text.

    The text has every binding once, sorted; it does not depend on the order and layout of the source.
    """
    gin.clear_config()
    for statement in source.imports:
        gin.parse_config(statement)
    for binding in source.bindings:
        gin.bind_parameter((binding.scope, binding.selector, binding.parameter), binding.value)
    return gin.config_str()


def was_used(binding: Binding) -> bool:
    """Tells whether anything built since gin's config was loaded took this parameter."""
    return any(
        selector == binding.selector and binding.parameter in taken and scope.startswith(binding.scope)
        for (scope, selector), taken in gin_config._OPERATIVE_CONFIG.items()
    )


def calling(where: str, function: Callable[..., T], *arguments: Any) -> T:
    """Calls `function(*arguments)`; errors about the arguments become one line that starts with `where`.

    Raises:
      ConfigError: for a ValueError or TypeError.
    """
    try:
        return function(*arguments)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {without_gin_trail(error)}") from error
