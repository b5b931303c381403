"""Tests the comparison of two compressed models, by their folders and by their files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lambdapress.framework import algorithms, load, save, to_compressed, to_plain
from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.deployment.trial_model import trial_model
from lambdapress.sweeps.model_pair import compare_models
from lambdapress.sweeps.results.schema import ResultError

GOLDEN = Path(__file__).parents[1] / "golden" / "trial"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trial's file, and the same network with the coarse steps of `uniform`."""
    folder = tmp_path_factory.mktemp("pair")
    with trial_model(GOLDEN) as (_, model):
        coarse = to_compressed(to_plain(model), algorithms.build("uniform"), lmbda=2.0)
        save(coarse, folder / "coarse.lpz")
    return Path(shutil.copytree(GOLDEN, folder / "trial")), folder / "coarse.lpz"


def test_a_model_is_equal_to_itself(files):
    trial, _ = files
    pair = compare_models(trial, trial / "model.lpz", "digits")
    totals = pair.difference.totals
    assert totals["change"] == totals["right_to_wrong"] == 0 and totals["mcnemar_p"] == 1
    assert (pair.weights["relative_error"] == 0).all()
    assert (pair.weights["nonzeros_a"] == pair.weights["nonzeros_b"]).all()
    assert set(pair.weights["zeros_overlap"].dropna()) <= {1.0}


def test_a_coarser_model_says_which_classes_lost_most(files):
    trial, coarse = files
    pair = compare_models(trial, coarse, "digits")
    classes = pair.difference.classes
    assert list(classes["change"]) == sorted(classes["change"]) and len(classes) == 10
    lost, won = classes["right_to_wrong"].sum(), classes["wrong_to_right"].sum()
    assert (lost, won) == tuple(pair.difference.totals[k] for k in ("right_to_wrong", "wrong_to_right"))
    change = pair.b.metrics["accuracy"] - pair.a.metrics["accuracy"]
    assert pair.difference.totals["change"] == pytest.approx(change)
    with trial_model(trial) as (task, _):
        plain = to_plain(load(coarse, task.build_model()))
    kernel = pair.weights.set_index("weight").loc["fc_1/kernel"]
    assert kernel["nonzeros_b"] == (plain.get_layer("fc_1").kernel.numpy() != 0).sum()
    assert 0 < kernel["relative_error"] < 2 and kernel["bits_a"] > 0


def test_the_command_in_its_three_styles(files):
    def invoke(*arguments):
        result = CliRunner().invoke(main, ["compare", *map(str, (*files, *arguments))])
        assert result.exit_code == 0, result.output
        return result.output

    text = invoke("--task", "digits")
    assert "Per class, most lost first" in text and "McNemar" in text and "fc_1/kernel" in text
    found = json.loads(invoke("--task", "digits", "--json"))
    assert len(found["example"]) == 500 and len(found["class"]) == 10 and len(found["weight"]) == 8
    header, *lines = invoke("--task", "digits", "--csv").splitlines()
    assert header == "section,item,field,value"
    assert f"total,,change,{found['total']['']['change']}" in lines


def test_what_cannot_be_compared_is_named(files, tmp_path):
    trial, coarse = files
    with pytest.raises(ValueError, match="coarse.lpz is a file: --task must name its task"):
        compare_models(trial, coarse)
    with pytest.raises(ResultError, match="of the task 'digits', .* of 'markov_text'"):
        from lambdapress.framework import tasks

        model = tasks.build("markov_text").build_model()
        save(to_compressed(model, algorithms.build("half")), tmp_path / "text.lpz")
        compare_models(trial, tmp_path / "text.lpz", "markov_text")
