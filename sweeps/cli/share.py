"""Defines the commands that take results elsewhere: card, track."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("trial", metavar="RUN/TRIAL", type=click.Path(exists=True, file_okay=False))
@click.option("--out", type=click.Path(dir_okay=False), help="The file [default: it is printed].")
@click.option("--name", help="Of the model [default: task, algorithm and λ].")
@click.option("--base-model", metavar="ID", help="The hub's name of the model that was compressed.")
@click.option(
    "--dataset", "datasets", metavar="ID", multiple=True, help="The hub's name of the data; may be repeated."
)
def card(
    trial: str, out: str | None, name: str | None, base_model: str | None, datasets: tuple[str, ...]
) -> None:
    """Writes a model card of a finished trial.

    It is Markdown with the front matter that Hugging Face's hub reads: λ, bytes, metrics with an interval,
    each class, how to load the model, and what is not known of it.

    \b
      lambdapress card runs/digits/TRIAL --out README.md --dataset ylecun/mnist
    """
    from ...framework.atomic import write_atomically
    from ..sharing.card import card as card_of

    text = card_of(trial, name=name, base_model=base_model, datasets=datasets)
    if out is None:
        click.echo(text, nl=False)
        return
    write_atomically(Path(out), text.encode())
    click.echo(out)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--to", required=True, type=click.Choice(["mlflow", "wandb", "tensorboard"]))
@click.option(
    "--address",
    help="MLflow's tracking URI; the folder that TensorBoard reads; the folder for what wandb writes.",
)
def track(directory: str, to: str, address: str | None) -> None:
    """Takes the finished trials below DIR to an experiment tracker.

    A trial that is there already stays as it is, so that the command may be given again. Weights & Biases
    works offline with WANDB_MODE=offline; `wandb sync` sends it later.

    \b
      lambdapress track runs/digits --to mlflow --address sqlite:///mlflow.db
      lambdapress track runs/digits --to tensorboard --address board
    """
    from ..sharing.track import track as runs_of

    new = known = 0
    for run, is_new in runs_of(directory, to, address):
        new, known = new + is_new, known + (not is_new)
        if is_new:
            click.echo(run.name)
    click.echo(f"{new} trials taken to {to}, {known} were there.")


COMMANDS = [card, track]
