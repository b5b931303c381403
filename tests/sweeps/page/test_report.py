"""Opens reports in a browser, from disk and without a network, and uses them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from made_results import made_sweep, result, write

from lambdapress.sweeps.page.write import write_report
from lambdapress.sweeps.results.frames import load_results
from lambdapress.sweeps.results.model_difference import difference
from lambdapress.sweeps.results.records import RECORDS, read_records, write_records
from lambdapress.sweeps.results.summary import summarise


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made_sweep(tmp_path_factory.mktemp("made"), 105, seeds=3)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    for trial in sorted(folder.iterdir()):
        wrong = rng.random(500) < 0.1
        predicted = np.where(wrong, (labels + 1) % 10, labels)
        write_records(
            trial / RECORDS, {"label": labels, "predicted": predicted, "probability": rng.random(500)}
        )
    lost = result(
        "made", "epr", 30.0, 0, "f" * 16, status="failed", error="Traceback …\nValueError: no <luck>"
    )
    write(folder, {name: value for name, value in lost.items() if name != "metrics"} | {"metrics": None})
    return folder


@pytest.fixture(scope="module")
def report(sweep: Path) -> Path:
    return write_report(sweep, pictures=False)


def numbers(text: str) -> float:
    return float(text.replace(",", "").replace("×", ""))


def test_the_table_has_the_means_and_the_front_of_the_summary(sweep, report, opened):
    """The page makes means and fronts itself, as filters need: they are those of Python."""
    tab = opened(report)
    summary = summarise(load_results(sweep))
    summary = summary[summary["n"] > 0]
    shown = {(row[1], row[2], row[3], round(numbers(row[5]))): row for row in tab.rows() if row[5]}
    assert len(shown) == len(summary)
    for row in summary.to_dict("records"):
        setting = row["gin:made.rate"]
        text = "" if setting is None or setting != setting else f"rate={setting:g}"
        cells = shown[row["algorithm"], text, f"{row['lmbda']:g}", round(row["size_bytes"])]
        assert (cells[0] == "★") == row["pareto"]
        assert numbers(cells[8]) == pytest.approx(100 * row["metric"], abs=0.006)
        assert numbers(cells[11]) == pytest.approx(row["size_bytes_ci"], rel=0.01, abs=0.01)


def test_a_click_on_a_point_opens_its_trial(report, opened):
    tab = opened(report)
    before = tab.page.text_content("#trial dd >> nth=1")
    points = tab.page.locator("#figure .scatterlayer .trace .points path")
    boxes = [points.nth(i).bounding_box() for i in range(points.count())]
    inside = [box for box in boxes if box is not None]
    for box in inside[-3:]:
        tab.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        if tab.page.text_content("#trial dd >> nth=1") != before:
            break
        tab.page.evaluate("scrollTo(0, 0)")
    opened_trial = tab.page.text_content("#trial dd >> nth=1")
    assert opened_trial != before
    assert "f" * 16 != opened_trial and len(opened_trial) == 16
    assert tab.page.locator("#trial-bytes .bars path").count() > 0
    assert tab.page.locator("#trial-epochs .scatterlayer .trace").count() >= 3


def test_filters_leave_rows_and_points_out(report, opened):
    tab = opened(report)
    before = tab.rows()
    tab.page.get_by_label("power_law", exact=True).uncheck()
    after = tab.rows()
    assert 0 < len(after) < len(before)
    assert all(not (row[1] == "power_law" and row[2] == "") for row in after)
    tab.page.get_by_label("λ from").select_option("1")
    fewer = tab.rows()
    assert 0 < len(fewer) < len(after) and all(row[1] == "none" or float(row[3]) >= 1 for row in fewer)
    tab.page.get_by_label("made.rate").select_option("2")
    assert all(row[1] == "none" or row[2] == "rate=2" for row in tab.rows())


def test_a_column_sorts_and_the_csv_has_what_is_shown(report, opened):
    tab = opened(report)
    button = tab.page.get_by_role("button", name="size (bytes)")
    button.click()
    up = [numbers(row[5]) for row in tab.rows() if row[5]]
    assert up == sorted(up)
    assert tab.page.locator("th[aria-sort=ascending]").count() == 1
    tab.page.get_by_role("button", name="size (bytes)").click()
    down = [numbers(row[5]) for row in tab.rows() if row[5]]
    assert down == sorted(up, reverse=True)
    with tab.page.expect_download() as download:
        tab.page.click("#csv")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    lines = list(csv.reader(io.StringIO(text)))
    assert [round(float(line[5])) for line in lines[1:] if line[5]] == down


def test_two_trials_are_compared_as_the_command_compares_them(sweep, report, opened):
    tab = opened(report)
    names = ["a", "b"]
    chosen = [tab.page.locator("#pair-choice select").nth(i).input_value() for i in range(2)]
    frame = load_results(sweep).set_index("identity")
    records = {
        n: read_records(Path(frame.loc[c, "directory"]) / RECORDS) for n, c in zip(names, chosen, strict=True)
    }
    totals = difference(records["a"], records["b"]).totals
    text = tab.page.text_content("#flips")
    assert f"{totals['right_to_wrong']:.0f} are right in A and wrong in B" in text
    assert f"{totals['wrong_to_right']:.0f} wrong in A and right in B" in text
    bars = tab.page.evaluate("document.getElementById('pair-classes').data[0].y")
    changes = difference(records["a"], records["b"]).classes.set_index("label")["change"].sort_index()
    assert bars == pytest.approx(list(100 * changes))


def test_what_failed_is_shown_with_its_reason(report, opened):
    tab = opened(report)
    [row] = tab.rows("#problems-body")
    assert row[1:3] == ["failed", "ValueError: no <luck>"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_reaches_out_of_the_page(report, opened, width, scheme):
    tab = opened(report, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    colors = tab.page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = [sum(map(int, color[4:-1].split(","))) for color in colors]
    assert (light[0] < light[1]) == (scheme == "light")


def test_it_works_by_keyboard(report, opened):
    tab = opened(report)
    before = tab.page.text_content("#trial dd >> nth=1")
    tab.page.locator("#table tbody button").nth(5).focus()
    tab.page.keyboard.press("Enter")
    assert tab.page.text_content("#trial dd >> nth=1") != before


def test_it_asks_for_nothing(report, opened):
    """Its own policy forbids any address, and no element names one."""
    text = report.read_text(encoding="utf-8")
    head = text.partition("<script")[0]
    assert "connect-src &#x27;none&#x27;" in head and "http" not in head.replace("http-equiv", "")
    tab = opened(report)
    blocked = tab.page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'blocked')")
    assert blocked == "blocked"
    assert tab.problems
    tab.problems.clear()
