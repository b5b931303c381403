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
    from ..results import published
    from ..results.frames import load_results
    from ..results.summary import summarise

    summary = summarise(load_results(directory))
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
    from ..results.frames import load_results

    for path in pictures.plot(load_results(directory), out or directory):
        click.echo(path)


@click.command("compare-curves")
@click.argument("directory", metavar="DIR")
@click.option("--anchor", required=True, help="Name of the algorithm that the others are compared with.")
@click.option("--method", default="pchip", show_default=True, help="Interpolation: pchip or akima.")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values, in full precision.")
@click.option("--markdown", "style", flag_value="markdown", help="For a README or a report.")
def compare_curves(directory: str, anchor: str, method: str, style: str | None) -> None:
    """Says how many bytes algorithms save at equal metric.

    BD-rate: the mean difference of size to the anchor over the metrics that both curves reach; −25% means a
    quarter fewer bytes. BD-metric: the mean difference of the metric over the sizes that both have. Both are
    of the Pareto-optimal means over seeds, with a 95% interval over three seeds or more.

    \b
      lambdapress compare-curves runs/lenets --anchor power_law
    """
    from ..report.comparison_table import render
    from ..results.comparison import compare
    from ..results.frames import load_results

    compared = compare(load_results(directory), anchor, method)
    click.echo(render(compared, style or "terminal"), nl=False)
    if compared["bd_rate"].isna().all():
        raise click.ClickException(f"No curve could be compared with {anchor!r}.")


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


COMMANDS: list[Any] = [table, plot, compare_curves, list_]
