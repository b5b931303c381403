"""Tests the way from a sweep to trials: each trial's config is checked before anything trains."""

from __future__ import annotations

import gin
import numpy as np
import pytest

from lambdapress.sweeps.gin.bindings import ConfigError
from lambdapress.sweeps.gin.files import packaged
from lambdapress.sweeps.gin.isolation import isolated
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.plan import Plan, plan

SMALL = "sweep.tasks = ['digits']\nsweep.algorithms = ['none', 'power_law']\nsweep.lmbdas = [1, 2]\n"


@pytest.fixture
def sweep_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.gin"
        path.write_text(SMALL + text)
        return path

    return write


def identities(made: Plan) -> dict[str, str]:
    return {str(trial): trial.identity for trial in made.trials}


@pytest.mark.parametrize("name", sorted(packaged("sweeps")))
def test_the_packages_sweeps_can_be_planned(name):
    made = plan(name)
    assert made.name == name
    assert len({trial.identity for trial in made.trials}) == len(made.trials) > 1
    assert any(trial.algorithm == "none" for trial in made.trials)


def test_the_demo_has_five_lmbdas_and_three_seeds():
    for algorithm in ("power_law", "epr"):
        trials = [trial for trial in plan("digits").trials if trial.algorithm == algorithm]
        assert len({trial.lmbda for trial in trials}) >= 5
        assert len({trial.seed for trial in trials}) == 3


def test_the_notebooks_experiment():
    trials = [trial for trial in plan("mnist_notebook").trials if trial.algorithm == "power_law"]
    assert [trial.lmbda for trial in trials] == [2, 5, 10, 20, 50]
    assert all(trial.task == "mnist_classifier" and trial.seed == 0 for trial in trials)
    assert all("mnist_classifier.epochs = 5\n" in trial.config for trial in trials)


def test_planning_twice_gives_the_same_trials(sweep_file):
    assert plan(sweep_file("")) == plan(sweep_file("# a comment, and a blank line\n\n"))


def test_later_wins(sweep_file):
    from_file = plan("digits").trials[0].config
    assert "digits.epochs = " in from_file  # the task's own gin file
    path = sweep_file("digits.epochs = 7\n")
    assert "digits.epochs = 7\n" in plan(path).trials[0].config
    path = sweep_file("digits.epochs = 7\nsweep.grid = {'digits.epochs': [8]}\n")
    assert "digits.epochs = 8\n" in plan(path).trials[0].config
    made = plan(path, ["digits.epochs = 9"]).trials[0]
    assert "digits.epochs = 9\n" in made.config and made.overrides == {"digits.epochs": 9}


def test_overrides_reach_the_sweep_itself(sweep_file):
    made = plan(sweep_file(""), ["sweep.seeds = [5]", "sweep.algorithms = ['none']"])
    assert [(trial.algorithm, trial.seed) for trial in made.trials] == [("none", 5)]


def test_no_trial_knows_of_the_sweep(sweep_file):
    assert not any("sweep." in trial.config for trial in plan(sweep_file("")).trials)


def test_changing_one_algorithm_leaves_the_trials_of_the_others(sweep_file):
    before, after = identities(plan(sweep_file(""))), identities(plan(sweep_file("power_law.alpha = 0.5\n")))
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if "power_law" in name}


def test_changing_another_task_changes_nothing(sweep_file):
    before = identities(plan(sweep_file("")))
    assert identities(plan(sweep_file("lenet5_caffe.epochs = 1\n"))) == before
    assert set(identities(plan(sweep_file("digits.epochs = 1\n"))).values()).isdisjoint(before.values())


def test_a_grid_over_one_algorithm_runs_the_others_once(sweep_file):
    trials = plan(sweep_file("sweep.grid = {'power_law.alpha': [0.1, 0.2]}\n")).trials
    assert [trial.algorithm for trial in trials].count("none") == 1
    assert [trial.algorithm for trial in trials].count("power_law") == 4
    assert all(set(t.overrides) == {"power_law.alpha"} for t in trials if t.algorithm == "power_law")
    assert all(t.overrides == {} for t in trials if t.algorithm == "none")


def test_a_rule_brings_its_algorithms_bindings_along(sweep_file):
    rules = "trial.rules = [('conv', 'power_law'), ('.*', '*')]\n"
    before = identities(plan(sweep_file(rules)))
    after = identities(plan(sweep_file(rules + "power_law.alpha = 0.5\n")))
    assert set(before.values()).isdisjoint(after.values())


def test_values_from_python_are_plain_in_the_config():
    sweep = Sweep(["digits"], ["none"], grid={"digits.learning_rate": list(np.array([0.5, 0.25]))})
    trials = plan(sweep).trials
    assert "digits.learning_rate = 0.5\n" in trials[0].config
    assert trials[1].overrides == {"digits.learning_rate": 0.25}
    assert all(type(trial.overrides["digits.learning_rate"]) is float for trial in trials)


@pytest.mark.parametrize(
    "text, message",
    [
        ("sweep.tasks = ['digit']", r"sweep\.tasks: Unknown task 'digit' \(did you mean 'digits'\?"),
        (
            "sweep.algorithms = ['power_low']",
            r"sweep\.algorithms: Unknown algorithm 'power_low'",
        ),
        ("sweep.algorithms = 'none'", r"mine\.gin: .*give a list"),
        ("sweep.seed = [0]", r"mine\.gin:4: 'sweep' has no parameter 'seed' \(did you mean 'seeds'"),
        ("sweep.seeds = [0, 'a']", r"mine\.gin:4: sweep\.seeds = \[0, 'a'\] has the wrong type"),
        ("sweep.lmbdas = ['1']", r"mine\.gin:4: sweep\.lmbdas.*wrong type"),
        ("sweep.lmbdas = []", "no λ for 'power_law'"),
        ("sweep.lmbdas = {'power_low': [1]}", r"sweep\.lmbdas: Unknown algorithm 'power_low' \(did you mean"),
        (
            "sweep.grid = {'digits.epoch': [1]}",
            r"sweep\.grid\['digits\.epoch'\]: 'digits' has no parameter",
        ),
        ("sweep.grid = {'digit.epochs': [1]}", r"sweep\.grid\['digit\.epochs'\]: nothing is called 'digit'"),
        ("sweep.grid = {'epochs': [1]}", r"sweep\.grid\['epochs'\]: name a parameter"),
        (
            "sweep.grid = {'digits.epochs': ['a']}",
            r"sweep\.grid\['digits\.epochs'\]: .* the wrong type",
        ),
        ("sweep.grid = {'digits.epochs': 3}", r"mine\.gin:4: sweep\.grid.*wrong type"),
        ("digits.epochs = 0", "task 'digits': digits.epochs must be"),
        ("power_law.alpha = 0.0", "algorithm 'power_law': alpha must"),
        ("trial.lmbda_warmup = 2.0", "trial: trial.lmbda_warmup"),
        (
            "trial.rules = [('conb', None), ('.*', '*')]",
            r"trial\.rules: The rule 'conb' matches no weight.*conv_1",
        ),
        ("trial.rules = [('.*', 'power_low')]", r"trial\.rules: Unknown algorithm 'power_low'"),
        ("trial.rules = [('.*', 'power_law')]", "never uses the trial's algorithm, 'none'"),
    ],
)
def test_what_is_refused_before_anything_trains(sweep_file, text, message):
    with pytest.raises(ConfigError, match=message):
        plan(sweep_file(text + "\n"))


def test_planning_leaves_the_callers_gin_config_alone(sweep_file):
    with isolated():
        gin.bind_parameter("digits.epochs", 77)
        before = gin.config_str()
        made = plan(sweep_file(""))
        assert gin.query_parameter("digits.epochs") == 77
        with pytest.raises(ConfigError):
            plan(sweep_file("digits.epochs = 0\n"))
        assert gin.config_str() == before
    assert "77" not in made.trials[0].config


@pytest.mark.parametrize(
    "grid, message",
    [
        (
            {"big/digits.epochs": [1, 3]},
            r"sweep.grid\['big/digits.epochs'\]: nothing in this sweep takes",
        ),
        ({"vgg16.epochs": [1, 2]}, r"sweep.grid\['vgg16.epochs'\]: nothing in this sweep takes vgg16.epochs"),
        (
            {"sweep.lmbdas": [[1.0], [2.0]]},
            "cannot change the sweep itself; list the values in sweep.lmbdas",
        ),
        ({"sweep.seeds": [[0], [1]]}, "a trial cannot change the sweep itself"),
    ],
)
def test_an_axis_without_effect_is_refused(grid, message):
    """A table would show a difference between trials that are the same."""
    with pytest.raises(ConfigError, match=message):
        plan(Sweep(["digits"], ["none", "epr"], [1.0], [0], grid))


def test_a_binding_without_effect_is_refused_unless_its_algorithm_was_left_out(sweep_file):
    for binding in ("vgg16.epochs = 3", "big/digits.epochs = 3"):
        with pytest.raises(ConfigError, match=f"--gin '{binding}': nothing in this sweep takes"):
            plan("digits", [binding])
    with pytest.raises(ConfigError, match="mine.gin:4: nothing in this sweep takes big/digits.epochs"):
        plan(sweep_file("big/digits.epochs = 3\n"))
    left_out = sweep_file("power_law.log_step = 0.0\n")
    assert len(plan(left_out, ["sweep.algorithms = ['none']"]).trials) == 1


def test_a_macro_of_the_sweep_is_no_part_of_its_trials(tmp_path):
    text = "sweep.tasks = ['digits']\nsweep.algorithms = ['epr']\nsweep.lmbdas = %L\nsweep.seeds = [0]\n"
    few, more, used = (tmp_path / name for name in ("few.gin", "more.gin", "used.gin"))
    few.write_text("L = [0.1, 1]\n" + text)
    more.write_text("L = [0.1, 1, 2]\n" + text)
    used.write_text("L = [0.1, 1]\nN = %M\nM = 7\ndigits.epochs = %N\n" + text)
    assert set(identities(plan(few)).items()) < set(identities(plan(more)).items())
    (trial, _) = plan(used).trials
    assert "M = 7" in trial.config and "L = " not in trial.config
