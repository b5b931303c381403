"""Defines the commands for model files: compress, inspect, evaluate, compare."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from .options import data_option, gin_option


def _parse_rules(rules: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """Splits each `PATTERN=algorithm` at the last `=`; with no algorithm, weights are kept in full."""
    parsed = []
    for rule in rules:
        pattern, equals, name = rule.rpartition("=")
        if not equals or not pattern:
            raise ValueError(f"--rule {rule!r} is not 'PATTERN=algorithm', such as 'embedding=none'.")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"--rule {rule!r}: {pattern!r} is no regular expression: {error}.") from None
        parsed.append((pattern, name or None))
    return parsed


@click.command()
@click.argument("model", type=click.Path(exists=True))
@click.argument("out", metavar="OUT.lpz", type=click.Path(dir_okay=False))
@click.option(
    "--algorithm",
    default="uniform",
    show_default=True,
    help="For weights that no rule takes; see `lambdapress list`.",
)
@click.option("--rule", "rules", multiple=True, metavar="'PATTERN=algorithm'", help="First match wins.")
@click.option(
    "--lmbda",
    type=float,
    help="λ: higher for fewer bytes. For algorithms whose λ acts without training [default: 0.1].",
)
@click.option("--task", help="Name of a task to evaluate the model on, before and after.")
@click.option("--allow-code", is_flag=True, help="Runs Python code that MODEL holds, of Lambda layers.")
@click.option("--dry-run", is_flag=True, help="Shows which weights each rule takes, and writes nothing.")
@gin_option
@data_option
def compress(
    model: str,
    out: str,
    algorithm: str,
    rules: tuple[str, ...],
    lmbda: float | None,
    task: str | None,
    allow_code: bool,
    dry_run: bool,
    bindings: tuple[str, ...],
    data_dir: str | None,
) -> None:
    """Compresses a saved Keras model.

    MODEL is a .keras or .h5 file or a SavedModel folder; it is compressed as it is, without training.

    A rule's pattern is a regular expression that is searched for anywhere in a weight's path, such as
    conv2d_1/kernel; `^` and `$` bind it to the path's ends. `PATTERN=` keeps the weights that match in
    full. What each rule takes is shown first. Layers have the names that they have in MODEL.

    \b
      lambdapress compress model.keras model.lpz
      lambdapress compress model.keras model.lpz --algorithm uniform --lmbda 0.03 --task digits
      lambdapress compress model.keras model.lpz --rule 'embedding=' --rule 'kernel=power_law'
    """
    from ..model_files import compress_file
    from ..report.units import relative_size

    done = compress_file(
        model,
        out,
        algorithm,
        _parse_rules(rules),
        bindings,
        lmbda,
        task,
        data_dir,
        allow_code,
        show=click.echo,
        dry_run=dry_run,
    )
    if done is None:
        return
    floats, size = done.report.float_bytes, done.report.size_bytes
    click.echo(f"{out}: {size:,} bytes, {relative_size(size, floats)} {floats:,} bytes of floats")
    if done.metric is not None:
        click.echo(f"{done.metric} {done.before:.4f} before, {done.after:.4f} after")
    for note in done.notes:
        click.echo(f"Note: {note}", err=True)


@click.command()
@click.argument("path", metavar="OUT.lpz", type=click.Path(dir_okay=False))
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, a line a weight.")
def inspect(path: str, as_csv: bool) -> None:
    """Shows the content of a compressed file, weight by weight.

    \b
      lambdapress inspect model.lpz
      lambdapress inspect model.lpz --csv > model.csv
    """
    from rich.console import Console
    from rich.table import Table

    from ..model_files import inspect_file
    from ..report.units import relative_size

    report = inspect_file(path)
    if as_csv:
        import pandas as pd

        click.echo(pd.DataFrame(report.rows).to_csv(index=False), nl=False)
        return
    table = Table(title=str(path))
    table.add_column("weight", overflow="fold")
    for name in ("shape", "dtype", "algorithm"):
        table.add_column(name)
    for name in ("bits/weight", "bytes", "share"):
        table.add_column(name, justify="right")
    for row in report.rows:
        shape = "×".join(map(str, row.shape)) or "scalar"
        table.add_row(
            row.path,
            shape,
            row.dtype,
            row.algorithm or "in full",
            f"{row.bits_per_weight:.3f}",
            f"{row.bytes:,}",
            f"{row.share:.1%}",
        )
    size = report.size_bytes
    table.add_row(
        "overhead", "", "", "", "", f"{report.overhead_bytes:,}", f"{report.overhead_bytes / size:.1%}"
    )
    table.add_section()
    bits = f"{8 * size / report.num_params:.3f}" if report.num_params else ""
    table.add_row("total", f"{report.num_params:,} weights", "", "", bits, f"{size:,}", "100.0%")
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    click.echo(f"{relative_size(size, report.float_bytes)} {report.float_bytes:,} bytes of floats")


@click.command()
@click.argument("path", metavar="OUT.lpz|DIR", type=click.Path(exists=True))
@click.option("--task", help="For a file: name of the task whose model this is.")
@click.option(
    "--metric", metavar="NAME", help="For a folder: the metric to fill in [default: all of the tasks']."
)
@gin_option
@data_option
def evaluate(
    path: str, task: str | None, metric: str | None, bindings: tuple[str, ...], data_dir: str | None
) -> None:
    """Evaluates a compressed file on a task, or fills in what finished trials have not measured.

    For a folder of trials nothing is trained: each model is read from its file and evaluated by its task as
    it is now, on every split. Metrics and splits that its result lacks are added to it.

    \b
      lambdapress evaluate runs/digits/…/model.lpz --task digits
      lambdapress evaluate runs/digits --metric top_5
    """
    if Path(path).is_dir():
        if task is not None or bindings:
            raise ValueError("--task and --gin are for a file; trials know their task and its settings.")
        _fill_in(path, metric, data_dir)
        return
    if task is None or metric is not None:
        raise ValueError(
            f"{path} is a file: --task names its task, and all metrics are shown without --metric."
        )
    from ..model_files import evaluate_file

    for name, measured in evaluate_file(path, task, bindings, data_dir).items():
        splits = sorted(measured["value"], key=lambda split: split != "test")
        values = ", ".join(f"{measured['value'][split]:.4f} on {split}" for split in splits)
        click.echo(f"{name} {values}")
    click.echo(f"{Path(path).stat().st_size:,} bytes")


def _fill_in(directory: str, metric: str | None, data_dir: str | None) -> None:
    from rich.progress import track

    from ..deployment.fill_in import fill_in_apart, unfilled

    trials = unfilled(directory, metric)
    outcomes = track(
        fill_in_apart(trials, metric, data_dir),
        "Evaluating",
        total=len(trials),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    outcomes = dict(zip(trials, outcomes, strict=True))
    deaths = [f"{trial}: the process died {o}" for trial, o in outcomes.items() if not isinstance(o, bool)]
    done = sum(outcome is True for outcome in outcomes.values())
    rest = "the others had nothing to add" if not deaths else f"{len(deaths)} could not be evaluated"
    click.echo(f"completed {done} of {len(trials)} results; {rest}")
    if deaths:
        raise click.ClickException("\n".join(deaths))


@click.command()
@click.argument("a", metavar="A", type=click.Path(exists=True))
@click.argument("b", metavar="B", type=click.Path(exists=True))
@click.option("--task", help="For .lpz files: name of the task whose models they are.")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values: everything, a line a number.")
@click.option("--json", "style", flag_value="json", help="Everything, as JSON.")
@gin_option
@data_option
def compare(
    a: str, b: str, task: str | None, style: str | None, bindings: tuple[str, ...], data_dir: str | None
) -> None:
    """Says what changed from model A to model B.

    Per class, how the accuracy changed, with intervals; which test examples flipped; and per weight, bits,
    zeros and the relative error. A and B are folders of finished trials, or .lpz files.

    \b
      lambdapress compare runs/digits/digits-none-… runs/digits/digits-epr-2-…
      lambdapress compare a.lpz b.lpz --task digits --json
    """
    from ..model_pair import compare_models
    from ..report.model_pair_text import render

    click.echo(render(compare_models(a, b, task, bindings, data_dir), style or "terminal"), nl=False)


COMMANDS: list[Any] = [compress, inspect, evaluate, compare]
