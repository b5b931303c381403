"""Defines the options that several commands take."""

from __future__ import annotations

from typing import Any

import click


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
