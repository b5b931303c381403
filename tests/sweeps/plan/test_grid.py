"""Tests the algebra of sweeps: the points that grids expand to, their order, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapress.sweeps.plan import grid
from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.plan.grid import Point

USES = {"none": False, "a": True, "b": True}
axes = st.dictionaries(
    st.text("xyz.", min_size=1), st.lists(st.integers(), min_size=1, max_size=3), max_size=3
)


@given(axes)
def test_a_product_has_every_choice_once(axes):
    settings = grid.product(axes)
    assert len(settings) == math.prod(map(len, axes.values()))
    assert all(list(setting) == list(axes) for setting in settings)
    assert all(value in axes[name] for setting in settings for name, value in setting.items())
    if all(len(set(values)) == len(values) for values in axes.values()):
        assert len({tuple(setting.items()) for setting in settings}) == len(settings)


@given(axes, axes)
def test_a_list_of_grids_is_their_union(one, other):
    assert grid.overrides([one, other]) == grid.product(one) + grid.product(other)


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_no_grid_is_one_empty_setting(nothing):
    assert grid.overrides(nothing) == [{}]


@pytest.mark.parametrize("axis", ["abc", 3, []])
def test_an_axis_without_a_list_is_refused(axis):
    with pytest.raises(ValueError, match=r"sweep.grid\['x.y'\].*list"):
        grid.overrides({"x.y": axis})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seeds": [True]}, "sweep.seeds has True; a seed is an integer"),
        ({"seeds": [np.True_]}, "sweep.seeds has .*True.*; a seed is an integer"),
        ({"seeds": [1.5]}, "sweep.seeds has 1.5; a seed is an integer"),
        ({"lmbdas": [0.1, True]}, "sweep.lmbdas has True; λ is a number"),
        ({"lmbdas": {"a": [np.False_]}}, r"sweep.lmbdas\['a'\] has .*False.*; λ is a number"),
        ({"lmbdas": ["1"]}, "sweep.lmbdas has '1'; λ is a number"),
    ],
)
def test_what_is_no_number_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        Sweep(**{"tasks": ["t"], "algorithms": ["a"], "lmbdas": [1], **change})


def test_numbers_of_numpy_are_numbers():
    sweep = Sweep(["t"], ["a"], [np.float32(0.5), np.int64(2)], [np.int64(3)])
    assert [(p.lmbda, p.seed) for p in grid.points(sweep, USES)] == [(0.5, 3), (2.0, 3)]


def test_every_combination_is_one_point():
    sweep = Sweep(["t", "u"], ["a", "b"], [1, 2, 3], [0, 1], grid={"t.x": [4, 5]})
    points = grid.points(sweep, USES)
    assert len(points) == 2 * 2 * 3 * 2 * 2
    assert len({(p.task, p.algorithm, p.lmbda, p.seed, tuple(p.overrides.items())) for p in points}) == len(
        points
    )


def test_seeds_are_outside_so_that_a_sweep_cut_short_has_whole_curves():
    points = grid.points(Sweep(["t"], ["a", "b"], [1, 2], [7, 8]), USES)
    assert [p.seed for p in points] == [7] * 4 + [8] * 4


def test_an_algorithm_without_lmbda_gets_one_point_a_seed():
    points = grid.points(Sweep(["t"], ["none", "a"], [1, 2], [0, 1]), USES)
    assert [p for p in points if p.algorithm == "none"] == [
        Point("t", "none", 0.0, 0),
        Point("t", "none", 0.0, 1),
    ]


def test_lmbdas_per_algorithm():
    sweep = Sweep(["t"], ["none", "a", "b"], {"a": [1], "b": [2, 3]})
    points = grid.points(sweep, USES)
    assert [(p.algorithm, p.lmbda) for p in points] == [("none", 0.0), ("a", 1.0), ("b", 2.0), ("b", 3.0)]
    assert all(type(p.lmbda) is float for p in points)


@pytest.mark.parametrize("lmbdas", [[], {"b": [1]}])
def test_an_algorithm_that_uses_lmbda_needs_one(lmbdas):
    algorithms = ["a", "b"] if lmbdas else ["a"]
    with pytest.raises(ValueError, match="no λ for 'a'"):
        grid.points(Sweep(["t"], algorithms, lmbdas), USES)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"lmbdas": [2.0**63]}, "at least 0 and below"),
        (dict(tasks=[]), "sweep.tasks is empty"),
        (dict(tasks="digits"), r"give a list, \['digits'\]"),
        (dict(algorithms=[]), "sweep.algorithms is empty"),
        (dict(seeds=[]), "sweep.seeds is empty"),
        (dict(seeds=[0, 0]), "sweep.seeds has 0 more than once"),
        (dict(seeds=[-1]), "sweep.seeds has -1"),
        (dict(lmbdas=[-1.0]), "sweep.lmbdas has -1.0"),
        (dict(lmbdas=[math.inf]), "at least 0 and below"),
        (dict(lmbdas=[math.nan]), "at least 0 and below"),
        (dict(lmbdas=[1, 1.0, 1]), "1 more than once"),
        (dict(lmbdas={"a": [-1]}), r"sweep.lmbdas\['a'\] has -1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sweep(**{"tasks": ["t"], "algorithms": ["a"], "lmbdas": [1], **arguments})
