"""Tests the plot: everything is in view, and equal results give equal files."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lambdapress.sweeps.report.plot import draw, plot
from lambdapress.sweeps.results.frames import complete
from lambdapress.sweeps.results.summary import summarise


def complete_frame(rows):
    return complete(pd.DataFrame(rows))


def trial(algorithm, lmbda, seed, size, metric, task="digits", failed=False, overrides="{}"):
    return {
        "task": task,
        "algorithm": algorithm,
        "overrides": overrides,
        "lmbda": float(lmbda),
        "seed": seed,
        "status": "failed" if failed else "ok",
        "error": "killed" if failed else None,
        "metric_name": "accuracy",
        "metric": np.nan if failed else metric,
        "size_bytes": np.nan if failed else float(size),
        "float_bytes": np.nan if failed else 150_000.0,
        "ratio": np.nan if failed else 150_000 / size,
        "estimated_bytes": np.nan,
        "train_seconds": 1.0,
        "directory": "runs/x",
    }


def sweep(task="digits", broken=0.1):
    rng = np.random.default_rng(0)
    rows = [trial("none", 0, seed, 150_300, 0.98 + 0.001 * seed, task) for seed in range(3)]
    for algorithm, scale in (("epr", 0.7), ("power_law", 1.0)):
        for lmbda, metric in ((0.5, 0.979), (1, 0.978), (5, 0.97), (20, broken)):
            for seed in range(3):
                size = 12_000 * scale * lmbda**-0.5 * (1 + 0.02 * rng.normal())
                rows.append(trial(algorithm, lmbda, seed, size, metric + 0.002 * rng.normal(), task))
    return complete_frame(rows)


def curve_points(axes):
    return [line.get_xydata() for line in axes.get_lines() if line.get_linestyle() != "None"]


def legend_texts(figure):
    legends = [*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def test_a_line_goes_through_the_means_in_the_order_of_lmbda():
    frame = sweep()
    # A size that grows with λ, so that the order of λ is not the order of size.
    frame.loc[(frame["algorithm"] == "epr") & (frame["lmbda"] == 5), "size_bytes"] *= 10
    summary = summarise(frame)
    (axes,) = draw(frame).axes
    drawn = curve_points(axes)
    for algorithm in ("epr", "power_law"):
        rows = summary[summary["algorithm"] == algorithm].sort_values("lmbda")
        wanted = np.stack([rows["size_bytes"], 1 - rows["metric"]], axis=1)
        assert any(np.allclose(points, wanted) for points in drawn)


def test_every_trial_is_in_view_also_a_broken_one():
    frame = sweep(broken=0.1)
    (axes,) = draw(frame).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    trials = frame[frame["algorithm"] != "none"]
    assert (trials["size_bytes"] > left).all() and (trials["size_bytes"] < right).all()
    assert (1 - frame["metric"] < bottom).all() and (1 - frame["metric"] > top).all()
    good = 1 - np.array([0.979, 0.97])  # a percent at the top is visible beside a loss of 88 at the bottom
    heights = np.diff(
        axes.transAxes.inverted().transform(axes.transData.transform([(1e3, e) for e in good])), axis=0
    )
    assert abs(heights[0, 1]) > 0.05


def test_the_legend_names_curves_and_the_uncompressed_size():
    texts = legend_texts(draw(sweep()))
    assert "epr, λ = 0.5 to 20" in texts and "power_law, λ = 0.5 to 20" in texts
    assert "uncompressed: 98.10%, 150 kB" in texts


def test_nothing_reaches_out_of_the_figure():
    frame = pd.concat([sweep("digits"), sweep("mnist")])
    frame = frame.assign(
        algorithm=frame["algorithm"].replace("epr", "an algorithm with a rather long name, as they come")
    )
    figure = draw(frame)
    figure.canvas.draw()
    parts = [axes.get_tightbbox() for axes in figure.axes] + [
        legend.get_window_extent() for legend in figure.legends
    ]
    for box in parts:
        assert box.x0 >= -1 and box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1


def test_tick_labels_are_the_metric_and_bytes_with_units():
    (axes,) = draw(sweep()).axes
    ys = {text.get_text(): tick for tick, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    assert len(ys) >= 3
    for text, error in ys.items():
        assert float(text) == pytest.approx(100 * (1 - error), abs=1e-3)
    xs = {text.get_text(): tick for tick, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)}
    assert len(xs) >= 3 and all(text.endswith((" B", " kB")) for text in xs)
    assert len(set(xs)) == len(axes.get_xticks())


def test_a_perfect_metric_is_drawn_and_labelled_100():
    frame = complete_frame(
        [trial("epr", lmbda, 0, 9000 / (lmbda + 1), 1 - lmbda / 100) for lmbda in (0, 1, 2)]
    )
    (axes,) = draw(frame).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels.count("100") == 1
    (points,) = curve_points(axes)
    assert points[0][1] == axes.get_yticks()[labels.index("100")]


@pytest.mark.parametrize(
    "rows",
    [
        [trial("epr", 1, 0, 9000, 0.9, failed=True)],
        [trial("none", 0, 0, 150_000, 0.9)],
        [trial("epr", 0, 0, 9000, 0.9)],
        [trial("epr", 0, 0, 9000, 1.0)],
        [trial("epr", 0, 0, 9000, 0.0), trial("epr", 1, 0, 9000, 0.0)],
        [trial("$x^$", 0, 0, 9000, 0.5), trial("epr", 1, 0, 90, 0.5, task="$")],
        [trial("epr", 1, 0, 9000, 0.9), trial("epr", 1, 0, 900, 0.8, failed=True, task="other")],
        [trial("epr", 1, 0, 9000, 0.1), trial("epr", 1, 1, 1, 1.0)],  # an interval wider than any axis
        [trial(f"a{i}", 1, 0, 9000 + i, 0.9) for i in range(30)],
    ],
    ids=["failed", "baseline", "zero", "perfect", "useless", "dollars", "part failed", "wide", "many"],
)
def test_odd_sweeps_are_drawn(tmp_path, rows):
    for path in plot(complete_frame(rows), tmp_path):
        assert path.stat().st_size > 1000


def test_many_curves_look_different():
    rows = [trial(f"a{i}", lmbda, 0, 9000 + i, 0.9) for i in range(30) for lmbda in (1, 2, 3)]
    figure = draw(complete_frame(rows))
    handles = [handle for handle in figure.legends[0].legend_handles if handle.get_label().startswith("a")]
    looks = {(handle.get_color(), handle.get_marker()) for handle in handles}
    assert len(handles) == 30 and len(looks) == 30
    first = handles[:5]
    for name in ("get_color", "get_marker"):
        assert len({getattr(handle, name)() for handle in first}) == 5


def test_equal_frames_give_equal_files_in_any_thread(tmp_path):
    frame = pd.concat([sweep("digits"), sweep("mnist")], ignore_index=True)
    first = [path.read_bytes() for path in plot(frame, tmp_path / "first")]
    found = {}

    def work(i):
        found[i] = [path.read_bytes() for path in plot(frame, tmp_path / "deep" / str(i))]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: first, 1: first}
    assert b"<dc:date>" not in first[1] and first[0].startswith(b"\x89PNG")


def test_given_axes_are_used_and_counted():
    frame = pd.concat([sweep("digits"), sweep("mnist")], ignore_index=True)
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert draw(frame, axes) is figure
    assert [a.get_title(loc="left") for a in axes] == ["digits", "mnist"]
    assert "epr, λ = 0.5 to 20" in legend_texts(figure)
    with pytest.raises(ValueError, match="`axes` has 1, but the frame has 2 tasks"):
        draw(frame, axes[0])


def test_pyplot_stays_out():
    assert "matplotlib.pyplot" not in vars(sys.modules["lambdapress.sweeps.report.plot"])
