"""Tests figures and tables for notebooks."""

from __future__ import annotations

import sys

import pytest
from made_results import made_sweep, result, write

from lambdapress.sweeps import figure, load_results, summarise
from lambdapress.sweeps.page.html import ReportError
from lambdapress.sweeps.page.write import write_report


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return made_sweep(tmp_path_factory.mktemp("made"), 33, seeds=3)


def test_a_trade_off_has_the_summarys_points(sweep):
    drawn = figure(sweep)
    summary = summarise(load_results(sweep))
    for trace in drawn.data:
        rows = summary[(summary["algorithm"] == trace.name)].sort_values("lmbda")
        if len(rows):
            assert list(trace.x) == list(rows["size_bytes"])
    assert {trace.name for trace in drawn.data} >= {"epr", "power_law"}


def test_layers_add_up_along_lmbda(sweep):
    drawn = figure(load_results(sweep), "layers", algorithm="epr")
    assert len(drawn.data) == 8 and list(drawn.data[0].x) == ["0.1", "0.3", "1", "3", "10"]
    assert list(figure(sweep, "training", algorithm="epr").data[0].x) == [1, 2, 3]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"kind": "pie"}, "kind is 'pie'; give one of tradeoff, layers, training"),
        ({"kind": "layers"}, "algorithm is None; the results have epr, power_law"),
        ({"task": "other"}, "task is 'other'; the results have made"),
        ({"x": "algorithm"}, "x is 'algorithm'; give a column of means"),
    ],
)
def test_mistakes_are_named(sweep, arguments, message):
    with pytest.raises(ValueError, match=message):
        figure(sweep, **arguments)


def test_without_plotly_it_says_what_to_install(sweep, monkeypatch):
    from lambdapress.sweeps.page import html

    for name in ("plotly", "plotly.offline", "plotly.graph_objects"):
        monkeypatch.setitem(sys.modules, name, None)
    html.plotly_code.cache_clear()
    for call in (lambda: figure(sweep), lambda: write_report(sweep)):
        with pytest.raises(ReportError, match=r"pip install 'lambdapress\[report\]'"):
            call()


def test_a_notebook_shows_means_and_escapes_texts(sweep, tmp_path):
    frame = load_results(sweep)
    shown = frame._repr_html_()
    assert shown.count("<tr>") == 12 and "epr" in shown and "±" in shown
    assert type(frame[frame["seed"] == 0]) is not type(frame)
    write(tmp_path, result("<b>t</b>", "<script>", 1.0, 0, "0" * 16))
    shown = load_results(tmp_path)._repr_html_()
    assert "<script>" not in shown and "<b>" not in shown and "&lt;script&gt;" in shown
    assert frame.drop(columns="metric")._repr_html_().startswith("<div>")
