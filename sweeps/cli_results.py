"""The commands that show what there is: table, plot, list."""

from __future__ import annotations

from typing import Any, Optional

import click


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values, every column.")
@click.option("--markdown", "style", flag_value="markdown", help="For a README or a report.")
@click.option("--published", "with_published", is_flag=True, help="Adds the published figures of the tasks.")
def table(directory: str, style: Optional[str], with_published: bool) -> None:
    """Shows the results below DIR as a table.

    Means and 95% intervals over seeds; Pareto-optimal rows are marked.

    \b
      lambdapress table runs/digits
      lambdapress table runs/digits --csv > digits.csv
      lambdapress table runs/lenets --published
    """
    from . import published, results, tables

    summary = results.summarise(results.load_results(directory))
    if with_published:
        figures = published.load_published()
        summary = published.beside(summary, figures)
        if not (summary["source"] != "").any():
            click.echo(
                f"No figures are published for these tasks, only for {', '.join(figures['task'])}.", err=True
            )
    click.echo(tables.render(summary, style or "terminal"))


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--out", type=click.Path(file_okay=False), help="Where to write [default: DIR].")
def plot(directory: str, out: Optional[str]) -> None:
    """Draws size against metric, PNG and SVG.

    \b
      lambdapress plot runs/digits --out figures
    """
    from . import plot as pictures
    from . import results

    for path in pictures.plot(results.load_results(directory), out or directory):
        click.echo(path)


@click.command("list")
@click.option("--official", is_flag=True, help="The experiments of TensorFlow Official Models instead.")
def list_(official: bool) -> None:
    """Lists tasks, algorithms and sweeps.

    \b
      lambdapress list
      lambdapress list --official
    """
    if official:
        _list_official()
        return
    from . import gin_files
    from .names import registries

    tasks, algorithms = registries()
    sweeps = {name: gin_files.first_line(path) for name, path in gin_files.packaged("sweeps").items()}
    for title, lines in (
        ("Tasks", {name: tasks.summary(name) for name in tasks.names()}),
        ("Algorithms", {name: algorithms.summary(name) for name in algorithms.names()}),
        ("Sweeps", sweeps),
    ):
        click.echo(f"{title}:")
        for name, line in lines.items():
            click.echo(f"  {name:16} {line}")


def _list_official() -> None:
    from ..tasks import official_config, official_coverage

    tried = official_coverage.known()
    for name in official_config.experiments():
        click.echo(f"{name:44} {tried.get(name, 'not tried')}")
    click.echo(
        "\nOf those tried, how much of the model is compressed; any other may work as well. One of them:\n"
        "  lambdapress train --task official --algorithm epr --lmbda 1 "
        "--gin \"official.experiment = 'bert/sentence_prediction'\" --gin 'official.overrides = {...}'"
    )


COMMANDS: list[Any] = [table, plot, list_]
