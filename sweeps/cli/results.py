"""Defines the commands that show results and registered names: table, plot, list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import metric_option, others_options


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values, every column.")
@click.option("--markdown", "style", flag_value="markdown", help="For a README or a report.")
@click.option("--json", "style", flag_value="json", help="Curves in the form of CompressAI's evaluations.")
@metric_option
@others_options
def table(
    directory: str, style: str | None, metric: str | None, with_published: bool, against: tuple[str, ...]
) -> None:
    """Shows the results below DIR as a table.

    Means and 95% intervals over seeds; Pareto-optimal rows are marked. They are chosen on the validation
    split, where the task holds examples out, and reported on the test split.

    \b
      lambdapress table runs/digits
      lambdapress table runs/digits --csv > digits.csv
      lambdapress table runs/digits --metric nll
      lambdapress table runs/lenets --published --against theirs.json
    """
    from ..report import tables
    from ..results import frames
    from ..results.curve_files import curves_text
    from ..results.published import beside
    from ..results.summary import summarise

    summary = summarise(frames.load_results(directory, metric))
    if style == "json":
        if with_published or against:
            raise ValueError("--json has this sweep's curves alone: leave --published and --against out.")
        click.echo(curves_text(summary))
        return
    others = others_of(summary, with_published, against)
    click.echo(tables.render(summary if others is None else beside(summary, others), style or "terminal"))


@click.command()
@click.argument("directory", metavar="DIR")
@metric_option
@others_options
@click.option("--out", type=click.Path(file_okay=False), help="Where to write [default: DIR].")
def plot(
    directory: str, metric: str | None, with_published: bool, against: tuple[str, ...], out: str | None
) -> None:
    """Draws size against metric, as PNG and SVG.

    \b
      lambdapress plot runs/digits --out figures
      lambdapress plot runs/lenets --published
    """
    from ..report import plot as pictures
    from ..results import frames
    from ..results.summary import summarise

    frame = frames.load_results(directory, metric)
    others = others_of(summarise(frame), with_published, against)
    for path in pictures.plot(frame, out or directory, others):
        click.echo(path)


def others_of(summary: Any, with_published: bool, against: tuple[str, ...]) -> Any:
    """Returns the figures of others that belong beside a summary, or None where none are asked for."""
    import pandas as pd

    from ..results import published
    from ..results.curve_files import read_curves

    parts = [read_curves(Path(path), summary) for path in against]
    if with_published:
        figures = published.load_published()
        parts.append(published.of_same_metric(summary, figures))
        if parts[-1].empty:
            known = ", ".join(figures["task"].unique())
            click.echo(f"No figures are published for these tasks, only for {known}.", err=True)
    parts = [part for part in parts if not part.empty]
    return pd.concat(parts, ignore_index=True) if parts else None


@click.command("compare-curves")
@click.argument("directory", metavar="DIR")
@click.option("--anchor", required=True, help="Name of the algorithm that the others are compared with.")
@metric_option
@click.option("--method", default="pchip", show_default=True, help="Interpolation: pchip or akima.")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values, in full precision.")
@click.option("--markdown", "style", flag_value="markdown", help="For a README or a report.")
def compare_curves(directory: str, anchor: str, metric: str | None, method: str, style: str | None) -> None:
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

    compared = compare(load_results(directory, metric), anchor, method)
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
