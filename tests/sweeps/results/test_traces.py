"""Tests when a trial counts as beaten, and the file that says what trials had after each epoch."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapress.sweeps.plan.definition import Sweep
from lambdapress.sweeps.results.schema import ResultError
from lambdapress.sweeps.results.traces import Stop, Trace, beaten_at, read_trace

OF = {"task": "digits", "seed": 0}
ALWAYS = Stop(after=0.0, bytes=0.0, metric=0.0)
numbers = st.floats(0.01, 1e6)


def trace(*points, epochs=None, lower=False, constant=0.1, of=OF):
    """A trace with a point after each epoch, from the first one on."""
    known = dict(enumerate(points, 1))
    return Trace(of, lower, constant, epochs or len(points) + 1, known)


@given(numbers, numbers, numbers, numbers, st.booleans(), st.sampled_from([ALWAYS, Stop()]))
def test_nothing_is_beaten_by_metric_alone_nor_by_size_alone(
    size, metric, other_size, other_metric, lower, stop
):
    """So a trial of a larger λ, of fewer bytes and a worse metric, is not stopped by one of a smaller λ."""
    stop = dataclasses.replace(stop, after=0.0)
    own, other = trace((size, metric), lower=lower), trace((other_size, other_metric), lower=lower)
    better = other_metric < metric if lower else other_metric > metric
    if other_size >= size or not better:
        assert beaten_at(own, 1, other, stop) is None
    elif stop.bytes == 0:
        assert beaten_at(own, 1, other, stop) == 1
    assert beaten_at(own, 1, own, stop) is None


@pytest.mark.parametrize(
    "size, metric, lower, constant, beaten",
    [
        (899, 0.9, False, 0.1, True),
        (901, 0.9, False, 0.1, False),  # not a tenth smaller than 1000
        (
            500,
            0.52,
            False,
            0.1,
            False,
        ),  # 0.02 better; of its 0.42 over a constant answer a twentieth is 0.021
        (500, 0.53, False, 0.1, True),
        (500, 0.52, False, None, False),  # of 0.52, 0.026
        (500, 0.53, False, None, True),
        (500, 0.41, True, 2.3, False),  # of the 1.89 nats that it has gained, 0.0945
        (500, 0.40, True, 2.3, True),
        (500, 0.48, True, None, False),
        (500, 0.47, True, None, True),
    ],
)
def test_margins(size, metric, lower, constant, beaten):
    own = trace((1000, 0.5), lower=lower, constant=constant)
    other = trace((size, metric), lower=lower, constant=constant)
    assert (beaten_at(own, 1, other, Stop(0.0, 0.1, 0.05)) == 1) == beaten


def test_both_have_trained_the_same_share():
    """Of 8 epochs, 5 are a share of 0.625: a finished trial of 4 has ended 2 by then, one of 16 has 10."""
    own = Trace(OF, False, 0.1, 8, {5: (1000, 0.5)})
    short = Trace(OF, False, 0.1, 4, {1: (1, 0.1), 2: (1, 0.9), 3: (1, 0.1)})
    long = Trace(OF, False, 0.1, 16, {n: (1, 0.9 if n == 10 else 0.1) for n in range(1, 16)})
    assert beaten_at(own, 5, short, ALWAYS) == 2
    assert beaten_at(own, 5, long, ALWAYS) == 10
    assert beaten_at(own, 5, Trace(OF, False, 0.1, 1, {}), ALWAYS) is None, (
        "nothing is known of its first half"
    )
    gap = dataclasses.replace(long, points={9: (1, 0.9), 11: (1, 0.9)})
    assert beaten_at(own, 5, gap, ALWAYS) is None


@pytest.mark.parametrize("after, beaten", [(0.5, True), (0.51, False)])
def test_nothing_stops_before_a_share(after, beaten):
    own, other = Trace(OF, False, 0.1, 8, {4: (1000, 0.5)}), Trace(OF, False, 0.1, 8, {4: (1, 0.9)})
    assert (beaten_at(own, 4, other, dataclasses.replace(ALWAYS, after=after)) == 4) == beaten


def test_other_tasks_seeds_and_beginnings_are_not_compared():
    own = trace((1000, 0.5))
    for other in ({"task": "mnist", "seed": 0}, {"task": "digits", "seed": 1}, {**OF, "from_file": True}):
        assert beaten_at(own, 1, trace((1, 0.9), of=other), ALWAYS) is None


def test_a_trace_is_read_as_it_was_written(tmp_path):
    assert read_trace(tmp_path) is None
    written = trace((1000.5, 0.5), (900.25, 0.1 + 0.2), constant=None)
    written.write(tmp_path)
    assert read_trace(tmp_path) == written


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[1, 2]]},
        {"points": {"a": [1, 2]}},
        {"points": {"1": [1]}},
        {"points": {"1": [1, "inf"]}},
        {"epochs": "8"},
        {"of": "digits"},
        {"more": 1},
    ],
)
def test_what_no_trial_wrote_is_an_error_that_names_the_file(tmp_path, change):
    trace((1000, 0.5)).write(tmp_path)
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ResultError, match="trace.json"):
        read_trace(tmp_path)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"stop": "late"}, "sweep.stop is 'late'; give 'dominated', or None"),
        ({"stop_settings": {"after": 0.5}}, "set sweep.stop, too"),
        ({"stop": "dominated", "stop_settings": {"size": 0.5}}, "'size'; it takes after, bytes, metric"),
        (
            {"stop": "dominated", "stop_settings": {"bytes": 1.0}},
            r"\['bytes'\] is 1.0; give a share in \[0, 1\)",
        ),
        ({"stop": "dominated", "stop_settings": {"after": True}}, r"\['after'\] is True"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Sweep(["digits"], ["epr"], [1.0], **settings)
