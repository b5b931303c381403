"""Makes the trial again that a folder holds, so that more can be planned from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..gin import registries
from ..gin.bindings import ConfigError
from ..gin.isolation import isolated
from ..results.schema import result_in
from ..trial.trial import CONFIG, Trial
from .definition import check_factors
from .plan import Plan
from .requantise import requantised


def requantise_plan(directory: Path, factors: Sequence[float]) -> Plan:
    """Plans to store a finished trial's model with other steps.

    Args:
      directory: the trial's folder, in the folder of its sweep.
      factors: of the steps.

    Returns:
      The trial and, after it, one that starts from it for each factor: the same trials as a sweep with
      `sweep.requantise` would plan.

    Raises:
      ConfigError: for a folder that has no finished trial, and for factors that are no factors.
    """
    try:
        check_factors("steps", factors)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with isolated():
        registries.load_all()
        trial = recorded(directory)
        children = [requantised(trial, factor) for factor in factors]
    return Plan(directory.parent.name, (trial, *children))


def recorded(directory: Path, children: tuple[str, ...] = ()) -> Trial:
    """Returns the trial whose result a folder holds.

    Args:
      directory: the folder.
      children: identities of the trials that start from it, one from the other.

    Raises:
      ConfigError: where there is no result that is ok, where files of the trial are missing or were changed,
        and where the folder of the trial that it started from is gone.
      ResultError: for a file that is no result.
    """
    result = result_in(directory)
    if result is None or result["status"] != "ok":
        raise ConfigError(f"{str(directory)!r} holds no finished trial.")
    parent, start = None, result["parent"]
    if start is not None:
        folders = [path for path in directory.parent.iterdir() if path.name.endswith(f"-{start}")]
        if not folders or start in children:
            raise ConfigError(
                f"{str(directory)!r} started from the trial {start}, whose folder is not beside it."
            )
        parent = recorded(folders[0], (*children, start))
    try:
        config = (directory / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{directory / CONFIG} cannot be read: {error}.") from None
    trial = Trial(
        task=result["task"],
        algorithm=result["algorithm"],
        lmbda=result["lmbda"],
        seed=result["seed"],
        config=config,
        overrides=result["overrides"],
        parent=parent,
    )
    if trial.identity != result["identity"] or trial.directory_name != directory.name:
        raise ConfigError(
            f"{str(directory)!r}: {CONFIG} and the folder's name are not those of the trial "
            f"{result['identity']}; run the trial again."
        )
    return trial
