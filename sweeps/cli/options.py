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
