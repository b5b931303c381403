"""Defines the options that several commands take, and reads sizes and times."""

from __future__ import annotations

import re
from typing import Any

import click

_BYTES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def gin_option(command: Any) -> Any:
    """Adds the option `--gin` to a command, which gets it as `bindings`."""
    return click.option(
        "--gin", "bindings", multiple=True, metavar="'X.y = 1'", help="Binds a parameter; may be repeated."
    )(command)


def data_option(command: Any) -> Any:
    """Adds the option `--data-dir` to a command."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False),
        help="Where prepared TensorFlow Datasets are (TFDS_DATA_DIR).",
    )(command)


def metric_option(command: Any) -> Any:
    """Adds the option `--metric` to a command."""
    return click.option(
        "--metric", metavar="NAME", help="The metric to show [default: each task's main one]."
    )(command)


def others_options(command: Any) -> Any:
    """Adds `--published` and `--against` to a command, which gets them as `with_published` and `against`."""
    published = click.option(
        "--published", "with_published", is_flag=True, help="Adds the published figures of the tasks."
    )
    against = click.option(
        "--against",
        multiple=True,
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="Adds the curves of a file in the form of CompressAI's evaluations (see `table --json`).",
    )
    return published(against(command))


def bytes_of(option: str, text: str) -> float:
    """Reads a size such as `20000`, `20kB` or `1.5MB`.

    Raises:
      ValueError: for another text.
    """
    return _scaled(option, text, "([kmg]?)b?", _BYTES, "a number of bytes, such as 20000, 20kB or 1.5MB")


def seconds_of(option: str, text: str) -> float:
    """Reads a time such as `90`, `90s`, `30m` or `1.5h`.

    Raises:
      ValueError: for another text.
    """
    return _scaled(option, text, "([smh]?)", _SECONDS, "a time, such as 90s, 30m or 1.5h")


def _scaled(option: str, text: str, unit: str, factors: dict[str, float], wanted: str) -> float:
    match = re.fullmatch(rf"\s*([0-9]*\.?[0-9]+)\s*{unit}\s*", text.lower())
    if match is None:
        raise ValueError(f"{option} is {text!r}; give {wanted}.")
    return float(match[1]) * factors[match[2]]


def parts_of(option: str, text: str) -> tuple[int, int]:
    """Reads two integers such as `2/8`.

    Raises:
      ValueError: for another text.
    """
    match = re.fullmatch(r"\s*([0-9]{1,6})/([0-9]{1,6})\s*", text)
    if match is None:
        raise ValueError(f"{option} is {text!r}; give two numbers, such as 2/8.")
    return int(match[1]), int(match[2])


def limit_options(command: Any) -> Any:
    """Adds the options that bound trials and the sweep; the command gets them under `Limits`' names."""
    for option in (
        click.option(
            "--gpus-per-trial", type=float, help="GPUs that a trial sees; 0.5: two trials share one."
        ),
        click.option("--fail-fast", is_flag=True, help="Stops at the first trial that fails."),
        click.option("--max-hours", type=float, help="Stops the sweep then; the same command goes on."),
        click.option("--trial-memory", metavar="N", help="Kills a trial with more in memory, such as 8GB."),
        click.option(
            "--trial-timeout", metavar="T", help="Kills a trial that makes no step for so long, such as 30m."
        ),
    ):
        command = option(command)
    return command
