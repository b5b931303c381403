"""Defines the commands that make single points of a curve: find, requantise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import bytes_of, data_option, gin_option


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


@click.command()
@click.option("--task", required=True, help="Name of a task; see `lambdapress list`.")
@click.option("--algorithm", required=True, help="Name of an algorithm that uses λ.")
@click.option(
    "--max-drop", type=float, metavar="D", help="Loss of the metric: percentage points, or the metric's unit."
)
@click.option("--max-bytes", metavar="N", help="Size of the file, such as 20kB or 1.5MB.")
@click.option("--trials", type=int, default=6, show_default=True, help="How many trials run at most.")
@click.option("--lmbda", type=float, default=1.0, show_default=True, help="λ to begin with.")
@click.option(
    "--start",
    default="baseline",
    show_default=True,
    help="baseline: each λ starts from the uncompressed model; scratch: from random weights.",
)
@click.option("--start-epochs", type=int, help="Epochs of trials that start from the baseline.")
@click.option("--seed", type=int, default=0, show_default=True)
@gin_option
@click.option("--out", type=click.Path(file_okay=False), default="runs/find", show_default=True)
@data_option
def find(
    task: str,
    algorithm: str,
    max_drop: float | None,
    max_bytes: str | None,
    trials: int,
    lmbda: float,
    start: str,
    start_epochs: int | None,
    seed: int,
    bindings: tuple[str, ...],
    out: str,
    data_dir: str | None,
) -> None:
    """Finds the λ whose model meets a target: a size, or a loss of the metric.

    By bisection, on the validation split where the task holds examples out. Each trial is an ordinary one in
    the folder OUT, the first the uncompressed model's.

    \b
      lambdapress find --task digits --algorithm epr --max-drop 0.5
      lambdapress find --task digits --algorithm uniform --max-bytes 20kB --start-epochs 5
    """
    from ..execution.find import Target
    from ..execution.find import find as search
    from ..report.tables import render
    from ..results.summary import summarise

    target = Target(max_drop, None if max_bytes is None else bytes_of("--max-bytes", max_bytes))
    found = search(
        task,
        algorithm,
        target,
        out,
        first=lmbda,
        seed=seed,
        start=start,
        start_epochs=start_epochs,
        trials=trials,
        gin=bindings,
        data_dir=data_dir,
    )
    click.echo(render(summarise(found.frame), "terminal"))
    wanted = f"--max-drop {max_drop:g}" if max_drop is not None else f"--max-bytes {max_bytes}"
    best = found.best
    if best is None:
        raise click.ClickException(
            f"None of {len(found.frame)} trials meets {wanted} on {found.split}: give more --trials, or "
            "another --lmbda to begin with."
        )
    click.echo(
        f"λ = {best['lmbda']:g} meets {wanted}: {int(best['size_bytes']):,} bytes, "
        f"a drop of {best['drop']:.2f} on {found.split}, after {len(found.frame)} trials.\n"
        f"Its files: {best['directory']}\n"
        f"To ship it: lambdapress export {best['directory']} --format tflite --out model.tflite"
    )


def _factors(text: str) -> list[float]:
    try:
        factors = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        factors = []
    if not factors:
        raise ValueError(f"--steps is {text!r}; give factors of the steps, such as 1.4,2.")
    return [factor for factor in factors if factor != 1]  # the trained model itself is in the table


COMMANDS: list[Any] = [find, requantise]
