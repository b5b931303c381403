"""Finds classes by name: algorithms, tasks, executors, export formats.

A registry is a dictionary, a decorator and one error message. Unless it was made with `gin=False`,
registering also makes the class known to gin under the same name: `mine.speed = 100` in a gin file binds
an argument of the class that `@algorithms.register("mine")` decorates. The class itself stays as
written: calling it from Python ignores gin; `build` asks gin for the arguments that were not given.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gin

from .errors import LambdapressError
from .messages import alternatives

T = TypeVar("T")

_registries: list[Registry] = []


class UnknownNameError(LambdapressError, ValueError):
    """A name is not registered; the message lists the nearest names and all registered ones."""


class PluginError(LambdapressError, ValueError):
    """An installed package's plug-in cannot be imported; the message says which."""


def _written_as(cls: type) -> tuple[str, str]:
    """Returns where a class is defined: code that runs twice defines the same class twice."""
    return cls.__module__, cls.__qualname__


class Registry(Generic[T]):
    """Keeps the classes of one kind by name.

    >>> shapes = Registry("shape", gin=False)
    >>> @shapes.register("circle")
    ... class Circle:
    ...     "A round shape."
    >>> shapes.names(), shapes.summary("circle")
    (['circle'], 'A round shape.')
    >>> shapes.get("cirkle")
    Traceback (most recent call last):
    ...
    lambdapress.framework.registry.UnknownNameError: Unknown shape 'cirkle' (did you mean 'circle'? ...

    Attributes:
      kind: what the classes are, such as `algorithm`, for messages.
      group: the entry point group in which installed packages name modules that register such classes.
    """

    def __init__(self, kind: str, gin: bool = True):
        """Makes an empty registry.

        Args:
          kind: what the classes are, in the singular.
          gin: whether gin knows each class, so that its arguments can be bound.
        """
        self.kind = kind
        self.group = f"lambdapress.{kind.replace(' ', '_')}s"
        self._gin = gin
        self._classes: dict[str, type[T]] = {}
        self._plugins_loaded = False
        _registries.append(self)

    def load_plugins(self) -> None:
        """Imports the modules that installed packages name under the registry's entry point group.

        This package is itself one of them: the framework knows none of its algorithms or tasks by name.

        Raises:
          PluginError: if such a module cannot be imported.
        """
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in importlib.metadata.entry_points(group=self.group):
            try:
                point.load()
            except Exception as error:  # the module may raise anything
                raise PluginError(
                    f"The entry point {point.name!r} of the group {self.group!r}, {point.value}, fails: "
                    f"{type(error).__name__}: {error}. Fix or uninstall the package that has it."
                ) from error

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Returns a decorator that registers a class under `name`, here and with gin.

        Raises:
          ValueError: if another class already has that name.
        """

        def decorate(cls: type[T]) -> type[T]:
            known = self._classes.get(name)
            if known is not None and _written_as(known) != _written_as(cls):
                raise ValueError(
                    f"{self.kind} {name!r} is registered already, by {known.__module__}."
                    f"{known.__qualname__}; choose another name for {cls.__module__}.{cls.__qualname__}."
                )
            if self._gin:
                # Gin, too, must accept the same class again: users run a notebook's cell twice.
                with gin.config.interactive_mode() if known else contextlib.nullcontext():  # pyright: ignore[reportAttributeAccessIssue]
                    gin.register(name, module=self.group)(cls)
            cls.name = name  # pyright: ignore[reportAttributeAccessIssue]
            self._classes[name] = cls
            return cls

        return decorate

    def get(self, name: str) -> type[T]:
        """Returns the class registered under `name`.

        Raises:
          UnknownNameError: for a name that is not registered; the message lists those that are.
        """
        if name not in self._classes:
            self.load_plugins()
        try:
            return self._classes[name]
        except KeyError:
            raise UnknownNameError(
                f"Unknown {self.kind} {name!r} ({alternatives(name, self.names())})"
            ) from None

    def build(self, name: str, **arguments: Any) -> T:
        """Makes an instance of the class called `name`; gin binds the arguments that are not given."""
        cls = self.get(name)
        return gin.get_configurable(cls)(**arguments) if self._gin else cls(**arguments)

    def names(self) -> list[str]:
        """Lists the registered names in alphabetical order."""
        self.load_plugins()
        return sorted(self._classes)

    def summary(self, name: str) -> str:
        """Returns the first line of the docstring of the class registered under `name`."""
        return (inspect.getdoc(self.get(name)) or "").partition("\n")[0]


def registered_by(module: str) -> dict[str, set[str]]:
    """Returns the names, by kind, of the classes that a module or its submodules have registered."""
    names: dict[str, set[str]] = {}
    for registry in _registries:
        for name, cls in registry._classes.items():
            if f"{cls.__module__}.".startswith(f"{module}."):
                names.setdefault(registry.kind, set()).add(name)
    return names
