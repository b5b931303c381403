"""Keeps the export formats: one class for each, found by name.

A new format is one class: a frozen dataclass of its options, with `write` and `open`. Once it is registered,
the command line and the benchmark can use it. See docs/add_an_export_format.md.
"""

from __future__ import annotations

import abc
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from ..errors import LambdapressError
from ..messages import alternatives
from ..registry import Registry

Arrays = Mapping[str, np.ndarray]
Predict = Callable[[Arrays], Arrays]
"""A served model: from arrays by the inputs' names to arrays by the outputs' names."""
Specs = Mapping[str, tf.TensorSpec]


class FormatError(LambdapressError, ValueError):
    """An export format lacks an option, a value of one, or a way to decode; the message lists what it has."""


@dataclasses.dataclass(frozen=True)
class ExportFormat(abc.ABC):
    """Writes and opens one kind of file that is served; its options are the fields.

    Attributes:
      decode: when weights are decoded: `before` stores plain floats; `during` decodes a layer's weights each
        time that the layer runs; `once` decodes them on the first call.

    Class attributes:
      name: set by the registry.
      suffix: of the file's name, such as `.tflite`; empty for a folder.
      decode_modes: the values that `decode` may have.
    """

    name: ClassVar[str] = ""
    suffix: ClassVar[str] = ""
    decode_modes: ClassVar[tuple[str, ...]] = ("before",)

    decode: str = "during"

    def __post_init__(self) -> None:
        if self.decode not in self.decode_modes:
            raise FormatError(
                f"There is no {self.name} that decodes {self.decode!r} "
                f"({alternatives(str(self.decode), self.decode_modes)})."
            )

    @abc.abstractmethod
    def write(self, model: tf.keras.Model, path: Path) -> str | None:
        """Writes a model.

        Args:
          model: compressible or compressed; called before, so that it knows its input.
          path: of the file or folder; its parent exists.

        Returns:
          What one must know of this file, such as the operations that it needs; None for nothing.

        Raises:
          ExportError: if the format cannot hold the model.
          OSError: where the file system refuses.
        """

    @staticmethod
    @abc.abstractmethod
    def open(path: Path, threads: int | None = None) -> tuple[Predict, Specs]:
        """Opens a file as a program that serves it does.

        Args:
          path: of a file or folder that `write` wrote.
          threads: how many to predict with; None leaves the choice to the runtime.

        Returns:
          The prediction function, and the shapes and dtypes of its inputs by name, with None for sizes that
          are free.
        """

    @classmethod
    def measured(cls) -> Sequence[ExportFormat]:
        """Lists the variants that a benchmark measures; by default one for each value of `decode`."""
        return [cls(decode=decode) for decode in cls.decode_modes]

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Returns the default of each option other than `decode`, by name."""
        return {field.name: field.default for field in dataclasses.fields(cls) if field.name != "decode"}

    def settings(self) -> dict[str, Any]:
        """Returns the options other than `decode` that differ from their defaults, by name."""
        values = {name: getattr(self, name) for name in self.options()}
        return {name: value for name, value in values.items() if value != self.options()[name]}

    @property
    def variant(self) -> str:
        """A label for tables with `decode` and the options, such as `during, ops=select`."""
        return ", ".join([self.decode, *(_shown(name, value) for name, value in self.settings().items())])

    def __str__(self) -> str:
        return f"{self.name} {self.variant}"

    @property
    def file_name(self) -> str:
        """A name for a file or folder of this variant, such as `model_during_ops-select.tflite`."""
        words = [self.decode, *(_shown(name, value, "-") for name, value in self.settings().items())]
        return f"model_{re.sub('[^a-z0-9_-]+', '-', '_'.join(words))}{self.suffix}"


def _shown(name: str, value: Any, between: str = "=") -> str:
    return name if value is True else f"{name}{between}{value}"


formats: Registry[ExportFormat] = Registry("export format", gin=False)
"""Every export format by name."""


def make_format(
    name: str, decode: str | None = None, options: Mapping[str, Any] | None = None
) -> ExportFormat:
    """Makes a variant of the format called `name`.

    Args:
      name: of a registered format.
      decode: one of its `decode_modes`; None takes its default.
      options: of the format, by name. Texts, as the command line gives them, are converted if the option is a
        truth value or a number.

    Raises:
      UnknownNameError: for a format that is not registered.
      FormatError: for an option, or a value of one, that the format does not have.
    """
    cls, values = formats.get(name), dict(options or {})
    known = cls.options()
    for option, value in values.items():
        if option not in known:
            raise FormatError(f"{name} has no option {option!r} ({alternatives(option, known)}).")
        values[option] = _converted(name, option, value, known[option])
    return cls(**values) if decode is None else cls(decode=decode, **values)


def _converted(name: str, option: str, value: Any, default: Any) -> Any:
    if not isinstance(value, str) or isinstance(default, str) or default is None:
        return value
    words = {"true": True, "false": False}
    try:
        return words[value.lower()] if isinstance(default, bool) else type(default)(value)
    except (KeyError, ValueError, TypeError):
        wanted = {bool: "true or false", int: "an integer"}.get(type(default), "a number")
        raise FormatError(f"{name}: the option {option} takes {wanted}, got {value!r}.") from None


def all_measured() -> list[ExportFormat]:
    """Lists the variants of every format that a benchmark measures."""
    return [variant for name in formats.names() for variant in formats.get(name).measured()]


def format_of(path: Path) -> type[ExportFormat]:
    """Finds the format of an exported file by its suffix, or of an exported folder.

    Raises:
      FormatError: if no registered format has this suffix.
    """
    suffix = "" if path.is_dir() else path.suffix
    for name in formats.names():
        if formats.get(name).suffix == suffix:
            return formats.get(name)
    known = {name: formats.get(name).suffix or "a folder" for name in formats.names()}
    raise FormatError(
        f"{str(path)!r} is of no export format ({', '.join(f'{n}: {s}' for n, s in known.items())})."
    )


def open_exported(path: Path, threads: int | None = None) -> tuple[Predict, Specs]:
    """Opens an exported file in the format that its suffix indicates; see `ExportFormat.open`.

    >>> size = export_tflite(to_compressed(model, algorithm), "opened.tflite")
    >>> predict, inputs = open_exported(Path("opened.tflite"))
    >>> [(name, spec.shape.as_list()) for name, spec in inputs.items()]
    [('input_1', [None, 4])]

    Raises:
      FormatError: if no registered format has this suffix.
    """
    return format_of(path).open(path, threads)
