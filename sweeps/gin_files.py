"""Gin files: where they are, and their statements, each refused with its file and line if it is wrong.

Bindings are read one statement at a time and kept as values, so that putting a config together is
list concatenation: later wins. Gin's global state is only touched inside `isolated()`.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import tokenize
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable, TypeVar, Union

import gin
import typeguard
from gin import config as gin_config
from gin import config_parser

from ..framework.registry import near_misses
from .names import registries
from .own import imported

T = TypeVar("T")

GIN_CONFIGS = Path(__file__).resolve().parent.parent / "gin_configs"


class ConfigError(ValueError):
    """A gin file or binding that cannot be used; the message says where, and what would do."""


@dataclasses.dataclass(frozen=True)
class Binding:
    """`scope/selector.parameter = value`, and where it was written. A macro's is `NAME/gin.macro.value`."""

    scope: str
    selector: str
    parameter: str
    value: Any
    where: str

    @property
    def key(self) -> str:
        """As a user writes it: `epr.init_step`."""
        prefix = f"{self.scope}/" if self.scope else ""
        return f"{prefix}{self.selector.rpartition('.')[2]}.{self.parameter}"


@dataclasses.dataclass(frozen=True)
class Source:
    """What gin text (and the files it includes) says: import statements, and bindings in order."""

    imports: tuple[str, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __add__(self, other: Source) -> Source:
        return Source(self.imports + other.imports, self.bindings + other.bindings)

    def modules(self) -> dict[str, str]:
        """The import statements, by the module that each imports."""
        return {statement.split()[1]: statement for statement in self.imports}

    def only(self, keep: Callable[[Binding], bool]) -> Source:
        """The same with those bindings alone that `keep` holds for."""
        return Source(self.imports, tuple(filter(keep, self.bindings)))


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Empties gin's global config for the length of a with-block; what the caller had comes back.

    Gin has no public way to do so. Its config is one per process: not for several threads at once.
    """
    names = ("_CONFIG", "_IMPORTS", "_OPERATIVE_CONFIG", "_SINGLETONS")
    held = {name: copy.copy(getattr(gin_config, name)) for name in names}
    locked = gin.config_is_locked()
    gin.clear_config()
    try:
        yield
    finally:
        gin.clear_config()
        for name, value in held.items():
            getattr(gin_config, name).update(value)
        gin_config._set_config_is_locked(locked)


def packaged(kind: str) -> dict[str, Path]:
    """The package's own gin files of a kind (`tasks`, `algorithms`, `sweeps`), by name."""
    return {path.stem: path for path in sorted((GIN_CONFIGS / kind).glob("*.gin"))}


def first_line(path: Path) -> str:
    """What a gin file says of itself in its first line, a comment."""
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    return line.lstrip("#").strip() if line.startswith("#") else ""


def find(name: str) -> Path:
    """The gin file called `name`: as given, then among the package's own. `.gin` may be left out.

    Raises:
      ConfigError: where there is none; the message lists the package's own.
    """
    for base in (Path(), GIN_CONFIGS, GIN_CONFIGS / "sweeps"):
        for candidate in (base / name, base / f"{name}.gin"):
            if candidate.is_file():
                return candidate
    known = [f"{kind}/{stem}.gin" for kind in ("sweeps", "tasks", "algorithms") for stem in packaged(kind)]
    near = near_misses(name if name.endswith(".gin") else f"{name}.gin", known)
    raise ConfigError(f"There is no gin file {name!r}, here or in the package{_hint(near, known)}.")


def read_file(path: Union[str, Path], seen: tuple[str, ...] = ()) -> Source:
    """`read` of a file and those it includes; `seen` are the files being read, outermost first."""
    if str(path) in seen:
        raise ConfigError(f"gin files include each other: {' → '.join((*seen, str(path)))}.")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    return read(text, f"{path}:{{line}}", (*seen, str(path)))


def read_overrides(overrides: Iterable[str]) -> Source:
    """Bindings given one by one, as by `--gin 'digits.epochs = 3'`, and what `--import` has imported."""
    own = Source(imports=tuple(f"import {module}" for module in imported()))
    return sum((read(text, f"--gin {text!r}") for text in overrides), own)


def read(text: str, where: str, seen: tuple[str, ...] = ()) -> Source:
    """The statements of gin text, each binding checked to name something that exists.

    Args:
      text: as in a gin file.
      where: names the text in errors; `{line}` in it becomes the line's number.
      seen: files being read, outermost first.

    Raises:
      ConfigError: for bad syntax, an unknown configurable, parameter or reference, a module that
        cannot be imported, a file that is missing or included by itself.
    """
    source = Source()
    line = 1
    try:
        delegate = _Delegate()
        parser = config_parser.ConfigParser(text, delegate)
        while True:
            line = delegate.line = parser.current_token.start[0]  # pyright: ignore
            statement = parser.parse_statement()
            if statement is None:
                return source
            line = statement.location.line_num
            source += _statement(statement, where.replace("{line}", str(line)), seen)
    except SyntaxError as error:
        message, line = error.msg, error.lineno or line
        if message.startswith("Expected newline"):
            message += " Is a string to be in quotes?"
    except tokenize.TokenError as error:
        message, line = f"{error.args[0]}; is a bracket or a quote left open?", error.args[1][0]
    except _Refused as error:
        message = str(error)
    raise ConfigError(f"{where.replace('{line}', str(line))}: {message}")


def bind(scope: str, selector: str, parameter: str, value: Any, where: str) -> Binding:
    """A binding, once it is sure that there is such a parameter and that gin text can hold the value.

    Raises:
      ConfigError: otherwise.
    """
    try:
        return _bind(scope, selector, parameter, value, where)
    except _Refused as error:
        raise ConfigError(f"{where}: {error}") from None


def load(source: Source) -> str:
    """Makes gin's config that of `source` alone and returns it as canonical gin text.

    The text has every binding once, sorted, whatever the order and layout it was written in.
    """
    gin.clear_config()
    for statement in source.imports:
        gin.parse_config(statement)
    for binding in source.bindings:
        gin.bind_parameter((binding.scope, binding.selector, binding.parameter), binding.value)
    return gin.config_str()


def was_used(binding: Binding) -> bool:
    """Whether something that was built since gin's config was loaded took this parameter."""
    return any(
        selector == binding.selector and binding.parameter in taken and scope.startswith(binding.scope)
        for (scope, selector), taken in gin_config._OPERATIVE_CONFIG.items()
    )


def check_types(bindings: Iterable[Binding]) -> None:
    """Holds each value against its parameter's annotation, macros resolved (`load` came first).

    A value with a reference (`@Adam()`) is not looked into.

    Raises:
      ConfigError: with the value, and where it was written.
    """
    every = typeguard.CollectionCheckStrategy.ALL_ITEMS
    for binding in bindings:
        references = list(gin_config.iterate_references({("", ""): {"": binding.value}}))
        if not all(repr(reference).startswith("%") for reference in references):
            continue
        try:
            value = copy.deepcopy(binding.value)  # which is how gin resolves a macro
        except (TypeError, ValueError):
            raise ConfigError(
                f"{binding.where}: {references[0]!r} has no value; add `{str(references[0])[1:]} = …`."
            ) from None
        hint = _hints(gin.get_configurable(binding.selector)).get(binding.parameter, Any)
        try:
            typeguard.check_type(value, hint, collection_check_strategy=every)
        except typeguard.TypeCheckError as error:
            raise ConfigError(
                f"{binding.where}: {binding.key} = {value!r} has the wrong type; it takes {_shown(hint)} "
                f"({' '.join(str(error).split())})."
            ) from None


def calling(where: str, function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)`, what it raises about its arguments told as one line that starts with `where`.

    Raises:
      ConfigError: for a ValueError or TypeError.
    """
    try:
        return function(*arguments)
    except (ValueError, TypeError) as error:
        message = str(error).partition("\n  In call to")[0].strip()
        raise ConfigError(f"{where}: {message}") from error


class _Refused(ValueError):
    """Why a statement is refused; whoever knows its place turns it into a ConfigError."""


class _Delegate(gin_config.ParserDelegate):
    """Makes gin's references; for an unknown one raises what gin's parser lets through as it is."""

    line = 1

    def configurable_reference(self, scoped_selector: str, evaluate: bool) -> Any:
        try:
            _configurable(scoped_selector.rpartition("/")[2])
        except _Refused as error:
            raise SyntaxError(str(error)) from None
        return super().configurable_reference(scoped_selector, evaluate)


def _statement(statement: Any, where: str, seen: tuple[str, ...]) -> Source:
    if isinstance(statement, config_parser.ImportStatement):
        if statement.module.startswith("__gin__"):
            raise _Refused("gin's dynamic registration is not supported; register with a decorator")
        try:
            gin.parse_config(statement.format())
        except Exception as error:  # whatever the user's module raises
            reason = str(error).partition("\n")[0]  # the rest is gin's account of where
            if isinstance(error, ModuleNotFoundError):
                reason += "; --import finds it by its file"
            raise _Refused(f"`{statement.format()}` failed: {type(error).__name__}: {reason}") from error
        return Source(imports=(statement.format(),))
    if isinstance(statement, config_parser.IncludeStatement):
        try:
            path = find(statement.filename)
        except ConfigError as error:
            raise _Refused(str(error)) from None
        return read_file(path, seen)
    if isinstance(statement, config_parser.BlockDeclaration):
        _configurable(statement.selector)
        return Source()
    scope, selector, parameter, value, _ = statement
    if not parameter:  # a macro: NAME = value
        scope, selector, parameter = f"{scope}/{selector}".lstrip("/"), "gin.macro", "value"
    return Source(bindings=(_bind(scope, selector, parameter, value, where),))


def _bind(scope: str, selector: str, parameter: str, value: Any, where: str) -> Binding:
    configurable = _configurable(selector)
    try:
        key = gin_config.ParsedBindingKey.parse((scope, selector, parameter))
    except ValueError:
        function = configurable.__init__ if inspect.isclass(configurable) else configurable
        known = [name for name in inspect.signature(function).parameters if name != "self"]
        hint = _hint(near_misses(parameter, known), known)
        raise _Refused(f"{selector!r} has no parameter {parameter!r}{hint}") from None
    try:
        plain = gin_config.parse_value(repr(value))  # of NumPy's numbers, Python's
        if plain == value:
            return Binding(scope, key.complete_selector, parameter, plain, where)
    except (SyntaxError, ValueError):
        pass
    raise _Refused(f"{value!r} cannot be written as gin text; give numbers, strings, lists, tuples or dicts")


def _configurable(selector: str) -> Any:
    """What gin knows as `selector`."""
    tasks, algorithms = registries()
    try:
        return gin.get_configurable(selector)
    except KeyError as error:
        raise _Refused(str(error.args[0])) from None
    except ValueError:
        known = [*tasks.names(), *algorithms.names(), "sweep", "trial"]
        hint = _hint(near_misses(selector.rpartition(".")[2], known), known)
        own = "; one of your own is known once --import names its file"
        raise _Refused(f"nothing is called {selector!r}{hint}{own}") from None


def _hint(near: list[str], known: Iterable[str]) -> str:
    guess = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f" ({guess}there are: {', '.join(known) or 'none'})"


def _hints(configurable: Any) -> dict[str, Any]:
    """The annotations of a configurable's parameters; none where they do not resolve."""
    if inspect.isclass(configurable) and not dataclasses.is_dataclass(configurable):
        configurable = configurable.__init__
    try:
        return typing.get_type_hints(configurable)  # of a dataclass's fields, each in its own module's terms
    except (NameError, TypeError):
        return {}


def _shown(hint: Any) -> str:
    plain = inspect.isclass(hint) and not typing.get_args(hint)
    return hint.__name__ if plain else str(hint).replace("typing.", "").replace("collections.abc.", "")
