"""Tests tables: their text is right and complete, and it fits."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapress.sweeps.report import units
from lambdapress.sweeps.report.override_texts import settings
from lambdapress.sweeps.report.tables import render
from lambdapress.sweeps.results.frames import complete
from lambdapress.sweeps.results.summary import summarise

TRACEBACK = "Traceback (most recent call last):\n  File 'x'\nFloatingPointError: [bold]loss|is NaN\n"


def complete_frame(rows):
    return complete(pd.DataFrame(rows))


def trial(algorithm, lmbda, seed, size, metric, task="digits", error=None, overrides="{}"):
    return {
        "task": task,
        "algorithm": algorithm,
        "overrides": overrides,
        "lmbda": float(lmbda),
        "seed": seed,
        "status": "failed" if error else "ok",
        "error": error,
        "metric_name": "accuracy",
        "metric": np.nan if error else metric,
        "size_bytes": np.nan if error else float(size),
        "float_bytes": np.nan if error else 1_000_000.0,
        "ratio": np.nan if error else 1_000_000 / size,
        "estimated_bytes": np.nan,
        "train_seconds": np.nan if error else 12.0 + seed,
        "constant": 0.1,
        "directory": f"runs/{task}/{algorithm}-{lmbda}-{seed}",
    }


@pytest.fixture
def summary():
    return summarise(
        complete_frame(
            [
                trial("none", 0, 0, 1_000_400, 0.98),
                trial("none", 0, 1, 1_000_400, 0.99),
                trial("none", 0, 2, 1_000_400, 0.985),
                trial("epr", 0.5, 0, 8_000, 0.9712),
                trial("epr", 0.5, 1, 8_100, 0.9734),
                trial("epr", 0.5, 2, 8_050, 0.9723),
                trial("epr", 2, 0, 4_000, 0.94),
                trial("epr", 2, 1, 4_100, 0.92),
                trial("epr", 10, 0, 1_234, 0.1),
                trial("epr", 10, 1, 1_234, 0.9, error=TRACEBACK),
                trial("power_law", 0.5, 0, 18_700, 0.95),
                trial("power_law", 10, 0, 18_700, 0.95, error=TRACEBACK),
                trial("epr", 1, 0, 25_000_000, 0.5, task="big"),
            ]
        )
    )


def row_of(text, algorithm, lmbda):
    (line,) = [line for line in text.splitlines() if line.lstrip("★ ").split()[:2] == [algorithm, lmbda]]
    return line


def test_terminal_rows_say_what_the_summary_says(summary):
    text = render(summary, ansi=False)
    assert row_of(text, "epr", "0.5").split() == [
        *("★", "epr", "0.5", "3"),
        *("8,050", "±124", "124×", "±2", "97.23", "±0.27", "1.27", "±0.97*", "0%", "13.0"),
    ]
    assert "★" not in row_of(text, "power_law", "0.5")
    assert "25,000.0" in text and "size (kB)" in text and "size (bytes)" in text
    assert "baseline 98.50% accuracy" in text and "no baseline" in text


def test_two_seeds_show_their_range_and_no_interval(summary):
    row = row_of(render(summary, ansi=False), "epr", "2").split()
    assert row == [
        *("★", "epr", "2", "2"),
        *("4,050", "247×", "93.00", "92.00–94.00", "5.50", "12.5"),
    ]


def test_a_drop_is_paired_by_seed(summary):
    """The interval of the drop is that of the differences, not of two means."""
    row = summary[(summary["algorithm"] == "epr") & (summary["lmbda"] == 0.5)].iloc[0]
    drops = np.array([0.98, 0.99, 0.985]) - np.array([0.9712, 0.9734, 0.9723])
    assert row["metric_drop"] == pytest.approx(drops.mean())
    assert row["metric_drop_ci"] == pytest.approx(4.302653 * drops.std(ddof=1) / np.sqrt(3), rel=1e-6)


def test_one_seed_has_no_interval_and_a_failed_group_keeps_its_row(summary):
    text = render(summary, ansi=False)
    assert row_of(text, "epr", "10").split() == [
        "★",
        "epr",
        "10",
        "1",
        "1",
        "1,234",
        "810×",
        "10.00",
        "88.00",
        "12.0",
    ]
    assert row_of(text, "power_law", "10").split() == ["power_law", "10", "0", "1"]
    assert "nan" not in text.replace("is NaN", "").lower()


@pytest.mark.parametrize("style", ["terminal", "markdown"])
def test_hypervolumes_and_failures_follow_the_table(summary, style):
    text = render(summary, style, ansi=False).replace("\\", "")
    after = text[text.index("Hypervolume") :]
    best = summary[(summary["task"] == "digits") & (summary["algorithm"] == "epr")]["hypervolume"].iloc[0]
    assert f"digits: epr {best:.3f}, power_law" in after
    assert "Failed trials: 2" in after
    assert "runs/digits/epr-10-1: FloatingPointError: [bold]loss|is NaN" in after


def test_the_terminal_is_wide_enough_and_every_number_whole(summary):
    text = render(summary, width=110, ansi=False)
    assert max(map(len, text.splitlines())) <= 110
    narrow = render(
        summary.assign(algorithm="an_algorithm_with_a_long_name_" + summary["algorithm"]), ansi=False
    )
    table = narrow[: narrow.index("★ Pareto")]
    assert max(map(len, table.splitlines())) <= 110
    for line in (text, narrow, render(summary, width=20, ansi=False)):
        assert "1,000,400" in line and "…" not in line


def test_numbers_stand_in_columns(summary):
    text = render(summary, ansi=False)
    rows = [row_of(text, *key.split()) for key in ("none 0", "epr 0.5", "epr 10", "power_law 0.5")]
    assert len({row.index("×") for row in rows}) == 1
    assert (
        len(
            {
                row.index(digits) + len(digits)
                for row, digits in zip(rows, ("0,400", "050", "234", "700"), strict=True)
            }
        )
        == 1
    )


def test_pareto_rows_are_bold_only_where_asked(summary):
    assert "\x1b" not in render(summary, ansi=False)
    bold = render(summary, ansi=True)
    assert re.search(r"\x1b\[1m[^\n]*8,050", bold)
    assert not re.search(r"\x1b\[1m[^\n]*18,700", bold)
    assert re.sub(r"\x1b\[[\d;]*m", "", bold).split() == render(summary, ansi=False).split()


def test_markdown_has_as_many_cells_in_each_row(summary):
    for block in render(summary, "markdown").split("\n\n"):
        if block.startswith("|"):
            cells = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(cells) == 1
    assert "| ★ | **epr** | **0.5** |" in render(summary, "markdown")


def test_csv_gives_the_summary_back(summary):
    back = pd.read_csv(
        io.StringIO(render(summary, "csv")),
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
    )
    back = back.fillna({"failures": "", "stops": "", "machines": ""})
    pd.testing.assert_frame_equal(back, summary, check_exact=True, check_dtype=False)


def test_an_unknown_style_lists_the_known():
    with pytest.raises(ValueError, match="'html'.*terminal, csv, markdown"):
        render(pd.DataFrame(), "html")


def test_settings_name_what_differs():
    texts, common = settings(
        ['{"a.epochs": 3, "b.init": 1}', '{"a.epochs": 3, "c.init": "x"}', '{"a.epochs": 3}']
    )
    assert texts == ["b.init=1", "c.init=x", ""] and common == ["a.epochs=3"]
    assert settings(['{"a.rate": 1}', '{"a.rate": 2}']) == (["rate=1", "rate=2"], [])
    assert settings([]) == ([], [])


@given(st.floats(1, 1e12))
def test_a_short_size_is_within_half_a_percent(value):
    text, unit = units.size(value).split()
    assert float(text) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit] == pytest.approx(value, rel=0.00501)
    assert "e" not in text and (float(text) < 1000 or unit == "GB")


@pytest.mark.parametrize(
    "value, wanted",
    [
        (0.9997, "1.00×"),
        (9.996, "10.0×"),
        (12.44, "12.4×"),
        (124.4, "124×"),
        (1239.6, "1,240×"),
        (np.nan, ""),
    ],
)
def test_ratio(value, wanted):
    assert units.ratio(value) == wanted


@pytest.mark.parametrize(
    "size, other, wanted",
    [
        (100, 100, "as large as"),
        (100, 1240, "12.4× smaller than"),
        (1000, 1020, "1.02× smaller than"),
        (1000, 1004, "a little smaller than"),
        (1004, 1000, "a little larger than"),
        (1020, 1000, "1.02× larger than"),
        (10, 0, "10.0× larger than"),
    ],
)
def test_relative_sizes_are_true(size, other, wanted):
    assert units.relative_size(size, other) == wanted
