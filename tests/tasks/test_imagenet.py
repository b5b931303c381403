"""Tests ImageNet's residual networks on generated TFRecords of ImageNet's format."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lambdapress.sweeps.cli.main import main
from lambdapress.sweeps.results.schema import result_in
from lambdapress.tasks.imagenet import ResNet50

sys.path.insert(0, str(Path(__file__).parent))
from official_experiments import imagenet_records  # noqa: E402


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_trial_on_tfrecords(tmp_path):
    overrides = imagenet_records(tmp_path)
    arguments = ["train", "--task", "resnet18", "--algorithm", "epr", "--lmbda", "1"]
    binding = f"resnet18.overrides = {overrides!r}"
    ran = CliRunner().invoke(main, [*arguments, "--gin", binding, "--out", str(tmp_path / "runs")])
    assert ran.exit_code == 0, ran.output
    (folder,) = (tmp_path / "runs").iterdir()
    result = result_in(folder)
    assert result is not None and result["num_params"] > 11_600_000 and result["metric_name"] == "accuracy"


def test_resnet50_is_built():
    assert ResNet50().build_model().count_params() > 25_500_000
