"""Takes finished trials to an experiment tracker, each once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...framework.errors import LambdapressError
from ..results.frames import flat
from ..results.schema import RESULT, ResultError, read_result

NUMBERS = (
    "size_bytes",
    "ratio",
    "bits_per_weight",
    "coded_bytes",
    "float_bytes",
    "num_params",
    "nonzeros",
    "multiply_adds",
    "train_seconds",
    "all_train_seconds",
    "all_epochs",
)
"""Fields of a result that a tracker gets as numbers, besides the metrics."""


class TrackError(LambdapressError, RuntimeError):
    """A tracker cannot be used; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished trial as a tracker takes it.

    Attributes:
      identity: the trial's; a tracker gets each once.
      name: for people.
      project: the folder of the sweep.
      parameters: task, algorithm, λ, seed and overrides.
      numbers: metrics as `NAME/SPLIT`, and `NUMBERS`.
      folder: the trial's.
    """

    identity: str
    name: str
    project: str
    parameters: Mapping[str, Any]
    numbers: Mapping[str, float]
    folder: Path


Tracker = Callable[[list[Run], str | None], Iterator[tuple[Run, bool]]]
"""Takes runs and an address; yields each run, and whether it is new there."""


def track(directory: str | os.PathLike, to: str, address: str | None = None) -> Iterator[tuple[Run, bool]]:
    """Takes every finished trial below a folder to a tracker that does not have it yet.

    Args:
      directory: of a sweep, or of several.
      to: `mlflow`, `wandb` or `tensorboard`.
      address: MLflow's tracking URI; a folder for TensorBoard and for what Weights & Biases writes.

    Yields:
      Each run, and whether it is new there.

    Raises:
      TrackError: where the tracker is not installed or refuses.
      ResultError: for a file that is no result.
    """
    trackers: dict[str, Tracker] = {"mlflow": _mlflow, "wandb": _wandb, "tensorboard": _tensorboard}
    if to not in trackers:
        raise TrackError(f"--to is {to!r}; give one of {', '.join(trackers)}.")
    runs = list(_runs(Path(directory)))
    if not runs:
        raise ResultError(f"No trial below {str(directory)!r} has finished.")
    try:
        yield from trackers[to](runs, address)
    except (LambdapressError, ImportError):
        raise
    except Exception as error:  # a tracker's own errors are of many kinds; the results are what they were
        line = (str(error).splitlines() or [""])[0]
        raise TrackError(
            f"{to} refused ({type(error).__name__}: {line}). The results are untouched."
        ) from error


def _runs(directory: Path) -> Iterator[Run]:
    for path in sorted(directory.rglob(RESULT)):
        result = read_result(path)
        if result["status"] != "ok":
            continue
        numbers = {name: result[name] for name in NUMBERS if result.get(name) is not None}
        for metric, known in result["metrics"].items():
            numbers |= {f"{metric}/{split}": value for split, value in known["value"].items()}
        chosen = {name: result[name] for name in ("task", "algorithm", "lmbda", "seed")}
        yield Run(
            identity=result["identity"],
            name=f"{result['task']} {result['algorithm']} λ={result['lmbda']:g} seed {result['seed']}",
            project=directory.resolve().name,
            parameters={**chosen, **flat(result["overrides"])},
            numbers={name: float(value) for name, value in numbers.items()},
            folder=path.parent,
        )


_IDENTITY = "lambdapress.identity"


def _mlflow(runs: list[Run], address: str | None) -> Iterator[tuple[Run, bool]]:
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise TrackError(f"MLflow is missing ({error}): pip install 'lambdapress[mlflow]'.") from None
    client = MlflowClient(tracking_uri=address)
    name = runs[0].project
    experiment = client.get_experiment_by_name(name)
    identifier = client.create_experiment(name) if experiment is None else experiment.experiment_id
    known = _known_to_mlflow(client, identifier)
    for run in runs:
        if run.identity in known:
            yield run, False
            continue
        made = client.create_run(
            identifier,
            run_name=run.name,
            tags={_IDENTITY: run.identity, "lambdapress.folder": str(run.folder)},
        ).info.run_id
        for parameter, value in run.parameters.items():
            client.log_param(made, _mlflow_name(parameter), str(value)[:500])
        for number, value in run.numbers.items():
            client.log_metric(made, _mlflow_name(number), value)
        client.set_terminated(made)
        yield run, True


def _known_to_mlflow(client: Any, experiment: str) -> set[str]:
    """Returns the identities of the runs that MLflow has whole; one that was cut off is made anew."""
    known, token = set(), None
    while True:
        found = client.search_runs([experiment], max_results=1000, page_token=token)
        known |= {run.data.tags.get(_IDENTITY, "") for run in found if run.info.status == "FINISHED"}
        token = found.token
        if not token:
            return known


def _mlflow_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)[:250]


def _wandb(runs: list[Run], address: str | None) -> Iterator[tuple[Run, bool]]:
    try:
        import wandb
    except ImportError as error:
        raise TrackError(
            f"Weights & Biases is missing ({error}): pip install 'lambdapress[wandb]'."
        ) from None
    folder = Path(address) if address else Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    offline = os.environ.get("WANDB_MODE") == "offline"
    for run in runs:
        if offline and any((folder / "wandb").glob(f"offline-run-*-{run.identity}")):
            yield run, False
            continue
        made = wandb.init(
            project=run.project,
            id=run.identity,
            name=run.name,
            config=dict(run.parameters),
            dir=str(folder),
            resume=None if offline else "allow",
            settings=wandb.Settings(silent=True, console="off"),
        )
        new = offline or not made.resumed
        if new:
            made.log(dict(run.numbers))
        made.finish()
        yield run, new


def _tensorboard(runs: list[Run], address: str | None) -> Iterator[tuple[Run, bool]]:
    import tensorflow as tf
    from tensorboard.plugins.hparams import api as hparams

    if address is None:
        raise TrackError("--address is missing: the folder that TensorBoard is to read.")
    for run in runs:
        folder = Path(address) / run.identity
        if folder.exists() and any(folder.iterdir()):
            yield run, False
            continue
        writer = tf.summary.create_file_writer(str(folder))
        with writer.as_default():
            plain = {
                name: value if isinstance(value, (bool, int, float, str)) else repr(value)
                for name, value in run.parameters.items()
            }
            hparams.hparams(plain, trial_id=run.identity)
            for name, value in run.numbers.items():
                tf.summary.scalar(name, value, step=0)
        writer.close()
        yield run, True
