"""One trial: a frozen config, what identifies it, and how it is run from start to result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import platform
import re
import shutil
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

import gin

from ..framework.atomic import write_atomically
from . import own, result_file
from .names import registries
from .trial_settings import Settings

RESULT, PROGRESS, LOCK = "result.json", "progress.json", ".lock"
EVENTS, CHECKPOINT, CLOCK = "events", "checkpoint", "clock.json"

Report = Callable[[Mapping[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Trial:
    """task × algorithm × λ × seed under one frozen gin config.

    Attributes:
      task: name of a registered task.
      algorithm: name of a registered algorithm.
      lmbda: weight of the rate in the loss.
      seed: of every random number in the trial.
      config: canonical gin text, all that is bound for this trial.
      overrides: what its sweep's grid set, for the table; `config` has it already, so it does not
        count towards the identity.
    """

    task: str
    algorithm: str
    lmbda: float
    seed: int
    config: str
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def identity(self) -> str:
        """16 hexadecimal digits: the start of the SHA-256 of what defines the trial."""
        defining = [self.task, self.algorithm, float(self.lmbda), int(self.seed), self.config]
        text = json.dumps(defining, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def directory_name(self) -> str:
        """A name that people can read, unique by its end. Never parsed: `result.json` has the facts."""
        readable = f"{self.task}-{self.algorithm}-{self.lmbda:g}-s{self.seed}"
        return re.sub(r"[^\w.-]", "_", readable) + f"-{self.identity}"

    def __str__(self) -> str:
        return f"{self.task} {self.algorithm} λ={self.lmbda:g} seed={self.seed}"


def read_result(directory: Path) -> Optional[dict[str, Any]]:
    """A trial's result, or None where there is none yet.

    Raises:
      ResultError: where there is a `result.json` that no trial wrote.
    """
    path = directory / RESULT
    return result_file.read_result(path) if path.exists() else None


def write_json(path: Path, value: Mapping[str, Any], durable: bool = True) -> None:
    """Writes JSON such that `path` holds either its old content or all of the new, whatever dies when.

    Args:
      path: where to; its folder exists.
      value: to write; NaN and infinities raise ValueError.
      durable: whether to wait for the disk, which a power cut calls for.
    """
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False).encode(), durable)


def blank_result(trial: Trial, attempts: int) -> dict[str, Any]:
    """A result with the trial's identity and no outcome yet: every key there is, most of them None."""
    unknown = (
        "metric_name metric metric_compressible size_bytes float_bytes ratio estimated_bytes num_params "
        "train_seconds compress_seconds evaluate_seconds"
    )
    return {
        "schema": result_file.SCHEMA,
        "identity": trial.identity,
        "task": trial.task,
        "algorithm": trial.algorithm,
        "lmbda": trial.lmbda,
        "seed": trial.seed,
        "status": "failed",
        "error": None,
        **dict.fromkeys(unknown.split()),
        "overrides": dict(trial.overrides),
        "versions": versions(),
        "attempts": attempts,
    }


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    from importlib import metadata

    def version(distribution: str) -> str:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return "not installed"

    return {"python": platform.python_version(), **{n: version(n) for n in ("tensorflow", "lambdapress")}}


def run_trial(
    trial: Trial, directory: Path, report: Report = lambda state: None, attempts: int = 1
) -> dict[str, Any]:
    """Runs a trial and records it in `directory`, the result last.

    Training goes on from the checkpoint that an attempt left in `directory` which was cut short; whatever
    else it left is removed first. The caller holds the trial's lock.

    Args:
      trial: what to run; gin's global config is put aside meanwhile, then put back.
      directory: the trial's own; made where missing.
      report: called with what is going on: `stage`, and while training `epoch`, `epochs`, `step`,
        `steps`, `loss`.
      attempts: how often this trial was started, for the record.

    Returns:
      What `result.json` holds. A trial that raised has `status` "failed" and the traceback as `error`.

    Raises:
      DatasetError: where the task's data is missing: nothing is recorded, the trial can run once it is there.
    """
    from ..framework.checkpoint import CheckpointError
    from ..tasks.datasets import DatasetError
    from . import gin_files
    from .measure import measure

    directory.mkdir(parents=True, exist_ok=True)
    _clear(directory, LOCK, *((EVENTS, CHECKPOINT, CLOCK) if (directory / CHECKPOINT).exists() else ()))
    (directory / "config.gin").write_text(trial.config, encoding="utf-8")
    result = blank_result(trial, attempts)
    keep = False
    with gin_files.isolated():
        try:
            registries()
            gin.parse_config(trial.config)
            settings: Settings = gin.get_configurable(Settings)()
            keep = settings.keep_checkpoint
            own.check_code(settings.own_sha256)
            try:
                outcome = measure(trial, settings, directory, report)
            except CheckpointError as error:
                logging.getLogger(__name__).warning("%s Training starts anew.", error)
                _clear(directory, LOCK, "config.gin", PROGRESS)
                outcome = measure(trial, settings, directory, report)
            result.update(outcome)
            result["status"] = "ok"
        except DatasetError:
            raise
        except Exception as error:
            result["error"] = _describe(error)
        (directory / "operative.gin").write_text(gin.operative_config_str(), encoding="utf-8")
    write_json(directory / RESULT, result)
    if not keep:  # what failed, too, starts anew when it is retried
        for name in (CHECKPOINT, CLOCK):
            _remove(directory / name)
    return result


def _describe(error: Exception) -> str:
    """The error as the result records it: the traceback, or for a diverged trial the one line."""
    if isinstance(error, FloatingPointError):
        return str(error)
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).strip()


def _clear(directory: Path, *kept: str) -> None:
    """Removes what an earlier attempt left behind, except for `kept`; the lock is held, and stays."""
    for path in directory.iterdir():
        if path.name not in kept:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
