"""Proposes the hyper-parameters to try next: what Optuna suggests after the results so far.

Pure: what is proposed follows from the space and the results alone, so that a rerun proposes the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .next_lmbda import rounded

LMBDA = "lmbda"
"""Name of λ among a proposal's parameters; gin parameters have a dot in theirs."""
BATCH = 4
"""So many proposals follow from the same results; they may run at a time, however many workers there are."""
ASKED = 25
"""After so many suggestions that were all tried before, a space counts as searched."""
Proposal = Mapping[str, Any]
"""A value for each parameter of a space."""


class SearchError(ValueError):
    """A search's space means nothing, or Optuna is not installed; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Holds the numbers between two ends, both included.

    Attributes:
      low, high: the ends; equal where a parameter is fixed.
      log: whether all factors are as likely, rather than all differences.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Tells whether its numbers are integers: its ends are."""
        return isinstance(self.low, numbers.Integral) and isinstance(self.high, numbers.Integral)

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.low, self.high

    def value(self, suggested: Any) -> Any:
        """Returns what is tried for a suggestion: three significant digits are enough."""
        return int(suggested) if self.whole else min(max(rounded(suggested), self.low), self.high)


@dataclasses.dataclass(frozen=True)
class Choices:
    """Holds a list of values, of which no two are nearer to each other than others."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.values

    def value(self, suggested: int) -> Any:
        return self.values[suggested]


Space = Mapping[str, Range | Choices]
"""What a search varies, by the parameter's name: gin's, or `LMBDA`."""


def space_of(search: Mapping[str, Any]) -> dict[str, Range | Choices]:
    """Reads `Sweep.search`.

    Args:
      search: for each gin parameter a list of values, or `{"low": …, "high": …, "log": …}`; `log` may be left
        out.

    Raises:
      SearchError: for anything else.
    """
    if not search:
        raise SearchError("sweep.search is empty; name a parameter, such as 'digits.learning_rate'.")
    return {name: _dimension(f"sweep.search[{name!r}]", given) for name, given in search.items()}


def _dimension(where: str, given: Any) -> Range | Choices:
    if isinstance(given, Mapping):
        if not {"low", "high"} <= set(given) <= {"low", "high", "log"}:
            raise SearchError(f"{where} is {dict(given)!r}; give 'low' and 'high', and 'log' if you like.")
        low, high, log = given["low"], given["high"], given.get("log", False)
        if not (_is_finite(low) and _is_finite(high) and low < high):
            raise SearchError(f"{where} is {dict(given)!r}; 'low' is a number below 'high'.")
        if not isinstance(log, bool) or (log and low <= 0):
            raise SearchError(f"{where} is {dict(given)!r}; 'log' is True or False, and 'low' then above 0.")
        return Range(low, high, log)
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise SearchError(f"{where} is {given!r}; give a list of values, or {{'low': …, 'high': …}}.")
    if any(given.count(value) > 1 for value in given):
        raise SearchError(f"{where} is {list(given)!r}; give each value once.")
    return Choices(tuple(given))


def _is_finite(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def lmbda_range(lmbdas: Sequence[float]) -> Range:
    """Returns where λ is searched: between the smallest above 0 and the largest of a sweep's own.

    Raises:
      SearchError: where all are 0.
    """
    above = [float(lmbda) for lmbda in lmbdas if lmbda > 0]
    if not above:
        raise SearchError("sweep.search looks for λ between those of sweep.lmbdas; give some above 0.")
    return Range(min(above), max(above), log=True)


def propose(
    space: Space,
    tried: Sequence[tuple[Proposal, tuple[float, float] | None]],
    count: int,
    lower_is_better: bool = False,
) -> list[dict[str, Any]]:
    """Returns what to try next, for fewer bytes and a better metric at once.

    Args:
      space: what is searched.
      tried: earlier proposals of this space in their order, each with its size in bytes and its metric; None
        where it has no result.
      count: how many proposals.
      lower_is_better: whether the metric is better where it is lower.

    Returns:
      `count` proposals, or fewer where little is left that was not tried; none twice.

    Raises:
      SearchError: where Optuna is not installed.
    """
    with _quiet_optuna() as optuna:
        names = {name: _distribution(optuna, one) for name, one in space.items()}
        study = optuna.create_study(
            directions=["minimize", "minimize" if lower_is_better else "maximize"],
            sampler=optuna.samplers.TPESampler(seed=len(tried)),
        )
        states = optuna.trial.TrialState
        for proposal, values in tried:
            study.add_trial(
                optuna.trial.create_trial(
                    state=states.FAIL if values is None else states.COMPLETE,
                    values=None if values is None else [math.log(values[0]), values[1]],
                    params={name: _suggested(one, proposal[name]) for name, one in space.items()},
                    distributions=names,
                )
            )
        known = [dict(proposal) for proposal, _ in tried]
        for _ in range(ASKED):
            if len(known) == len(tried) + count:
                break
            suggested = study.ask(names).params
            proposal = {name: one.value(suggested[name]) for name, one in space.items()}
            if proposal not in known:
                known.append(proposal)
    return known[len(tried) :]


def _distribution(optuna: Any, one: Range | Choices) -> Any:
    kinds = optuna.distributions
    if isinstance(one, Choices):
        return kinds.CategoricalDistribution(range(len(one.values)))  # any value that gin knows can be one
    return (kinds.IntDistribution if one.whole else kinds.FloatDistribution)(one.low, one.high, log=one.log)


def _suggested(one: Range | Choices, value: Any) -> Any:
    return one.values.index(value) if isinstance(one, Choices) else value


@contextlib.contextmanager
def _quiet_optuna() -> Iterator[Any]:
    """Gives Optuna, which says nothing meanwhile."""
    try:
        import optuna
    except ImportError as error:
        raise SearchError(
            f"sweep.search needs Optuna ({error}): pip install 'lambdapress[search]'."
        ) from None
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)
