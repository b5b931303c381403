"""The command line, `lambdapress`. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from . import cli_deploy, cli_models, cli_results
from .cli_options import data_option, gin_option

if TYPE_CHECKING:
    from .config import Plan


class Failure(click.ClickException):
    """A message for the user, without a traceback."""

    exit_code = 2


class Commands(click.Group):
    """A group that tells errors that a user can mend in one message, and takes Ctrl-C calmly."""

    def invoke(self, ctx: click.Context) -> Any:
        from .quiet import quiet

        quiet()
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # for `import my_algorithm` in a gin file; last: it hides nothing
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if not _is_mendable(error):
                raise
            if ctx.params["debug"]:
                traceback.print_exc()
            raise Failure(str(error) or type(error).__name__) from error
        except KeyboardInterrupt:
            click.echo(f"Interrupted. To go on: {shlex.join(['lambdapress', *sys.argv[1:]])}", err=True)
            ctx.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of a user's day


def _is_mendable(error: Exception) -> bool:
    """Whether an error is about what the user gave or has, and not about this program."""
    if isinstance(error, (ValueError, OSError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    from ..framework import ExportError
    from ..tasks.datasets import DatasetError
    from .deployment import BenchmarkError
    from .executor import WorkerError

    return isinstance(error, (BenchmarkError, DatasetError, ExportError, WorkerError))


EXAMPLES = """\b
A first sweep, on data that comes with the package:
  lambdapress list
  lambdapress sweep digits --dry-run
  lambdapress sweep digits --workers 2
  lambdapress table runs/digits --markdown

\b
One trial, with a parameter changed:
  lambdapress train --task digits --algorithm epr --lmbda 0.5 --gin 'digits.epochs = 3'

\b
A point of the table as a file to deploy:
  lambdapress export runs/digits/TRIAL --format tflite --out model.tflite
  lambdapress benchmark runs/digits/TRIAL

\b
Your own model, after training:
  lambdapress compress model.keras model.lpz --algorithm uniform
  lambdapress inspect model.lpz

\b
Your own algorithm, in a file (docs/add_an_algorithm.md):
  lambdapress train --import my_algorithm.py --task digits --algorithm mine --lmbda 1
"""


@click.group(
    cls=Commands,
    help="Sweeps over λ of weight-compression algorithms for Keras models.\n\n" + EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--debug", is_flag=True, help="Shows the traceback of an error.")
@click.version_option(package_name="lambdapress")
def main(debug: bool) -> None:
    del debug


@main.command()
@click.argument("sweep", metavar="SWEEP.gin")
@click.option("--out", type=click.Path(file_okay=False), help="The results' directory [default: runs/SWEEP].")
@click.option(
    "--workers", type=click.IntRange(0), help="Processes [default: one a core, 4 at most]; 0: this one."
)
@gin_option
@data_option
@click.option("--dry-run", is_flag=True, help="Lists the trials and their identities; runs nothing.")
@click.option("--retry-failed", is_flag=True, help="Also runs the trials that are recorded as failed.")
def sweep(
    sweep: str,
    out: Optional[str],
    workers: Optional[int],
    bindings: tuple[str, ...],
    data_dir: Optional[str],
    dry_run: bool,
    retry_failed: bool,
) -> None:
    """Runs what a sweep has no result of yet.

    Then shows the table, and writes it and the plot beside the results. SWEEP.gin is looked up as
    given, then among the package's own (see `lambdapress list`). The same command goes on with a
    sweep that was cut short; a second one beside it shares the work.

    \b
      lambdapress sweep digits --workers 2
      lambdapress sweep my_sweep.gin --out results/my_sweep --gin 'sweep.seeds = [0]'
      lambdapress sweep mnist_notebook --data-dir ~/tensorflow_datasets --dry-run
    """
    from . import config

    plan = config.plan(sweep, bindings)
    directory = Path(out) if out else Path("runs") / plan.name
    if dry_run:
        _show_plan(plan, directory)
    else:
        _run(plan, directory, workers, data_dir, retry_failed)


@main.command()
@click.option("--task", required=True, help="Name of a task; see `lambdapress list`.")
@click.option("--algorithm", required=True, help="Name of an algorithm; see `lambdapress list`.")
@click.option("--lmbda", type=float, help="λ, the weight of the rate. `none`, `half`, … take none.")
@click.option("--seed", type=int, default=0, show_default=True)
@gin_option
@click.option("--out", type=click.Path(file_okay=False), default="runs/train", show_default=True)
@data_option
def train(
    task: str,
    algorithm: str,
    lmbda: Optional[float],
    seed: int,
    bindings: tuple[str, ...],
    out: str,
    data_dir: Optional[str],
) -> None:
    """Runs one trial.

    Trains, compresses, reads the file back and evaluates what was read.

    \b
      lambdapress train --task digits --algorithm power_law --lmbda 5
      lambdapress train --task digits --algorithm epr --lmbda 1 --gin 'digits.epochs = 3'
    """
    from . import config, run
    from .grid import Sweep
    from .names import registries
    from .progress import size_line
    from .trial import read_result

    uses_lmbda = registries()[1].get(algorithm).uses_lmbda
    if uses_lmbda and lmbda is None:
        raise ValueError(f"--lmbda is missing: {algorithm!r} takes a λ, such as --lmbda 1.")
    if lmbda is not None and not (uses_lmbda or lmbda == 0):
        raise ValueError(f"--lmbda {lmbda:g}: λ means nothing to {algorithm!r}; leave it out.")
    lmbdas = [] if lmbda is None else [lmbda]
    plan = config.plan(Sweep([task], [algorithm], lmbdas, [seed]), bindings)
    run.run_plan(plan, out, workers=1, data_dir=data_dir, retry_failed=True)
    directory = Path(out) / plan.trials[0].directory_name
    result = read_result(directory)
    assert result is not None
    if result["status"] == "failed":
        raise click.ClickException(f"{result['error']}\nThe trial failed; its files: {directory}")
    click.echo(f"{size_line(result)}\nIts files: {directory}")


def _show_plan(plan: Plan, out: Path) -> None:
    from . import run

    found = run.states(plan, out)
    for trial, state in found.items():
        settings = "".join(f"  {key}={value!r}" for key, value in trial.overrides.items())
        click.echo(f"{trial.identity}  {state:7}  {trial}{settings}")
    left = list(found.values()).count("to run")
    click.echo(f"{len(found)} trials, {left} to run, in {out}")


def _run(plan: Plan, out: Path, workers: Optional[int], data_dir: Optional[str], retry_failed: bool) -> None:
    from . import plot as pictures
    from . import results, run, tables

    frame = run.run_plan(plan, out, workers=workers, data_dir=data_dir, retry_failed=retry_failed)
    summary = results.summarise(frame)
    click.echo(tables.render(summary, "terminal"))
    table_file = out / "results.csv"
    table_file.write_text(tables.render(summary, "csv"), encoding="utf-8")
    written = [table_file]
    if (frame["status"] == "ok").any():
        written += pictures.plot(frame, out)
    click.echo(f"Wrote {', '.join(map(str, written))}")
    failed = int((frame["status"] == "failed").sum())
    if failed:
        raise click.ClickException(f"{failed} of {len(frame)} trials failed; --retry-failed runs them again.")


for _command in [*cli_results.COMMANDS, *cli_models.COMMANDS, *cli_deploy.COMMANDS]:
    main.add_command(_command)


def _import_own(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    from .own import import_own

    for name in names:
        import_own(name)


for _command in main.commands.values():  # eager: before the command asks for anything by name
    click.option(
        "--import",
        multiple=True,
        metavar="MODULE",
        expose_value=False,
        is_eager=True,
        callback=_import_own,
        help="Imports your own tasks and algorithms: a module, or a .py file; may be repeated.",
    )(_command)
