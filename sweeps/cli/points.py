"""Defines the command that makes further points of a curve from trained models: requantise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import data_option


@click.command()
@click.argument("directory", metavar="TRIAL", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--steps", required=True, metavar="F,F,…", help="Factors of the steps, such as 1.4,2; above 1 is coarser."
)
@data_option
def requantise(directory: str, steps: str, data_dir: str | None) -> None:
    """Stores a trained model anew with coarser steps: several sizes from one training.

    Each factor gives a trial of its own beside TRIAL, with its file and its result, marked by
    requantise=FACTOR in tables. Nothing is trained. `sweep.requantise` does the same for a whole sweep.

    \b
      lambdapress requantise runs/digits/digits-epr-1-s0-… --steps 1.4,2
      lambdapress table runs/digits
    """
    from ..execution.sweep import run_plan
    from ..plan.recorded import requantise_plan
    from ..report.tables import render
    from ..results.frames import load_results, uncompressed
    from ..results.summary import summarise

    folder = Path(directory).resolve()
    planned = requantise_plan(folder, _factors(steps))
    frame = run_plan(planned, folder.parent, executor="here", data_dir=data_dir)
    found = load_results(folder.parent)
    beside = uncompressed(found) & (found["task"] == planned.trials[0].task)
    click.echo(render(summarise(found[found["identity"].isin(frame["identity"]) | beside]), "terminal"))
    if (frame["status"] != "ok").any():
        raise click.ClickException("Some were not made; the table says why.")


def _factors(text: str) -> list[float]:
    try:
        factors = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        factors = []
    if not factors:
        raise ValueError(f"--steps is {text!r}; give factors of the steps, such as 1.4,2.")
    return [factor for factor in factors if factor != 1]  # the trained model itself is in the table


COMMANDS: list[Any] = [requantise]
