"""Defines the commands that show results and registered names: table, plot, list."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values, every column.")
@click.option("--markdown", "style", flag_value="markdown", help="For a README or a report.")
@click.option("--published", "with_published", is_flag=True, help="Adds the published figures of the tasks.")
def table(directory: str, style: str | None, with_published: bool) -> None:
    """Shows the results below DIR as a table.

    Means and 95% intervals over seeds; Pareto-optimal rows are marked.

    \b
      lambdapress table runs/digits
      lambdapress table runs/digits --csv > digits.csv
      lambdapress table runs/lenets --published
    """
    from ..report import tables
    from ..results import frames as results
    from ..results import published

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
def plot(directory: str, out: str | None) -> None:
    """Draws size against metric, as PNG and SVG.

    \b
      lambdapress plot runs/digits --out figures
    """
    from ..report import plot as pictures
    from ..results import frames as results

    for path in pictures.plot(results.load_results(directory), out or directory):
        click.echo(path)


@click.command("list")
@click.option("--official", is_flag=True, help="The experiments of TensorFlow Official Models instead.")
def list_(official: bool) -> None:
    """Lists tasks, algorithms, sweeps, executors and export formats.

    \b
      lambdapress list
      lambdapress list --official
    """
    if official:
        _list_official()
        return
    from ...framework import formats
    from ..execution.executor import executors
    from ..gin import registries
    from ..gin.files import description, packaged

    def summaries(registry: Any) -> dict[str, str]:
        return {name: registry.summary(name) for name in registry.names()}

    for title, lines in (
        ("Tasks", summaries(registries.tasks())),
        ("Algorithms", summaries(registries.algorithms())),
        ("Sweeps", {name: description(path) for name, path in packaged("sweeps").items()}),
        ("Executors", summaries(executors)),
        ("Export formats", summaries(formats)),
    ):
        click.echo(f"{title}:")
        for name, line in lines.items():
            click.echo(f"  {name:16} {line}")


def _list_official() -> None:
    from ...tasks import official_config, official_coverage

    tried = official_coverage.known()
    for name in official_config.experiments():
        click.echo(f"{name:44} {tried.get(name, 'not tried')}")
    click.echo(
        "\nOf those tried, how much of the model is compressed; any other may work as well. One of them:\n"
        "  lambdapress train --task official --algorithm epr --lmbda 1 "
        "--gin \"official.experiment = 'bert/sentence_prediction'\" --gin 'official.overrides = {...}'"
    )


COMMANDS: list[Any] = [table, plot, list_]
