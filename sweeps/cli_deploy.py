"""The commands that make a trial's model into something that runs elsewhere: export, benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Optional

import click

from .cli_options import data_option


@click.command()
@click.argument("trial", metavar="RUN/TRIAL", type=click.Path(exists=True, file_okay=False))
@click.option("--format", "kind", type=click.Choice(["savedmodel", "tflite"]), required=True)
@click.option(
    "--decode",
    type=click.Choice(["before", "during", "once"]),
    default="during",
    show_default=True,
    help="before: plain weights in the file. during: on each call, layer by layer. once: on the first call.",
)
@click.option(
    "--ops",
    type=click.Choice(["builtin", "select"]),
    default="builtin",
    show_default=True,
    help="For tflite: its own operations alone, or TensorFlow's and TensorFlow Compression's, too.",
)
@click.option("--fold-batch-norm", is_flag=True, help="Makes batch normalisations factors of the weights.")
@click.option("--sparse-kernels", is_flag=True, help="For tflite that decodes before: stores zeros sparsely.")
@click.option("--out", type=click.Path(), help="The file or folder [default: in RUN/TRIAL].")
@data_option
def export(
    trial: str,
    kind: str,
    decode: str,
    ops: str,
    fold_batch_norm: bool,
    sparse_kernels: bool,
    out: Optional[str],
    data_dir: Optional[str],
) -> None:
    """Exports a trial's model for serving.

    RUN/TRIAL is the folder of a finished trial, such as one of those below runs/digits.

    \b
      lambdapress export runs/digits/TRIAL --format savedmodel --decode during --out m/
      lambdapress export runs/digits/TRIAL --format tflite --decode before --out m.tflite
    """
    from ..framework.container import ARTEFACT
    from . import exports

    form = exports.Format(kind, decode, ops, fold_batch_norm, sparse_kernels)
    path = Path(out) if out else Path(trial) / form.file_name
    with exports.trial_model(trial, data_dir) as (_, model):
        form.write(model, path)
    size, zipped = exports.size_of(path), exports.zipped_size(path)
    container = exports.size_of(Path(trial) / ARTEFACT)
    click.echo(f"{path}: {size:,} bytes, {zipped:,} zipped (the container: {container:,})")


@click.command()
@click.argument("trial", metavar="RUN/TRIAL", type=click.Path(exists=True, file_okay=False))
@click.option("--format", "kind", type=click.Choice(["savedmodel", "tflite"]), help="Only these files.")
@click.option(
    "--seconds", type=float, default=2.0, show_default=True, help="How long each latency is measured."
)
@click.option(
    "--fold-batch-norm", is_flag=True, help="Adds files with batch normalisations folded into weights."
)
@click.option("--sparse-kernels", is_flag=True, help="Adds a tflite file with zeros stored sparsely.")
@click.option("--no-metric", is_flag=True, help="Does not evaluate the files, which takes the task's data.")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values, every column.")
@click.option("--markdown", "style", flag_value="markdown", help="For a README or a report.")
@data_option
def benchmark(
    trial: str,
    kind: Optional[str],
    seconds: float,
    fold_batch_norm: bool,
    sparse_kernels: bool,
    no_metric: bool,
    style: Optional[str],
    data_dir: Optional[str],
) -> None:
    """Measures a trial's model in every format.

    Bytes, zipped bytes, time to load, latency of the first call and of later ones (median, 95th
    percentile, and the median over that of plain weights) at batch sizes 1 and 32 with one thread and with
    all, the peak of resident memory beyond an idle process, and the task's metric. Each file is measured
    in a process of its own.

    \b
      lambdapress benchmark runs/digits/TRIAL
      lambdapress benchmark runs/digits/TRIAL --markdown > table.md
    """
    import dataclasses

    from rich.console import Console

    from . import deployment, deployment_table, exports

    formats = [form for form in exports.FORMATS if kind in (None, form.kind)]
    if fold_batch_norm:
        formats += [dataclasses.replace(f, fold_batch_norm=True) for f in formats if f.decode != "before"]
    if sparse_kernels:
        formats.append(exports.Format("tflite", "before", sparse_kernels=True))
    with Console(stderr=True).status("") as status:
        frame = deployment.benchmark(
            trial,
            formats,
            seconds,
            evaluate=not no_metric,
            data_dir=data_dir,
            report=lambda text: status.update(f"Measuring: {text}"),
        )
    width = Console().width if sys.stdout.isatty() else 150
    click.echo(deployment_table.render(frame, style or "terminal", width), nl=False)


COMMANDS: list[Any] = [export, benchmark]
