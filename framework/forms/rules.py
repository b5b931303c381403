"""Assigns algorithms to weights by an ordered list of rules; the first match wins."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from ..algorithm import Algorithm, WeightSpec
from ..errors import LambdapressError
from ..messages import near_misses
from ..surgery.weights import Weight

Rule = tuple[str, Algorithm | None]
Rules = Algorithm | Sequence[Rule]
_IN_FULL = ("gain", "offset")  # roles of weights that stay in full unless a rule means them


class RuleError(LambdapressError, ValueError):
    """A rule is invalid or takes no weight, or a model has no weight to compress; the message says which."""


def assign(rules: Rules, weights: Sequence[Weight]) -> dict[str, Algorithm]:
    """Returns the algorithm of each weight that the rules compress, by path.

    Args:
      rules: an ordered sequence of `(pattern, algorithm or None)`. The first pair whose regular expression
        is found anywhere in the path (`re.search`) decides; None keeps the weight in full. An algorithm
        instead of a sequence takes every kernel, embedding and bias, and leaves the gains and offsets of
        normalisations in full. So does a pattern that matches any path, such as `.*`: a gain or an offset is
        compressed only by a pattern that says something about its path, such as `gamma`.
      weights: of the model. Candidates are floating-point weights that layers train and hold as attributes;
        statistics and counters stay in full under any rules.

    Raises:
      RuleError: for an invalid pattern, a rule that takes no weight, rules that choose none, or a model
        without candidates.
    """
    candidates = _candidates(weights)
    if not candidates:
        raise RuleError(
            "The model has nothing to compress: no layer of it has a trainable floating-point weight"
            + (f" (it has {len(weights)} other variables)." if weights else ". Was it built?")
        )
    if isinstance(rules, Algorithm):
        taken = {s.path: rules for s in candidates if s.role not in _IN_FULL}
        if not taken:
            raise RuleError(
                "The model has nothing to compress but normalisations' gains and offsets; name those that "
                f"you want in rules, such as [({candidates[0].path!r}, {rules!r})]."
            )
        return taken
    if isinstance(rules, str):
        raise RuleError(
            f"An algorithm is an object, got the name {rules!r}; algorithms.build({rules!r}) makes it."
        )
    if isinstance(rules, type):
        raise RuleError(
            f"An algorithm is an object, got the class {rules.__name__}; {rules.__name__}() makes one."
        )
    rules = [_checked(rule) for rule in rules]
    taken = taken_by([pattern for pattern, _ in rules], weights)
    for (pattern, _), paths in zip(rules, taken, strict=True):
        if not paths:
            raise RuleError(_unused(pattern, candidates))
    assigned = {
        path: algorithm
        for (_, algorithm), paths in zip(rules, taken, strict=True)
        for path in paths
        if algorithm is not None
    }
    if not assigned:
        raise RuleError(f"The rules {rules!r} choose no weight; give at least one an algorithm.")
    _warn_of_names([pattern for pattern, _ in rules], weights)
    return assigned


def taken_by(patterns: Sequence[str], weights: Sequence[Weight]) -> list[list[str]]:
    """Returns for each pattern of an ordered list the paths of the weights that it decides on.

    Args:
      patterns: regular expressions, in the order of their rules.
      weights: of the model.
    """
    taken: list[list[str]] = [[] for _ in patterns]
    for spec in _candidates(weights):
        first = next((i for i, pattern in enumerate(patterns) if _takes(pattern, spec)), None)
        if first is not None:
            taken[first].append(spec.path)
    return taken


def _candidates(weights: Sequence[Weight]) -> list[WeightSpec]:
    """Lists the weights that can be compressed: floats that a layer trains and holds as attributes."""
    return [w.spec for w in weights if w.trained and w.places and "float" in w.spec.dtype]


def _warn_of_names(patterns: Sequence[str], weights: Sequence[Weight]) -> None:
    """Warns of a pattern that takes another layer than the one that Keras gives this name at present."""
    layers = {w.spec.path: w.places[0].layer.name for w in weights if w.places}
    for pattern in patterns:
        by_path = {path for path in layers if re.search(pattern, path)}
        names = {path: f"{layer}/{path.rpartition('/')[2]}" for path, layer in layers.items()}
        by_name = {path for path in layers if re.search(pattern, names[path])}
        if by_path - by_name and by_name - by_path:
            taken, other = min(by_path - by_name), min(by_name - by_path)
            warnings.warn(
                f"The rule {pattern!r} takes {taken}, of the layer that Keras calls {layers[taken]!r} at "
                f"present; {other} is of the one that it calls {layers[other]!r}. Keras counts made-up names "
                "on through a process, and paths count them within a model; load_keras keeps a file's.",
                stacklevel=4,
            )


def _takes(pattern: str, spec: WeightSpec) -> bool:
    """Tells whether a pattern takes a weight; one that matches the empty path says nothing of any path."""
    return bool(re.search(pattern, spec.path)) and (spec.role not in _IN_FULL or not re.search(pattern, ""))


def _checked(rule: Rule) -> Rule:
    if not (isinstance(rule, (tuple, list)) and len(rule) == 2 and isinstance(rule[0], str)):
        raise RuleError(f"A rule is a pair (pattern, algorithm or None), got {rule!r}.")
    pattern, algorithm = rule
    if algorithm is not None and not isinstance(algorithm, Algorithm):
        raise RuleError(f"The rule for {pattern!r} needs an algorithm or None, got {algorithm!r}.")
    try:
        re.compile(pattern)
    except re.error as error:
        raise RuleError(f"The rule {pattern!r} is not a regular expression: {error}.") from error
    return pattern, algorithm


def _unused(pattern: str, candidates: Sequence[WeightSpec]) -> str:
    paths = [spec.path for spec in candidates]
    if any(_takes(pattern, spec) for spec in candidates):
        return f"The rule {pattern!r} takes no weight: rules before it match all that it matches."
    if re.search(pattern, ""):
        return f"The rule {pattern!r} takes no weight: what is left are gains and offsets, to be named."
    near = near_misses(pattern, paths) or paths[:3]
    listed = ", ".join(map(repr, near))
    return (
        f"The rule {pattern!r} matches no weight of the model. Near misses: {listed} ({len(paths)} in all)."
    )
