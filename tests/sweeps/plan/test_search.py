"""Tests what a search proposes, as far as it needs no training."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from lambdapress.sweeps.gin.bindings import ConfigError
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import plan
from lambdapress.sweeps.plan.search import BATCH, LMBDA, lmbda_range, propose, space_of
from lambdapress.sweeps.statistics.pareto import hypervolume, pareto_mask

RATE = {"low": 1e-4, "high": 1e-1, "log": True}
SEARCH = {
    "digits.learning_rate": RATE,
    "digits.batch_size": [32, 64],
    "epr.log_step": {"low": -6, "high": -2},
}


def sweep(**more) -> Sweep:
    arguments = {"algorithms": ["none", "epr", "power_law"], "lmbdas": [0.1, 3.0], "search": SEARCH, **more}
    return Sweep(["digits"], **arguments)


@pytest.mark.parametrize(
    "search, message",
    [
        ({}, "sweep.search is empty"),
        ({"digits.epochs": 3}, r"sweep.search\['digits.epochs'\] is 3; give a list"),
        ({"digits.epochs": "many"}, "is 'many'; give a list"),
        ({"digits.epochs": []}, "give a list"),
        ({"digits.epochs": [1, 1]}, "give each value once"),
        ({"digits.epochs": {"low": 3}}, "give 'low' and 'high'"),
        ({"digits.epochs": {"low": 3, "high": 2}}, "'low' is a number below 'high'"),
        ({"digits.epochs": {"low": 1, "high": math.inf}}, "'low' is a number below 'high'"),
        ({"digits.epochs": {"low": 0, "high": 2, "log": True}}, "'low' then above 0"),
        ({"digits.epochs": {"low": 1, "high": 2, "step": 1}}, "give 'low' and 'high'"),
    ],
)
def test_mistakes_in_a_space_are_named(search, message):
    with pytest.raises(ValueError, match=message):
        sweep(search=search)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"search": {"digits.learning_rat": RATE}}, "learning_rat"),
        ({"search": {"digits.learning_rate": [0.1, "fast"]}}, "fast"),
        ({"search": {"digits.learning_rate": {"low": -1.0, "high": 0.1}}}, "learning_rate"),
        ({"search": {"markov_text.epochs": [1, 2]}}, "nothing in this sweep takes markov_text.epochs"),
        ({"search": {"sweep.refine": [1, 2]}}, "cannot change the sweep itself"),
        ({"lmbdas": [0]}, "give some above 0"),
    ],
)
def test_a_mistake_shows_before_anything_is_trained(more, message):
    """Also one at an end of a range: the middle of the last one is a learning rate like any other."""
    with pytest.raises(ConfigError, match=message):
        plan(sweep(**more))


@pytest.mark.parametrize("trials", [0, 1.5, True, 10**6])
def test_the_number_of_settings_is_checked(trials):
    with pytest.raises(ValueError, match="sweep.search_trials is"):
        sweep(search_trials=trials)


def test_settings_have_no_smaller_lmbda_to_start_from():
    with pytest.raises(ValueError, match="set sweep.start to 'baseline' or 'scratch'"):
        sweep(start="previous")


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"needs Optuna .*pip install 'lambdapress\[search\]'"):
        plan(sweep())
    assert len(plan(sweep(search=None)).trials) == 5


def test_each_curve_is_searched_in_what_it_takes():
    """`epr.log_step` means nothing to `power_law`, and the baseline is searched in nothing."""
    planned = plan(sweep())
    spaces = {curve.point.algorithm: set(curve.space) for curve in planned.curves}
    both = {"digits.learning_rate", "digits.batch_size", LMBDA}
    assert spaces == {"none": set(), "epr": both | {"epr.log_step"}, "power_law": both}
    added = [trial for trial in planned.trials if "sweep.search" in trial.overrides]
    assert len(added) == 2 * BATCH
    assert [trial for trial in planned.trials if trial not in added] == list(plan(sweep(search=None)).trials)
    for trial in added:
        found = trial.overrides["sweep.search"]
        assert set(found) == spaces[trial.algorithm] - {LMBDA}
        assert 1e-4 <= found["digits.learning_rate"] <= 0.1 and found["digits.batch_size"] in (32, 64)
        assert 0.1 <= trial.lmbda <= 3.0
        assert f"digits.learning_rate = {found['digits.learning_rate']!r}" in trial.config


def test_settings_start_from_the_sweep_s_own_baseline():
    planned = plan(sweep(start="baseline", start_epochs=2, seeds=[0, 1]))
    own = plan(sweep(start="baseline", start_epochs=2, seeds=[0, 1], search=None))
    baselines = {trial.seed: trial for trial in own.trials if trial.algorithm == "none"}
    added = [trial for trial in planned.trials if "sweep.search" in trial.overrides]
    assert len(added) == 4 * BATCH
    for trial in added:
        assert trial.parent == baselines[trial.seed] and trial.overrides["digits.epochs"] == 2


def test_a_binding_of_the_command_line_is_for_the_sweep_s_own_trials():
    planned = plan(sweep(), ["digits.learning_rate = 0.05"])
    for trial in planned.trials:
        assert ("digits.learning_rate = 0.05\n" in trial.config) != ("sweep.search" in trial.overrides)


def trade_off(proposal) -> tuple[float, float]:
    """Returns bytes and accuracy of a made-up network that is best at a rate of 0.01."""
    loss = 0.02 * proposal[LMBDA] ** 0.5 + 0.05 * abs(math.log10(proposal["digits.learning_rate"]) + 2)
    return 5_000 * proposal[LMBDA] ** -0.5, 1 - loss


def searched(space, count, start=()):
    tried = list(start)
    while len(tried) < count:
        tried += [(proposal, trade_off(proposal)) for proposal in propose(space, tried, BATCH)]
    return tried


def test_equal_results_give_equal_proposals_and_no_setting_is_tried_twice():
    space = {"digits.learning_rate": space_of({"x": RATE})["x"], LMBDA: lmbda_range([0.1, 3])}
    whole = searched(space, 24)
    assert searched(space, 24, whole[:12]) == whole
    proposals = [tuple(proposal.values()) for proposal, _ in whole]
    assert len(set(proposals)) == 24
    for value in (value for proposal in proposals for value in proposal):
        assert float(f"{value:.3g}") == value


def test_results_lead_it():
    """After 60 settings the front encloses more than that of as many that know of no result."""
    space = {"digits.learning_rate": space_of({"x": RATE})["x"], LMBDA: lmbda_range([0.1, 3])}

    def area(tried):
        sizes, metrics = np.array([values for _, values in tried]).T
        best = pareto_mask(sizes, metrics)
        return hypervolume(sizes[best], metrics[best], 20_000, 0.8)

    def blind(first):
        tried = []
        while len(tried) < 60:
            unknown = [(proposal, None) for proposal, _ in tried]
            tried += [(p, trade_off(p)) for p in propose(space, [*first, *unknown], BATCH)]
        return tried

    failed = [({"digits.learning_rate": 0.1, LMBDA: 1.0}, None)]
    without = [area(blind(failed * n)) for n in range(5)]
    assert area(searched(space, 60)) > np.median(without)


def test_a_small_space_ends():
    space = space_of({"digits.batch_size": [32, 64], "digits.epochs": {"low": 1, "high": 3}})
    proposals = propose(space, [], 100)
    assert len(proposals) <= 6 and all(isinstance(one["digits.epochs"], int) for one in proposals)
    tried = [({"digits.batch_size": b, "digits.epochs": e}, (1.0, 1.0)) for b in (32, 64) for e in (1, 2, 3)]
    assert propose(space, tried, 4) == []


def test_a_setting_that_failed_is_not_proposed_again():
    space = space_of({"digits.batch_size": [32, 64, 128]})
    tried = [({"digits.batch_size": 64}, None)]
    proposed = {one["digits.batch_size"] for one in propose(space, tried, 3)}
    assert 64 not in proposed and proposed
