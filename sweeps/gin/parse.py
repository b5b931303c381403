"""Reads gin text one statement at a time; errors name the file and the line."""

from __future__ import annotations

import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gin
from gin import config as gin_config
from gin import config_parser

from ...framework.messages import first_line
from .bindings import ConfigError, Source, bind, configurable_of
from .files import find
from .user_modules import imported


def read_file(path: str | Path, including: tuple[str, ...] = ()) -> Source:
    """Reads a gin file and the files that it includes.

    Args:
      path: of the file.
      including: the files that are being read, outermost first.

    Raises:
      ConfigError: as `read`; also for a file that cannot be read or includes itself.
    """
    if str(path) in including:
        raise ConfigError(f"gin files include each other: {' → '.join((*including, str(path)))}.")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    return read(text, f"{path}:{{line}}", (*including, str(path)))


def read_overrides(overrides: Iterable[str]) -> Source:
    """Reads single bindings, as `--gin` gives them, and adds the modules that `--import` named."""
    user_imports = Source(imports=tuple(f"import {module}" for module in imported()))
    return sum((read(text, f"--gin {text!r}") for text in overrides), user_imports)


def read(text: str, where: str, including: tuple[str, ...] = ()) -> Source:
    """Reads the statements of gin text; each binding must name a parameter that exists.

    Args:
      text: as in a gin file.
      where: names the text in errors; `{line}` in it becomes the line's number.
      including: the files that are being read, outermost first.

    Raises:
      ConfigError: for bad syntax, an unknown configurable, parameter or reference, a module that
        cannot be imported, a file that is missing or includes itself.
    """
    source = Source()
    line = 1
    try:
        parser = config_parser.ConfigParser(text, _Delegate())
        while True:
            line = parser.current_token.start[0]  # pyright: ignore
            statement = parser.parse_statement()
            if statement is None:
                return source
            line = statement.location.line_num
            source += _statement(statement, where.replace("{line}", str(line)), including)
    except SyntaxError as error:
        message, line = error.msg, error.lineno or line
        if message.startswith("Expected newline"):
            message += " Is a string to be in quotes?"
        elif message.startswith(("Unexpected token", "malformed node")):
            token = message.partition("Failed to parse token ")[2]
            message = (
                f"{token or message} Values are numbers, strings in quotes, lists, tuples, dictionaries."
            )
    except tokenize.TokenError as error:
        message, line = f"{error.args[0]}; is a bracket or a quote left open?", error.args[1][0]
    raise ConfigError(f"{where.replace('{line}', str(line))}: {message}")


class _Delegate(gin_config.ParserDelegate):
    """Makes gin's references; refuses unknown ones, which gin itself accepts."""

    def configurable_reference(self, scoped_selector: str, evaluate: bool) -> Any:
        try:
            configurable_of(scoped_selector.rpartition("/")[2])
        except ConfigError as error:  # gin's parser passes a SyntaxError on as it is
            raise SyntaxError(str(error)) from None
        return super().configurable_reference(scoped_selector, evaluate)

    def macro(self, name: str) -> Any:
        """Returns a macro's reference; of a constant of the user's module its value, so that it counts."""
        if name == "gin.REQUIRED":
            raise SyntaxError("%gin.REQUIRED has no value; give one.")
        constants = gin_config._CONSTANTS
        if len(constants.matching_selectors(name)) == 1:
            return constants.get_match(name)
        return super().macro(name)


def _statement(statement: Any, where: str, including: tuple[str, ...]) -> Source:
    if isinstance(statement, config_parser.ImportStatement):
        return _import(statement, where)
    if isinstance(statement, config_parser.IncludeStatement):
        try:
            path = find(statement.filename, beside=including[-1] if including else None)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        return read_file(path, including)
    if isinstance(statement, config_parser.BlockDeclaration):
        configurable_of(statement.selector, where)
        return Source()
    scope, selector, parameter, value, _ = statement
    if not parameter:  # a macro: NAME = value
        scope, selector, parameter = f"{scope}/{selector}".lstrip("/"), "gin.macro", "value"
    return Source(bindings=(bind(scope, selector, parameter, value, where),))


def _import(statement: Any, where: str) -> Source:
    if statement.module.startswith("__gin__"):
        raise ConfigError(f"{where}: gin's dynamic registration is not supported; register with a decorator")
    try:
        gin.parse_config(statement.format())
    except Exception as error:  # the user's module may raise anything
        reason = first_line(error)  # the other lines are gin's, about the place
        if isinstance(error, ModuleNotFoundError):
            reason += "; --import finds it by its file"
        raise ConfigError(
            f"{where}: `{statement.format()}` failed: {type(error).__name__}: {reason}"
        ) from error
    return Source(imports=(statement.format(),))
