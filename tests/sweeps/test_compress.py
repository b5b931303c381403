"""`lambdapress compress`: every algorithm on a saved model, without training."""

from __future__ import annotations

import re
import time

import pytest
import tensorflow as tf
from click.testing import CliRunner

from lambdapress.framework import algorithms
from lambdapress.sweeps.cli import main
from lambdapress.tasks.digits import Digits


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained model of the task `digits`, as Keras saves it."""
    tf.keras.utils.set_random_seed(0)
    task = Digits(epochs=15)
    model = task.build_model()
    task.train(model)
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    model.save(path)
    return path


def compress(trained, out, *options):
    result = CliRunner().invoke(main, ["compress", str(trained), str(out), "--task", "digits", *options])
    assert result.exit_code == 0, result.output
    found = re.search(r"([\d,]+) bytes, .*\naccuracy ([\d.]+) before, ([\d.]+) after", result.output)
    assert found
    return int(found[1].replace(",", "")), float(found[2]), float(found[3])


@pytest.mark.parametrize("algorithm", algorithms.names())
def test_every_algorithm_compresses_a_saved_model_in_seconds(algorithm, trained, tmp_path):
    started = time.monotonic()
    size, before, after = compress(trained, tmp_path / "out.lpz", "--algorithm", algorithm)
    assert time.monotonic() - started < 30
    assert before > 0.9 and after > before - 0.05
    floats = 4 * 38_282
    if algorithm == "lossless":
        assert after == before and size < 0.85 * floats
    elif algorithm not in ("none", "west"):  # the model has no embedding
        assert size < 0.98 * floats


def test_a_higher_lmbda_means_a_smaller_file(trained, tmp_path):
    sizes = [
        compress(trained, tmp_path / "out.lpz", "--algorithm", "uniform", "--lmbda", lmbda)[0]
        for lmbda in ("0.01", "0.1", "1")
    ]
    assert sizes == sorted(sizes, reverse=True) and sizes[2] < sizes[0] / 2


def test_a_chain_and_rules(trained, tmp_path):
    chain = ["--algorithm", "chain", "--gin", "chain.algorithms = ['low_rank', 'uniform']"]
    alone, _, after = compress(trained, tmp_path / "out.lpz", *chain)
    assert after > 0.8
    ruled, _, _ = compress(
        trained, tmp_path / "out.lpz", *chain, "--rule", "conv=lossless", "--rule", "bias="
    )
    assert ruled > alone


def test_a_wrong_hyperparameter_is_one_message(trained, tmp_path):
    for binding, message in (
        ("uniform.bits = 40", "bits must be an integer"),
        ("low_rank.rank = 0", "rank must be an integer"),
        ("pruning.pattern = '4:2'", "N:M needs"),
    ):
        name = binding.partition(".")[0]
        arguments = ["compress", str(trained), str(tmp_path / "x.lpz"), "--algorithm", name, "--gin", binding]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2 and message in result.output and "Traceback" not in result.output
        assert not (tmp_path / "x.lpz").exists()
