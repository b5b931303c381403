"""Options that several commands take."""

from __future__ import annotations

from typing import Any

import click


def gin_option(command: Any) -> Any:
    """`--gin`, as `bindings`."""
    return click.option(
        "--gin", "bindings", multiple=True, metavar="'X.y = 1'", help="Binds a parameter; may be repeated."
    )(command)


def data_option(command: Any) -> Any:
    """`--data-dir`."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False),
        help="Where prepared TensorFlow Datasets are (TFDS_DATA_DIR).",
    )(command)
