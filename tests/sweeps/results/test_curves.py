"""Tests Bjøntegaard's deltas against a reference, and what is refused; intervals against theirs."""

from __future__ import annotations

import math
import warnings

import bjontegaard
import moocore
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.report.comparison_table import render
from lambdapress.sweeps.results.comparison import compare
from lambdapress.sweeps.results.frames import complete
from lambdapress.sweeps.results.schema import ResultError
from lambdapress.sweeps.statistics.curves import CurveError, bd_delta, envelope
from lambdapress.sweeps.statistics.intervals import bootstrap_half_width, half_width
from lambdapress.sweeps.statistics.pareto import hypervolume, pareto_mask


def monotone_curve(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    count = random.integers(4, 9)
    return np.sort(random.uniform(1e3, 1e5, count)), np.sort(random.uniform(0.9, 0.99, count))


@pytest.mark.parametrize("method", ["pchip", "akima"])
def test_deltas_are_those_of_the_reference_package(method):
    random, compared = np.random.default_rng(0), 0
    for _ in range(200):
        anchor, curve = monotone_curve(random), monotone_curve(random)
        try:
            delta = bd_delta(anchor, curve, method)
        except CurveError:
            continue
        options = {"method": method, "min_overlap": 0, "require_matching_points": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rate = bjontegaard.bd_rate(*anchor, *curve, **options)
            metric = bjontegaard.bd_psnr(*anchor, *curve, **options)
        assert delta.rate == pytest.approx(rate / 100, rel=1e-9, abs=1e-9)
        assert (
            math.isnan(metric) and math.isnan(delta.metric) or delta.metric == pytest.approx(metric, abs=1e-9)
        )
        compared += 1
    assert compared > 150


def test_a_curve_at_half_the_bytes_has_a_rate_of_minus_a_half():
    sizes, metrics = np.array([1e3, 2e3, 5e3, 9e3]), np.array([0.9, 0.95, 0.97, 0.98])
    delta = bd_delta((sizes, metrics), (sizes / 2, metrics))
    assert delta.rate == pytest.approx(-0.5) and delta.metric > 0
    assert (delta.low, delta.high, delta.overlap) == (0.9, 0.98, 1.0)
    assert bd_delta((sizes, metrics), (sizes, metrics)).rate == 0


def test_ties_and_dominated_points_do_not_count():
    """The envelope drops what is larger and no better, and equal points but one."""
    sizes, metrics = [1e3, 1e3, 2e3, 3e3, 3e3, 4e3], [0.9, 0.9, 0.95, 0.94, 0.95, 0.97]
    assert [list(part) for part in envelope(sizes, metrics)] == [[1e3, 2e3, 4e3], [0.9, 0.95, 0.97]]
    clean = bd_delta(([1e3, 2e3, 4e3], [0.9, 0.95, 0.97]), ([2e3, 3e3], [0.91, 0.96]))
    assert bd_delta((sizes, metrics), ([2e3, 3e3], [0.91, 0.96])) == clean


@pytest.mark.parametrize(
    "curve, message",
    [
        (
            ([1e3, 2e3], [0.1, 0.2]),
            "no overlap: the anchor's metrics are 0.9 to 0.95, the curve's 0.1 to",
        ),
        (([1e3], [0.92]), "the curve has 1 Pareto-optimal points"),
        (([1e3, 2e3], [0.95, 0.92]), "the curve has 1 Pareto-optimal points"),
    ],
)
def test_curves_that_cannot_be_compared_are_refused_by_name(curve, message):
    with pytest.raises(CurveError, match=message):
        bd_delta(([1e3, 2e3], [0.9, 0.95]), curve)
    with pytest.raises(ValueError, match="method is one of pchip, akima, got 'cubic'"):
        bd_delta(([1e3, 2e3], [0.9, 0.95]), curve, "cubic")


def test_fronts_and_hypervolumes_are_those_of_the_reference_package():
    random = np.random.default_rng(1)
    for _ in range(1000):
        count = int(random.integers(1, 12))
        sizes = random.choice([1e2, 3e2, 1e3, 2e3, 1e4], count)
        metrics = random.choice(np.linspace(0.1, 0.9, 7), count)
        costs = np.stack([np.log10(sizes), -metrics], axis=1)
        assert np.array_equal(pareto_mask(sizes, metrics), moocore.is_nondominated(costs, keep_weakly=True))
        expected = moocore.hypervolume(costs, ref=[math.log10(5e3), -0.2])
        assert hypervolume(sizes, metrics, 5e3, 0.2) == pytest.approx(expected, abs=1e-12)


def test_fewer_than_three_seeds_have_no_interval():
    assert math.isnan(half_width([1.0, 2.0])) and math.isnan(bootstrap_half_width(np.mean, 2))


@pytest.mark.parametrize("count", [3, 4, 5])
def test_the_bootstrap_of_a_mean_is_students_interval(count):
    values = np.random.default_rng(count).normal(size=count)
    low, high = scipy.stats.t.interval(0.95, count - 1, values.mean(), scipy.stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)
    assert bootstrap_half_width(lambda sample: values[list(sample)].mean(), count) == pytest.approx(
        (high - low) / 2
    )


def test_the_bootstrap_of_many_seeds_is_close_to_it():
    values = np.random.default_rng(3).normal(size=8)
    drawn = bootstrap_half_width(lambda sample: values[list(sample)].mean(), 8)
    assert drawn == pytest.approx(half_width(values), rel=0.1)


def frame(seeds: int, factor: float = 0.5, task: str = "digits") -> pd.DataFrame:
    """Two curves, the second at `factor` of the bytes, with noise by seed."""
    random, rows = np.random.default_rng(5), []
    for algorithm, scale in (("power_law", 1.0), ("epr", factor)):
        for lmbda, size, metric in ((1.0, 9e3, 0.97), (2.0, 5e3, 0.95), (5.0, 2e3, 0.9)):
            for seed in range(seeds):
                noisy = metric + random.normal(scale=1e-3)
                rows.append((task, algorithm, "{}", lmbda, seed, "ok", "accuracy", scale * size, noisy, 10.0))
    names = "task algorithm overrides lmbda seed status metric_name size_bytes metric ratio"
    return complete(pd.DataFrame(rows, columns=names.split()))


def test_a_sweep_is_compared_with_an_interval_over_its_seeds():
    (row,) = compare(frame(3), "power_law").to_dict("records")
    assert (row["algorithm"], row["n"], row["problem"]) == ("epr", 3, "")
    assert abs(row["bd_rate"] + 0.5) < row["bd_rate_ci"] < 0.1
    text = render(compare(frame(3), "power_law"))
    assert f"{100 * row['bd_rate']:+.1f}".replace("-", "−") in text and "pchip" in text
    assert math.isnan(compare(frame(2), "power_law")["bd_rate_ci"].iloc[0])


def test_what_cannot_be_compared_keeps_its_row_and_says_why():
    far = frame(3)
    far.loc[far["algorithm"] == "epr", "metric"] -= 0.5
    (row,) = compare(far, "power_law").to_dict("records")
    assert math.isnan(row["bd_rate"]) and row["problem"].startswith("no overlap")
    assert "epr: not compared: no overlap" in render(compare(far, "power_law"))
    with pytest.raises(ResultError, match="no finished trial of 'powerlaw' .*did you mean 'power_law'"):
        compare(far, "powerlaw")


def test_the_command_names_what_it_cannot_compare(tmp_path):
    ran = CliRunner().invoke(main, ["compare-curves", str(tmp_path), "--anchor", "epr"])
    assert ran.exit_code == 2 and "No trial has a result" in ran.output


def test_an_anchor_s_curves_under_settings_are_compared_with_its_own():
    plain = frame(3)[lambda rows: rows["algorithm"] == "power_law"]
    started = plain.assign(overrides='{"sweep.start": "previous"}', size_bytes=plain["size_bytes"] * 0.8)
    (row,) = compare(pd.concat([plain, started], ignore_index=True), "power_law").to_dict("records")
    assert row["bd_rate"] == pytest.approx(-0.2) and row["overrides"] == '{"sweep.start": "previous"}'
