"""Tests the axis of a metric: better is up, everything is in view, ticks are labelled with the metric."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lambdapress.sweeps.report.metric_axis import MetricAxis

FRACTIONS = [
    ([0.9, 0.98, 0.1], "higher", "%"),
    ([0.989, 0.986, 0.1], "higher", "%"),
    ([0.0, 0.5], "higher", "%"),
    ([1.0, 0.98, 0.5], "higher", "%"),
    ([1.0, 0.999999, 0.0], "higher", "%"),
    ([0.9801, 0.98, 0.9799], "higher", "%"),
    ([0.02, 0.3, 0.0211], "lower", "%"),
]
LOWER = [
    ([203.0, 250.0, 1e4], "lower", ""),
    ([0.31, 0.29, 2.3], "lower", "nat"),
    ([0.0, 3.0, 9.0], "lower", ""),
    ([-3.0, 1.0, 0.5], "lower", ""),
    ([-30.0, -10.0], "lower", "dB"),
]
HIGHER = [
    ([25.3, 30.0, 33.1], "higher", "dB"),
    ([-2.0, 3.0, 0.5], "higher", ""),
    ([-5.0, -3.0], "higher", ""),
    ([1.23e-5, 1.5e-5], "higher", ""),
    ([-1e6, 2e7], "higher", ""),
]
ALL = [*FRACTIONS, *LOWER, *HIGHER]
NOTHING = np.zeros(0)


def axis_of(metrics, direction, unit, reach=NOTHING):
    """Returns an axis and its ends, the best first."""
    metrics = np.array(metrics, np.float64)
    axis = MetricAxis.of(metrics, direction, unit)
    return axis, *axis.view(metrics, np.array(reach, np.float64))


def drawn(metrics, direction, unit):
    """Draws an axis as the plot does; returns the axis and its labels by place."""
    axis, best, worst = axis_of(metrics, direction, unit)
    figure = Figure(figsize=(5, 4))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlim(0, 1)
    axes.set_yscale("log" if axis.log else "linear")
    axes.set_ylim(worst, best)
    axis.set_ticks(axes.yaxis, best, worst)
    canvas.draw()
    texts = [text.get_text() for text in axes.get_yticklabels()]
    return axis, axes, dict(zip(axes.get_yticks(), texts, strict=True))


def heights(axes, places):
    """Returns where places are, from 0 at the bottom of the axes to 1 at the top."""
    points = axes.transData.transform([(0.5, place) for place in places])
    return axes.transAxes.inverted().transform(points)[:, 1]


@pytest.mark.parametrize("metrics, direction, unit", ALL)
def test_better_metrics_stand_higher(metrics, direction, unit):
    axis, axes, _ = drawn(metrics, direction, unit)
    from_worst_to_best = sorted(metrics, reverse=direction == "lower")
    found = heights(axes, axis.place(from_worst_to_best))
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("metrics, direction, unit", ALL)
def test_better_metrics_are_closer_to_the_first_end_of_the_view(metrics, direction, unit):
    axis, best, worst = axis_of(metrics, direction, unit)
    good = max(metrics) if direction == "higher" else min(metrics)
    bad = min(metrics) if direction == "higher" else max(metrics)
    assert best < axis.place(good) < axis.place(bad) < worst


@pytest.mark.parametrize(
    "metrics, direction, unit",
    [
        *ALL,
        ([1.0], "higher", "%"),
        ([0.0], "higher", "%"),
        ([0.5, 0.5], "higher", "%"),
        ([0.0], "lower", ""),
        ([7.0], "lower", ""),
        ([25.3], "higher", "dB"),
        ([-25.3, -25.3], "higher", ""),
    ],
)
@pytest.mark.parametrize("beyond", [None, 0.01, 0.5, 1000.0])
def test_all_metrics_are_in_view_whatever_the_intervals(metrics, direction, unit, beyond):
    reach = NOTHING if beyond is None else [min(metrics) - beyond, max(metrics) + beyond]
    axis, best, worst = axis_of(metrics, direction, unit, reach)
    places = axis.place(metrics)
    assert np.isfinite([best, worst]).all() and best < worst
    assert (places > best).all() and (places < worst).all()
    if axis.log:
        assert best > 0


def test_an_interval_widens_the_view_but_not_beyond_a_limit():
    metrics = [0.98, 0.95]
    _, best, worst = axis_of(metrics, "higher", "%")
    _, wider_best, wider_worst = axis_of(metrics, "higher", "%", [0.982, 0.948])
    assert wider_best < best < worst < wider_worst and wider_best < 0.018 and wider_worst > 0.052
    _, widest_best, widest_worst = axis_of(metrics, "higher", "%", [0.999999, 0.0])
    assert widest_best > 0.5 * best and widest_worst < 2 * worst


@pytest.mark.parametrize("metrics, direction, unit", ALL)
def test_labels_are_the_metrics_of_their_places(metrics, direction, unit):
    axis, axes, labels = drawn(metrics, direction, unit)
    factor = 100 if unit == "%" else 1
    assert 2 <= len(labels) <= 12 and len(set(labels.values())) == len(labels)
    for place, text in labels.items():
        assert axis.place(float(text) / factor) == pytest.approx(place, rel=1e-4, abs=1e-6 * np.ptp(metrics))
    tops = heights(axes, list(labels))
    assert (tops >= -1e-6).all() and (tops <= 1 + 1e-6).all()
    numbers = [float(text) for text in labels.values()]
    order = np.argsort(tops)
    assert sorted(numbers, reverse=direction == "lower") == [numbers[i] for i in order]


@pytest.mark.parametrize("metrics, direction, unit", [FRACTIONS[2], *LOWER[2:4], HIGHER[1], HIGHER[4]])
def test_zero_is_labelled_0_without_a_sign(metrics, direction, unit):
    labels = drawn(metrics, direction, unit)[2].values()
    assert "0" in labels and "-0" not in labels


@pytest.mark.parametrize(
    "metrics, direction, unit",
    [([0.5], "higher", "%"), ([7.0], "lower", ""), ([25.3], "higher", "dB"), ([-25.3], "lower", "dB")],
)
def test_labels_around_a_single_metric_differ(metrics, direction, unit):
    labels = drawn(metrics, direction, unit)[2]
    assert labels and len(set(labels.values())) == len(labels)


def test_equal_factors_of_error_are_equal_steps():
    axis, axes, _ = drawn([0.99, 0.98, 0.96, 0.92, 0.2], "higher", "%")
    steps = np.diff(heights(axes, axis.place([0.92, 0.96, 0.98, 0.99])))
    assert steps == pytest.approx([steps[0]] * 3) and steps[0] > 0.1
    axis, axes, _ = drawn([5.0, 10.0, 20.0, 1000.0], "lower", "")
    steps = np.diff(heights(axes, axis.place([20.0, 10.0, 5.0])))
    assert steps == pytest.approx([steps[0]] * 2)


@pytest.mark.parametrize("metrics, direction, unit", [HIGHER[0], HIGHER[1], LOWER[3]])
def test_numbers_without_a_best_are_equally_spaced(metrics, direction, unit):
    axis, axes, _ = drawn(metrics, direction, unit)
    low, high = min(metrics), max(metrics)
    steps = np.diff(heights(axes, axis.place(np.linspace(low, high, 5))))
    assert steps == pytest.approx([steps[0]] * 4) and abs(steps.sum()) > 0.8


@pytest.mark.parametrize("others", [[0.98, 0.5], [0.98], [0.9999], [], [0.0]])
def test_a_perfect_fraction_is_in_view_above_the_others_and_labelled_100(others):
    axis, axes, labels = drawn([1.0, *others], "higher", "%")
    (place,) = [place for place, text in labels.items() if text == "100"]
    assert place == axis.place(1.0) and all(place < axis.place(other) for other in others)
    assert 0 < heights(axes, [place])[0] < 1


def test_a_perfect_loss_is_in_view_and_labelled_0():
    axis, axes, labels = drawn([0.0, 3.0, 9.0], "lower", "")
    (place,) = [place for place, text in labels.items() if text == "0"]
    assert place == axis.place(0.0) < axis.place(3.0) and 0 < heights(axes, [place])[0] < 1


def test_only_a_perfect_fraction_is_labelled_100():
    assert "100" not in drawn([0.9, 0.98, 0.1], "higher", "%")[2].values()


@pytest.mark.parametrize(
    "metrics, direction, unit, words",
    [
        (*FRACTIONS[0], ["accuracy (%)", "error"]),
        (*LOWER[0], ["accuracy", "lower is better"]),
        (*LOWER[3], ["accuracy", "lower is better"]),
        (*HIGHER[0], ["accuracy (dB)", "higher is better"]),
    ],
)
def test_the_label_says_the_unit_and_what_is_better(metrics, direction, unit, words):
    label = axis_of(metrics, direction, unit)[0].label("accuracy")
    assert all(word in label for word in words)
