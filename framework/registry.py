"""Things found by name: algorithms and tasks.

A registry is a dictionary, a decorator and one error message. Registering also makes the
class known to gin under the same name, so that `epr.lmbda_warmup = 100` in a gin file binds the
constructor argument of what `@algorithms.register("epr")` decorates. The class itself stays
as written: calling it from Python ignores gin; `build` asks gin for the arguments that were not given.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import inspect
from collections.abc import Iterable
from typing import Any, Callable, Generic, TypeVar

import gin

T = TypeVar("T")


class UnknownNameError(ValueError):
    """A name that is not registered; the message lists the nearest and all that are."""


class PluginError(ValueError):
    """An installed package whose tasks or algorithms cannot be imported; the message says which."""


def near_misses(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The `count` entries of `known` closest in spelling to `name`, best first."""
    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.4)


def _written_as(cls: type) -> tuple[str, str]:
    """Where the class stands in code: run again, the same code makes another class in its place."""
    return cls.__module__, cls.__qualname__


class Registry(Generic[T]):
    """Classes of one kind, by name.

    >>> shapes = Registry("shape")
    >>> shapes.get("circle")
    Traceback (most recent call last):
    ...
    UnknownNameError: Unknown shape 'circle' (available: none yet)
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._classes: dict[str, type[T]] = {}
        self._plugins_loaded = False

    def load_plugins(self) -> None:
        """Imports what installed packages offer under the entry point group `lambdapress.<kind>s`.

        Ours is one of them: the framework knows no algorithm or task by name.
        """
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        found: Any = importlib.metadata.entry_points()
        group = f"lambdapress.{self.kind}s"
        points = found.select(group=group) if hasattr(found, "select") else found.get(group, ())
        for point in points:
            try:
                point.load()
            except Exception as error:  # whatever the module raises
                raise PluginError(
                    f"The entry point {point.name!r} of the group {group!r}, {point.value}, fails: "
                    f"{type(error).__name__}: {error}. Mend or uninstall the package that has it."
                ) from error

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """A class decorator that files the class under `name`, here and with gin.

        Raises:
          ValueError: when another class already has that name.
        """

        def decorate(cls: type[T]) -> type[T]:
            known = self._classes.get(name)
            if known is not None and _written_as(known) != _written_as(cls):
                raise ValueError(
                    f"{self.kind} {name!r} is registered already, by {known.__module__}."
                    f"{known.__qualname__}; choose another name for {cls.__module__}.{cls.__qualname__}."
                )
            # Gin, too, is to take the same class again: a notebook's cell runs twice.
            with gin.config.interactive_mode() if known else contextlib.nullcontext():  # pyright: ignore[reportAttributeAccessIssue]
                gin.register(name, module=f"lambdapress.{self.kind}s")(cls)
            cls.name = name  # pyright: ignore[reportAttributeAccessIssue]
            self._classes[name] = cls
            return cls

        return decorate

    def get(self, name: str) -> type[T]:
        """The class filed under `name`.

        Raises:
          UnknownNameError: for any other name; the message lists what there is.
        """
        if name not in self._classes:
            self.load_plugins()
        try:
            return self._classes[name]
        except KeyError:
            near = near_misses(name, self.names())
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            listed = ", ".join(self.names()) or "none yet"
            raise UnknownNameError(f"Unknown {self.kind} {name!r} ({hint}available: {listed})") from None

    def build(self, name: str, **arguments: Any) -> T:
        """An instance of the class filed under `name`, its other arguments as bound in gin."""
        return gin.get_configurable(self.get(name))(**arguments)

    def names(self) -> list[str]:
        self.load_plugins()
        return sorted(self._classes)

    def summary(self, name: str) -> str:
        """The first line of the class's docstring."""
        return (inspect.getdoc(self.get(name)) or "").partition("\n")[0]
