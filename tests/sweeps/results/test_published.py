"""Tests published figures: the file that comes with the package, and their rows in a table."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lambdapress.framework.task import tasks
from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.report.tables import render
from lambdapress.sweeps.results import frames as results
from lambdapress.sweeps.results.frames import complete
from lambdapress.sweeps.results.published import PUBLISHED, PublishedError, beside, load_published
from lambdapress.sweeps.results.summary import summarise

# Official Models' networks, too slow to build here.
LARGE = {"resnet18", "resnet50"}


def complete_frame(rows):
    return complete(pd.DataFrame(rows))


def trial(task, algorithm, lmbda, size, metric, metric_name="accuracy", overrides='{"x.epochs": 3}'):
    return {
        "task": task,
        "algorithm": algorithm,
        "overrides": overrides,
        "gin:x.epochs": 3,
        "lmbda": float(lmbda),
        "seed": 0,
        "status": "ok",
        "error": None,
        "metric_name": metric_name,
        "metric": metric,
        "size_bytes": float(size),
        "float_bytes": 1_000_000.0,
        "ratio": 1_000_000 / size,
        "estimated_bytes": np.nan,
        "train_seconds": 12.0,
        "constant": 0.1,
        "directory": f"runs/{task}/{algorithm}-{lmbda}",
    }


@pytest.fixture
def frame():
    return complete_frame(
        [
            trial("lenet300_100", "none", 0, 1_000_400, 0.984),
            trial("lenet300_100", "epr", 0.1, 9_000, 0.97),
            trial("vgg16", "epr", 1, 12_000_000, 0.5),
            trial("other", "epr", 1, 8_000, 0.9),
        ]
    )


def test_the_file_holds_the_six_networks_of_the_paper():
    published = load_published()
    paper = published[published["source"] == "Oktay et al. 2020"]
    assert list(zip(paper["task"], paper["size_bytes"], paper["error"], strict=True)) == [
        ("lenet300_100", 8_560, 0.019),
        ("lenet5_caffe", 2_840, 0.010),
        ("vgg16", 101_000, 0.100),
        ("resnet20_4", 128_000, 0.088),
        ("resnet18", 1_970_000, 0.300),
        ("resnet50", 5_490_000, 0.260),
    ]
    assert list(paper["baseline_error"]) == [0.016, 0.007, 0.066, 0.050, 0.300, 0.250]
    assert paper["reference"].str.contains("ICLR 2020").all() and (paper["grade"] == "A").all()


def test_figures_that_leave_something_out_say_so():
    published = load_published()
    assert set(published["grade"]) == {"A", "B"} and not published.duplicated().any()
    assert set(published.loc[published["counts"] != "file", "counts"]) == {"coded latents", "nominal bits"}
    assert published.loc[published["source"] != "Oktay et al. 2020", "baseline_error"].isna().all()


def test_each_figure_is_of_a_task():
    assert set(load_published()["task"]) <= set(tasks.names())


def test_the_tasks_are_of_the_published_networks_size():
    """Checks that ratio × size is 4 bytes per parameter, up to the published digits."""
    for row in load_published().itertuples():
        if row.task not in LARGE and row.ratio == row.ratio:
            model = tasks.build(row.task).build_model()
            parameters = sum(weight.shape.num_elements() for weight in model.trainable_weights)
            assert row.ratio * row.size_bytes == pytest.approx(4 * parameters, rel=0.01), row.task


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("task,", "name,", "columns"),
        ("8560", "-1", r"row 1: 'size_bytes' must be a number above 0, got '-1'"),
        ("124", "inf", "row 1: 'ratio'"),
        ("0.01,", "many,", r"row 2: 'error' must be a fraction in \[0, 1\], got 'many'"),
        ("0.066", "6.6", "row 9: 'baseline_error'"),
        (",A,file", ",Z,file", "row 1: 'grade' must be one of A, B, got 'Z'"),
        ("Oktay et al. 2020", " ", "row 1: 'source' must be some text"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, old, new, message):
    path = tmp_path / "figures.csv"
    path.write_text(PUBLISHED.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PublishedError, match=f"figures.csv.*{message}"):
        load_published(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PublishedError, match="nowhere.csv"):
        load_published(tmp_path / "nowhere.csv")


def test_our_rows_stay_as_they_are(frame):
    summary = summarise(frame)
    both = beside(summary, load_published())
    ours = both[both["source"] == ""].drop(columns=["source", "grade", "counts"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, summary, check_dtype=False)


def test_published_rows_follow_their_tasks_rows(frame):
    both = beside(summarise(frame), load_published())
    assert list(both["task"]) == ["lenet300_100"] * 3 + ["other"] + ["vgg16"] * 4
    row = both.iloc[2]
    assert (row["algorithm"], row["source"], row["n"]) == ("epr", "Oktay et al. 2020", 0)
    assert (row["size_bytes"], row["ratio"]) == (8560, 124) and np.isnan(row["lmbda"])
    assert row["metric"] == pytest.approx(0.981) and row["metric_drop"] == pytest.approx(0.003)
    assert not both.loc[both["source"] != "", "pareto"].any()


def test_a_task_with_another_metric_has_no_published_rows(frame):
    summary = summarise(frame.assign(metric_name="mean_iou"))
    assert (beside(summary, load_published())["source"] == "").all()


@pytest.mark.parametrize("style", ["terminal", "markdown"])
def test_tables_mark_what_is_published(frame, style):
    summary = summarise(frame)
    text = render(beside(summary, load_published()), style, ansi=False)
    (line,) = [line for line in text.splitlines() if "8,560" in line]
    assert re.split(r"[\s|]+", line.strip("| ")) == "epr Oktay et al. 2020 A 8,560 124× 98.10 0.30".split()
    assert "x.epochs=3" in text.replace("\\", "") and "own baseline" in text and "nan" not in text.lower()
    assert "no baseline" in text and "101.0" in text
    plain = render(summary, style, ansi=False)
    assert "source" not in plain and plain[plain.index("Hypervolume") :] in text


def test_csv_has_the_source(frame):
    summary = summarise(frame)
    text = render(beside(summary, load_published()), "csv")
    back = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert list(back["source"]) == [
        "",
        "",
        "Oktay et al. 2020",
        "",
        "",
        "Oktay et al. 2020",
        "LilNetX 2023",
        "LilNetX 2023",
    ]
    ours = pd.read_csv(io.StringIO(render(summary, "csv")), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(
        back[back["source"] == ""].drop(columns=["source", "grade", "counts"]).reset_index(drop=True), ours
    )


def test_the_command(frame, monkeypatch):
    monkeypatch.setattr(results, "load_results", lambda directory, metric: frame)
    invoke = CliRunner().invoke
    found = invoke(main, ["table", "runs", "--published", "--markdown"])
    assert found.exit_code == 0 and "Oktay et al. 2020" in found.stdout and not found.stderr
    assert "Oktay" not in invoke(main, ["table", "runs"]).stdout
    monkeypatch.setattr(results, "load_results", lambda directory, metric: frame[frame["task"] == "other"])
    found = invoke(main, ["table", "runs", "--published"])
    assert "only for lenet300_100, lenet5_caffe, resnet20" in found.stderr and "Oktay" not in found.stdout
