"""Defines the commands that run trials: sweep, train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import bytes_of, data_option, gin_option, limit_options, parts_of, seconds_of

if TYPE_CHECKING:
    from ..plan.plan import Plan


@click.command()
@click.argument("sweep", metavar="SWEEP.gin")
@click.option("--out", type=click.Path(file_okay=False), help="The results' directory [default: runs/SWEEP].")
@click.option(
    "--executor",
    metavar="NAME",
    help="Where trials run: processes, here, or another; see `lambdapress list` [default: processes].",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="How many trials run at a time [default of processes: one a core, 4 at most].",
)
@gin_option
@data_option
@click.option("--dry-run", is_flag=True, help="Lists the trials and their identities; runs nothing.")
@click.option("--retry-failed", is_flag=True, help="Also runs the trials that are recorded as failed.")
@click.option(
    "--retry-stale", is_flag=True, help="Also runs the trials whose algorithm's code has changed since."
)
@click.option(
    "--shard", metavar="I/N", help="Runs the I-th of N shares of the trials, such as 1/8, in an array job."
)
@limit_options
def sweep(
    sweep: str,
    out: str | None,
    executor: str | None,
    workers: int | None,
    bindings: tuple[str, ...],
    data_dir: str | None,
    dry_run: bool,
    retry_failed: bool,
    retry_stale: bool,
    shard: str | None,
    trial_timeout: str | None,
    trial_memory: str | None,
    max_hours: float | None,
    fail_fast: bool,
    gpus_per_trial: float | None,
) -> None:
    """Runs the trials of a sweep that have no result yet.

    Then shows the table, and writes it and the plot next to the results. SWEEP.gin is looked up as
    given, then among the package's own sweeps (see `lambdapress list`). The same command continues a
    sweep that was cut short; a second run at the same time shares the work.

    \b
      lambdapress sweep digits --workers 2
      lambdapress sweep my_sweep.gin --out results/my_sweep --gin 'sweep.seeds = [0]'
      lambdapress sweep mnist_notebook --data-dir ~/tensorflow_datasets --dry-run
    """
    from ..execution.limits import Limits, Shard
    from ..execution.sweep import run_planned
    from ..plan.plan import plan

    limits = Limits(
        trial_timeout=None if trial_timeout is None else seconds_of("--trial-timeout", trial_timeout),
        trial_memory=None if trial_memory is None else bytes_of("--trial-memory", trial_memory),
        max_hours=max_hours,
        fail_fast=fail_fast,
        gpus_per_trial=gpus_per_trial,
    )
    planned = plan(sweep, bindings)
    directory = Path(out) if out else Path("runs") / planned.name
    if dry_run:
        _show_plan(planned, directory)
    else:
        frame = run_planned(
            planned,
            sweep,
            directory,
            executor=executor,
            workers=workers,
            gin=bindings,
            data_dir=data_dir,
            retry_failed=retry_failed,
            retry_stale=retry_stale,
            limits=limits,
            shard=None if shard is None else Shard(*parts_of("--shard", shard)),
        )
        _report(frame, directory)


@click.command()
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
    lmbda: float | None,
    seed: int,
    bindings: tuple[str, ...],
    out: str,
    data_dir: str | None,
) -> None:
    """Runs one trial.

    Trains and compresses a model, reads its file back and evaluates it.

    \b
      lambdapress train --task digits --algorithm power_law --lmbda 5
      lambdapress train --task digits --algorithm epr --lmbda 1 --gin 'digits.epochs = 3'
    """
    from ..execution.progress import size_line
    from ..execution.sweep import run_plan
    from ..gin import registries
    from ..plan.definition import Sweep
    from ..plan.plan import plan
    from ..results.schema import result_in

    uses_lmbda = registries.algorithms().get(algorithm).uses_lmbda
    if uses_lmbda and lmbda is None:
        raise ValueError(f"--lmbda is missing: {algorithm!r} takes a λ, such as --lmbda 1.")
    if lmbda is not None and not (uses_lmbda or lmbda == 0):
        raise ValueError(f"--lmbda {lmbda:g}: λ means nothing to {algorithm!r}; leave it out.")
    lmbdas = [] if lmbda is None else [lmbda]
    planned = plan(Sweep([task], [algorithm], lmbdas, [seed]), bindings)
    run_plan(planned, out, workers=1, data_dir=data_dir, retry_failed=True)
    directory = Path(out) / planned.trials[0].directory_name
    result = result_in(directory)
    assert result is not None
    if result["status"] == "failed":
        raise click.ClickException(f"{result['error']}\nThe trial failed; its files: {directory}")
    click.echo(f"{size_line(result)}\nIts files: {directory}")


def _show_plan(planned: Plan, out: Path) -> None:
    from ..execution.sweep import states

    trial_states = states(planned, out)
    for trial, state in trial_states.items():
        settings = "".join(f"  {key}={value!r}" for key, value in trial.overrides.items())
        click.echo(f"{trial.identity}  {state:7}  {trial}{settings}")
    left = list(trial_states.values()).count("to run")
    more = f", then {planned.refine} more λ for each curve" if planned.refine else ""
    searched = sum(1 for curve in planned.curves if curve.space)
    if searched:
        more += f", then what the search of {searched} curves proposes, {planned.search_trials} settings each"
    click.echo(f"{len(trial_states)} trials, {left} to run, in {out}{more}")


def _report(frame: Any, out: Path) -> None:
    """Shows a sweep's table, and writes it and the plot next to the results."""
    from ..report.plot import plot
    from ..report.tables import render
    from ..results.summary import summarise

    summary = summarise(frame)
    click.echo(render(summary, "terminal"))
    table_file = out / "results.csv"
    table_file.write_text(render(summary, "csv"), encoding="utf-8")
    written = [table_file]
    if (frame["status"] == "ok").any():
        written += plot(frame, out)
    click.echo(f"Wrote {', '.join(map(str, written))}")
    counts = frame["status"].value_counts()
    failed, blocked, stopped = (int(counts.get(status, 0)) for status in ("failed", "blocked", "stopped"))
    if stopped:
        click.echo(f"{stopped} of {len(frame)} trials stopped; without sweep.stop they run to their end.")
    if failed:
        wait = f", and {blocked} that start from others are blocked" if blocked else ""
        raise click.ClickException(
            f"{failed} of {len(frame)} trials failed{wait}; --retry-failed runs them again."
        )


COMMANDS = [sweep, train]
