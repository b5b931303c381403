"""Defines the commands that export a trial's model and measure the exports: export, benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import data_option, metric_option


def _pairs(options: tuple[str, ...]) -> dict[str, str]:
    """Returns `NAME=VALUE` texts as a dictionary.

    Raises:
      ValueError: for a text without `=`.
    """
    pairs = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"--option {option!r} is not 'NAME=VALUE', such as 'ops=select'.")
        pairs[name] = value
    return pairs


@click.command()
@click.argument("trial", metavar="RUN/TRIAL", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--format",
    "name",
    metavar="NAME",
    required=True,
    help="savedmodel, tflite, or another; see `lambdapress list`.",
)
@click.option(
    "--decode",
    help="before: plain weights in the file. during: on each call, layer by layer [default]. once: on the "
    "first call.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the format; may be repeated.",
)
@click.option(
    "--ops",
    help="builtin [default], select (TensorFlow's own as well), or auto (whichever gives the smaller file). "
    "Short for --option ops=….",
)
@click.option(
    "--shapes",
    metavar="SHAPES",
    help="Of the inputs, such as '1,...' for a fixed batch, '?,?,?,3' for images of any size, or "
    "'image=1,...;mask=1,...'. Short for --option shapes=….",
)
@click.option("--fold-batch-norm", is_flag=True, help="Makes batch normalisations factors of the weights.")
@click.option("--sparse-kernels", is_flag=True, help="For tflite that decodes before: stores zeros sparsely.")
@click.option("--out", type=click.Path(), help="The file or folder [default: in RUN/TRIAL].")
@data_option
def export(
    trial: str,
    name: str,
    decode: str | None,
    options: tuple[str, ...],
    ops: str | None,
    shapes: str | None,
    fold_batch_norm: bool,
    sparse_kernels: bool,
    out: str | None,
    data_dir: str | None,
) -> None:
    """Exports a trial's model for serving.

    RUN/TRIAL is the folder of a finished trial, such as one of those below runs/digits.

    \b
      lambdapress export runs/digits/TRIAL --format savedmodel --decode during --out m/
      lambdapress export runs/digits/TRIAL --format tflite --decode before --out m.tflite
    """
    from ...framework.atomic import write_atomically
    from ...framework.export.formats import make_format
    from ..deployment.trial_model import size_of, trial_model, zipped_size
    from ..sharing.card import card
    from ..trial.trial import ARTEFACT

    option_values: dict[str, Any] = _pairs(options)
    option_values |= {"ops": ops} if ops else {}
    option_values |= {"shapes": shapes} if shapes else {}
    option_values |= {"fold_batch_norm": True} if fold_batch_norm else {}
    option_values |= {"sparse_kernels": True} if sparse_kernels else {}
    form = make_format(name, decode, option_values)
    path = Path(out) if out else Path(trial) / form.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    with trial_model(trial, data_dir) as (_, model):
        remark = form.write(model, path)
    size, zipped, container = size_of(path), zipped_size(path), size_of(Path(trial) / ARTEFACT)
    click.echo(f"{path}: {size:,} bytes, {zipped:,} zipped (the container: {container:,})")
    if remark:
        click.echo(f"needs {remark}")
    about = path.with_name(f"{path.name}.md")
    write_atomically(about, card(trial, files=[path]).encode())
    click.echo(f"{about}: its model card")


@click.command()
@click.argument("trial", metavar="RUN/TRIAL", type=click.Path(exists=True, file_okay=False))
@click.option("--format", "name", metavar="NAME", help="Only files of this export format.")
@click.option(
    "--seconds", type=float, default=2.0, show_default=True, help="How long each latency is measured."
)
@click.option(
    "--fold-batch-norm", is_flag=True, help="Adds files with batch normalisations folded into weights."
)
@click.option("--sparse-kernels", is_flag=True, help="Adds a tflite file with zeros stored sparsely.")
@metric_option
@click.option("--no-metric", is_flag=True, help="Does not evaluate the files, which takes the task's data.")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values, every column.")
@click.option("--markdown", "style", flag_value="markdown", help="For a README or a report.")
@data_option
def benchmark(
    trial: str,
    name: str | None,
    seconds: float,
    fold_batch_norm: bool,
    sparse_kernels: bool,
    metric: str | None,
    no_metric: bool,
    style: str | None,
    data_dir: str | None,
) -> None:
    """Measures a trial's model in every export format.

    The table has bytes, zipped bytes, the time to load, the latency of the first call and of later ones
    (median, 95th percentile, and the median relative to that of plain weights) at batch sizes 1 and 32
    with one thread and with all, the peak of resident memory beyond an idle process, and the task's
    metric. Each file is measured in a process of its own.

    \b
      lambdapress benchmark runs/digits/TRIAL
      lambdapress benchmark runs/digits/TRIAL --markdown > table.md
    """
    from rich.console import Console

    from ...framework.atomic import write_atomically
    from ..deployment.benchmark import benchmark as measure
    from ..deployment.table import render
    from ..trial.trial import BENCHMARK

    with Console(stderr=True).status("") as status:
        frame = measure(
            trial,
            _measured(name, fold_batch_norm, sparse_kernels),
            seconds,
            evaluate=not no_metric,
            data_dir=data_dir,
            report=lambda text: status.update(f"Measuring: {text}"),
            metric=metric,
        )
    write_atomically(Path(trial) / BENCHMARK, frame.to_csv(index=False).encode())
    width = Console().width if sys.stdout.isatty() else 150
    click.echo(render(frame, style or "terminal", width), nl=False)


def _measured(name: str | None, fold_batch_norm: bool, sparse_kernels: bool) -> list[Any]:
    """Returns the variants to measure: those that each format names, and those that the flags add."""
    import dataclasses

    from ...framework.export.formats import all_measured, formats

    variants = list(formats.get(name).measured()) if name else all_measured()
    classes: list[Any] = list(dict.fromkeys(type(variant) for variant in variants))
    if fold_batch_norm:
        variants += [
            dataclasses.replace(variant, fold_batch_norm=True)
            for variant in variants
            if "fold_batch_norm" in variant.options() and variant.decode != "before"
        ]
    if sparse_kernels:
        variants += [
            cls(decode="before", sparse_kernels=True) for cls in classes if "sparse_kernels" in cls.options()
        ]
    return variants


COMMANDS: list[Any] = [export, benchmark]
