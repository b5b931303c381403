"""Tests properties of the Pareto front and the hypervolume against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapress.sweeps.statistics.pareto import hypervolume, pareto_mask

# Few distinct values, so that ties in one or both coordinates are common.
POINTS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 10.0, 30.0, 100.0, 1000.0, 5000.0]) | st.floats(1, 1e4),
        st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]) | st.floats(0, 1),
    ),
    max_size=12,
)
SOME_POINTS = POINTS.filter(bool)
REFERENCE = 1000.0


def split(points):
    return [size for size, _ in points], [metric for _, metric in points]


def area(points):
    return hypervolume(*split(points), reference_size=REFERENCE)


def dominates(a, b):
    return a[0] <= b[0] and a[1] >= b[1] and (a[0] < b[0] or a[1] > b[1])


@given(POINTS)
def test_mask_equals_the_definition_point_by_point(points):
    wanted = [not any(dominates(other, point) for other in points) for point in points]
    assert pareto_mask(*split(points)).tolist() == wanted


@given(SOME_POINTS)
def test_some_point_is_optimal_and_equal_points_are_alike(points):
    mask = pareto_mask(*split(points))
    assert mask.any()
    assert len({(point, optimal) for point, optimal in zip(points, mask, strict=True)}) == len(set(points))


@given(SOME_POINTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(points, random):
    order = list(range(len(points)))
    random.shuffle(order)
    shuffled = [points[i] for i in order]
    assert pareto_mask(*split(shuffled)).tolist() == pareto_mask(*split(points))[order].tolist()
    assert area(shuffled) == pytest.approx(area(points), abs=1e-12)


@given(POINTS)
def test_hypervolume_equals_the_cells_counted_one_by_one(points):
    inside = [(size, metric) for size, metric in points if size < REFERENCE]
    xs = sorted({size for size, _ in inside} | {REFERENCE})
    ys = sorted({metric for _, metric in inside} | {0.0})
    total = sum(
        (math.log10(right) - math.log10(left)) * (top - bottom)
        for left, right in itertools.pairwise(xs)
        for bottom, top in itertools.pairwise(ys)
        if any(size <= left and metric >= top for size, metric in inside)
    )
    assert area(points) == pytest.approx(total, abs=1e-9)


@given(SOME_POINTS, st.floats(1, 3), st.floats(0, 1), st.data())
def test_a_dominated_point_changes_nothing(points, larger, worse, data):
    size, metric = data.draw(st.sampled_from(points))
    dominated = (size * larger, metric * worse)
    more = [*points, dominated]
    assert area(more) == pytest.approx(area(points), abs=1e-12)
    if dominates((size, metric), dominated):
        assert pareto_mask(*split(more)).tolist() == [*pareto_mask(*split(points)).tolist(), False]


@given(POINTS, st.floats(1, 1e4), st.floats(0, 1))
def test_hypervolume_never_shrinks_and_grows_with_a_new_optimum_inside_the_reference(points, size, metric):
    before, after = area(points), area([*points, (size, metric)])
    assert after >= before - 1e-12
    if (
        1.01 * size < REFERENCE
        and metric > 0.01
        and not any(s <= 1.01 * size and m >= 0.99 * metric for s, m in points)
    ):
        assert after > before


@given(SOME_POINTS)
def test_the_optimal_points_alone_have_the_whole_hypervolume(points):
    front = [point for point, optimal in zip(points, pareto_mask(*split(points)), strict=True) if optimal]
    assert area(front) == pytest.approx(area(points), abs=1e-12)


def test_a_hundredth_of_the_size_is_two_decades():
    assert hypervolume([10.0], [0.98], reference_size=1000.0) == pytest.approx(1.96)


def test_nothing_has_no_optimum_and_no_area():
    assert pareto_mask([], []).tolist() == []
    assert hypervolume([], [], reference_size=10.0) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_unknown_values_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        pareto_mask([1.0, 2.0], [0.5, bad])
    with pytest.raises(ValueError, match="finite"):
        hypervolume([bad], [0.5], reference_size=10.0)
    with pytest.raises(ValueError, match="reference"):
        hypervolume([1.0], [0.5], reference_size=bad)


def test_shapes_and_sizes_are_checked():
    with pytest.raises(ValueError, match="one length"):
        pareto_mask([1.0, 2.0], [0.5])
    with pytest.raises(ValueError, match="positive"):
        hypervolume([0.0], [0.5], reference_size=10.0)
    assert pareto_mask(np.array([1, 2]), np.array([1, 2])).tolist() == [True, True]
