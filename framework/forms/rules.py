"""Assigns algorithms to weights by an ordered list of rules; the first match wins."""

from __future__ import annotations

import re
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
    candidates = [w.spec for w in weights if w.trained and w.places and w.spec.dtype.find("float") >= 0]
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
    assigned: dict[str, Algorithm] = {}
    used = [False] * len(rules)
    for spec in candidates:
        for index, (pattern, algorithm) in enumerate(rules):
            if _takes(pattern, spec):
                used[index] = True
                if algorithm is not None:
                    assigned[spec.path] = algorithm
                break
    for (pattern, _), was_used in zip(rules, used, strict=True):
        if not was_used:
            raise RuleError(_unused(pattern, candidates))
    if not assigned:
        raise RuleError(f"The rules {rules!r} choose no weight; give at least one an algorithm.")
    return assigned


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
