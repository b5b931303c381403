"""Runs one trial from its frozen config to its `result.json`."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gin

from ...framework.atomic import write_json
from ..gin import registries, user_modules
from ..gin.isolation import isolated
from ..results.provenance import versions
from ..results.schema import FIELDS, RESULT, SCHEMA
from ..results.traces import TRACE, Stop
from .machine_faults import is_of_the_machine
from .parent import BlockedError
from .settings import Settings
from .trial import CHECKPOINT, CLOCK, CONFIG, EPOCHS, EVENTS, LOCK, LOG, OPERATIVE, PROGRESS, Report, Trial


def run_trial(
    trial: Trial,
    directory: Path,
    report: Report = lambda state: None,
    attempts: int = 1,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Runs a trial and records it in `directory`, the result last.

    Training continues from the checkpoint (with its clock and events) that an interrupted attempt left in
    `directory`; the attempt's other files are removed first, and all files of one that has a result. The
    caller must hold the trial's lock.

    Args:
      trial: the trial to run; gin's global config is set aside meanwhile, then restored.
      directory: the trial's folder; made if missing.
      report: called with the trial's state; see `Report`.
      attempts: how often this trial was started, for the record.
      stop: when the trial stops because a finished one beside it is better; None: it runs to its end.

    Returns:
      The content of `result.json`. A trial that raised has `status` "failed" and the traceback as `error`;
      so has one that called `sys.exit`. One that starts from a trial without a model is "blocked", one that
      `stop` ended is "stopped"; `error` says why.

    Raises:
      DatasetError: if the task's data is missing; nothing is recorded, so the trial can run once it is there.
      OSError: if a file cannot be read or written, or the machine has no more room for files (see
        `machine_faults.py`); nothing is recorded then, either.
    """
    from ...framework.training.checkpoint import CheckpointError
    from ...tasks.datasets import DatasetError
    from .callbacks import StoppedError
    from .measure import measure

    directory.mkdir(parents=True, exist_ok=True)
    # A trial that has a result is run anew, whatever checkpoint it kept.
    goes_on = (directory / CHECKPOINT).exists() and not (directory / RESULT).exists()
    kept = (EVENTS, EPOCHS, TRACE, CHECKPOINT, CLOCK, LOG) if goes_on else ()
    _clear(directory, LOCK, *kept)
    (directory / CONFIG).write_text(trial.config, encoding="utf-8")
    result = blank_result(trial, attempts)
    keep = False
    with isolated():
        try:
            registries.load_all()
            gin.parse_config(trial.config)
            settings: Settings = gin.get_configurable(Settings)()
            keep = settings.keep_checkpoint
            user_modules.check_code(settings.own_sha256)
            try:
                outcome = measure(trial, settings, directory, report, stop)
            except CheckpointError as error:
                logging.getLogger(__name__).warning("%s Training starts anew.", error)
                _clear(directory, LOCK, CONFIG, PROGRESS, LOG)
                outcome = measure(trial, settings, directory, report, stop)
            result.update(outcome)
            result["status"] = "ok"
        except DatasetError:
            raise
        except BlockedError as error:
            result.update(status="blocked", error=str(error))
        except StoppedError as error:
            result.update(status="stopped", error=str(error), **error.spent)
        except (Exception, SystemExit) as error:  # a task's `sys.exit` ends its trial, not the sweep
            if is_of_the_machine(error):
                raise OSError(str(error)) from error
            result["error"] = _describe(error)
        (directory / OPERATIVE).write_text(gin.operative_config_str(), encoding="utf-8")
    write_result(directory, result)
    if not keep:  # also after a failure: a retry starts anew
        for name in (CHECKPOINT, CLOCK):
            _remove(directory / name)
    return result


def write_result(directory: Path, result: Mapping[str, Any]) -> None:
    """Writes a result into a trial's directory, whole or not at all."""
    write_json(directory / RESULT, result)


def blank_result(trial: Trial, attempts: int) -> dict[str, Any]:
    """Returns a result with every key: the trial's identity, and None for all that is not known yet."""
    return {
        **dict.fromkeys(FIELDS),
        "schema": SCHEMA,
        "identity": trial.identity,
        "task": trial.task,
        "algorithm": trial.algorithm,
        "lmbda": trial.lmbda,
        "seed": trial.seed,
        "status": "failed",
        "overrides": dict(trial.overrides),
        "versions": versions(),
        "environment": {},
        "code": {},
        "attempts": attempts,
        "parent": None if trial.parent is None else trial.parent.identity,
    }


def _describe(error: BaseException) -> str:
    """Returns the traceback for the result, or only the message if the trial diverged."""
    if isinstance(error, FloatingPointError):
        return str(error)
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).strip()


def _clear(directory: Path, *kept: str) -> None:
    """Removes the files of an earlier attempt, except for `kept`, which must include the held lock."""
    for path in directory.iterdir():
        if path.name not in kept:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
