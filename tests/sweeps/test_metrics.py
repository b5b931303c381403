"""Takes a metric that is better when lower, and one of a user's own, through every command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.execution.sweep import run_sweep
from lambdapress.sweeps.gin.isolation import isolated
from lambdapress.sweeps.results.records import RECORDS, read_records
from lambdapress.tasks.language import MarkovLanguage

SWEEPS = {
    "markov_language": """
sweep.tasks = ['markov_language']
sweep.algorithms = ['none', 'uniform', 'power_law']
sweep.lmbdas = {'uniform': [0.01, 1.0, 20.0], 'power_law': [0.0003, 0.003]}
sweep.seeds = [0]
markov_language.epochs = 1
""",
    "retrieval": """
import mean_ap_task
sweep.tasks = ['retrieval']
sweep.algorithms = ['none', 'uniform', 'power_law']
sweep.lmbdas = {'uniform': [0.1, 1.0, 5.0], 'power_law': [0.05, 0.5]}
sweep.seeds = [0, 1, 2]
""",
}
METRICS = {"markov_language": "perplexity", "retrieval": "mean_ap"}


@pytest.fixture(scope="module", params=sorted(SWEEPS))
def swept(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / f"{request.param}.gin"
    path.write_text(SWEEPS[request.param])
    with pytest.MonkeyPatch.context() as patch, isolated():
        patch.syspath_prepend(str(Path(__file__).parent))
        frame = run_sweep(path, folder / "out", executor="here")
    return request.param, frame, folder / "out"


def invoke(*arguments) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_trials_have_the_metric_on_both_splits_and_records(swept):
    task, frame, _ = swept
    assert set(frame["status"]) == {"ok"} and set(frame["metric_name"]) == {METRICS[task]}
    assert frame[["metric", "validation", "constant"]].notna().all().all()
    plain = frame[frame["algorithm"] == "none"]
    if task == "markov_language":
        assert set(frame["direction"]) == {"lower"} and set(frame["unit"]) == {""}
        best = MarkovLanguage(epochs=1).best_perplexity()
        assert (plain["metric"] > 0.98 * best).all() and (plain["metric"] < plain["constant"]).all()
    else:
        assert (plain["metric"] > plain["constant"] + 0.2).all()
    records = read_records(Path(frame["directory"][0]) / RECORDS)
    assert len(next(iter(records.values()))) in (500, 4000)


def test_stronger_compression_is_worse_in_the_metrics_own_direction(swept):
    _, frame, _ = swept
    uniform = frame[frame["algorithm"] == "uniform"].groupby("lmbda")[["size_bytes", "metric"]].mean()
    assert uniform["size_bytes"].is_monotonic_decreasing
    sign = -1 if frame["direction"][0] == "lower" else 1
    assert sign * (uniform["metric"].iloc[0] - uniform["metric"].iloc[-1]) > 0


def test_every_command_shows_it(swept, tmp_path):
    task, frame, out = swept
    name = METRICS[task]
    text = invoke("table", out)
    assert f"chosen on validation, {name} reported on test" in text
    assert ("rise" if task == "markov_language" else "drop") in text and "hypervolume" in text.lower()
    markdown = invoke("table", out, "--markdown")
    assert f"| {name} |" in markdown or f"| {name} (%) |" in markdown.replace("\\", "")
    written = invoke("plot", out, "--out", tmp_path).split()
    assert all(Path(path).stat().st_size > 10_000 for path in written)
    curves = invoke("compare-curves", out, "--anchor", "uniform", "--csv")
    header, *rows = curves.splitlines()
    assert len(rows) == frame[~frame["algorithm"].isin(["none", "uniform"])].groupby("algorithm").ngroups
    assert "validation" in rows[0] and name in rows[0]


def test_another_metric_of_the_same_trials(swept):
    task, frame, out = swept
    if task == "markov_language":
        text = invoke("table", out, "--metric", "nll")
        assert "nll (nat)" in text and "perplexity" not in text
        one = frame[frame["algorithm"] == "none"].iloc[0]
        assert one["metric:nll:test"] == pytest.approx(np.log(one["metric"]))
    else:
        result = CliRunner().invoke(main, ["table", str(out), "--metric", "accuracy"])
        assert result.exit_code == 2 and "lambdapress evaluate DIR --metric accuracy" in result.output
