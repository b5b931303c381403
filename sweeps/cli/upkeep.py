"""Defines the command that removes what nobody needs any more: clean."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from .options import gin_option


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--sweep",
    "sweeps",
    metavar="SWEEP.gin",
    multiple=True,
    required=True,
    help="Keeps its trials; may be repeated.",
)
@gin_option
@click.option("--dry-run", is_flag=True, help="Lists the folders, and removes nothing.")
@click.option("--yes", is_flag=True, help="Does not ask.")
def clean(
    directory: str, sweeps: tuple[str, ...], bindings: tuple[str, ...], dry_run: bool, yes: bool
) -> None:
    """Removes the folders of trials in DIR that no sweep names.

    Changed hyper-parameters leave trials behind. What the given sweeps name with today's config stays, with
    what they add by sweep.refine and sweep.search; so does all that is no trial, and what is at work.

    \b
      lambdapress clean runs/digits --sweep digits --dry-run
      lambdapress clean runs/starts --sweep starts.gin --gin "sweep.start = 'previous'"
    """
    from ..deployment.trial_model import size_of
    from ..execution.clean import unnamed

    found = unnamed(Path(directory), sweeps, bindings)
    if not found:
        click.echo(f"All trials in {directory} are named by a sweep.")
        return
    total = sum(size_of(path) for path in found)
    for path in found:
        click.echo(path)
    click.echo(f"{len(found)} folders, {total / 1e6:.1f} MB")
    if dry_run or not (yes or click.confirm("Remove them?")):
        return
    for path in found:
        shutil.rmtree(path)
    click.echo(f"Removed {len(found)} folders.")


COMMANDS = [clean]
