"""Lists the experiments of TensorFlow Official Models, and builds their configs with overrides."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import Any

from ..framework.errors import LambdapressError
from ..framework.messages import alternatives, did_you_mean

_SCALARS = (bool, int, float, str)


class ExperimentError(LambdapressError, ValueError):
    """Reports an experiment, or a config of one, that Official Models does not have or cannot run."""


@functools.cache
def _factory() -> dict[str, Any]:
    """Returns Official Models' own registry, filled; importing it takes about 10 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorflow-hub's pkg_resources is deprecated
        from official.common import registry_imports  # noqa: F401
    from official.core import exp_factory

    return exp_factory._REGISTERED_CONFIGS


def experiments() -> list[str]:
    """Returns the names of all experiments, such as `bert/sentence_prediction`."""

    def names(tree: Mapping[str, Any], prefix: str) -> list[str]:  # the registry nests at each slash
        paths: list[str] = []
        for key, value in tree.items():
            paths += names(value, f"{prefix}{key}/") if isinstance(value, dict) else [prefix + key]
        return paths

    return sorted(names(_factory(), ""))


def experiment_config(experiment: str, *overrides: Mapping[str, Any]) -> Any:
    """Returns a new Official Models `ExperimentConfig` of an experiment, with overrides.

    Args:
      experiment: name of the experiment.
      *overrides: values by key, nested or with dots: `{"trainer": {"train_steps": 100}}` is the same as
        `{"trainer.train_steps": 100}`. Later ones win.

    Raises:
      ExperimentError: for an unknown experiment or key (the message names the nearest), or a wrong type.
    """
    from official.core import exp_factory

    known = experiments()
    if experiment not in known:
        raise ExperimentError(
            f"official.experiment is {experiment!r}, which Official Models does not register; "
            f"{did_you_mean(experiment, known)}`lambdapress list --official` lists all."
        )
    config = exp_factory.get_exp_config(experiment)
    for changes in map(nested, overrides):
        _check(config, changes, "official.overrides", experiment)
        config.override(changes, is_strict=True)
    config.validate()
    return config


def nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Splits keys at their dots: `{"a.b": 1, "a": {"c": 2}}` becomes `{"a": {"b": 1, "c": 2}}`.

    Raises:
      ExperimentError: for a key that is not a name, or that is set twice.
    """
    tree: dict[str, Any] = {}
    for key, value in overrides.items():
        first, _, rest = key.partition(".") if isinstance(key, str) else ("", "", "")
        if not first:
            raise ExperimentError(
                f"official.overrides has the key {key!r}; keys are names, such as 'trainer'."
            )
        branch = nested({rest: value}) if rest else nested(value) if isinstance(value, Mapping) else value
        tree[first] = _merge(tree[first], branch, first) if first in tree else branch
    return tree


def _merge(first: Any, second: Any, where: str) -> dict[str, Any]:
    if not (isinstance(first, dict) and isinstance(second, dict)):
        raise ExperimentError(f"official.overrides sets {where!r} twice: to {first!r} and to {second!r}.")
    both = {key: _merge(first[key], second[key], f"{where}.{key}") for key in first.keys() & second.keys()}
    return {**first, **second, **both}


def _check(config: Any, overrides: Mapping[str, Any], path: str, experiment: str) -> None:
    """Checks the keys and types of overrides.

    Official Models itself takes any type, and its error for a key does not say where it is or what is known.
    """
    known = [key for key in vars(config) if key not in config.RESERVED_ATTR]
    for key, value in overrides.items():
        where = f"{path}[{key!r}]"
        if key not in known:
            raise ExperimentError(
                f"{where}: {experiment} has no such key; {alternatives(key, sorted(known))}."
            )
        present = vars(config)[key]
        if isinstance(value, Mapping):
            if hasattr(present, "as_dict"):
                _check(present, value, where, experiment)
            elif present is not None:
                raise ExperimentError(f"{where} is {present!r}, not a group of keys; got {dict(value)!r}.")
        elif hasattr(present, "as_dict") and value is not None:
            raise ExperimentError(f"{where} is a group of keys; got {value!r}. Give a dictionary.")
        elif _are_numbers(present) and isinstance(value, (list, tuple)) and not _are_numbers(value):
            raise ExperimentError(f"{where} is a list of numbers ({present!r}); got {value!r}.")
        elif isinstance(present, _SCALARS) and not _fits(present, value):
            raise ExperimentError(
                f"{where} is a {type(present).__name__} ({present!r}); got {value!r}, "
                f"a {type(value).__name__}."
            )


def _are_numbers(value: Any) -> bool:
    """Tells whether a value is a list of numbers and nothing else; a boolean is none."""
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value)
    )


def _fits(present: Any, value: Any) -> bool:
    if value is None:
        return True
    if isinstance(present, bool) or isinstance(value, bool):
        return isinstance(present, bool) and isinstance(value, bool)
    if isinstance(present, (int, float)):
        return isinstance(value, (int, float)) and (isinstance(present, float) or float(value).is_integer())
    return isinstance(value, str)
