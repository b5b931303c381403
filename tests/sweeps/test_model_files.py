"""Tests `lambdapress compress`: every algorithm on a saved model, without training."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from tensorflow.core.protobuf import saved_model_pb2

from lambdapress.framework import algorithms, load, to_plain
from lambdapress.framework.surgery.private import SavedMetadata
from lambdapress.sweeps.cli.main import main
from lambdapress.tasks.digits import Digits


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Saves a trained model of the task `digits` with Keras, and returns its path."""
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


@pytest.mark.parametrize("suffix", [".h5", ""])
def test_h5_files_and_saved_models_are_compressed_as_a_keras_file_is(suffix, trained, tmp_path):
    path = tmp_path / f"model{suffix}"
    tf.keras.models.load_model(trained).save(path)
    sizes = [compress(model, tmp_path / "out.lpz") for model in (trained, path)]
    assert sizes[0] == sizes[1]


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


@pytest.mark.parametrize(
    "options, note",
    [
        (["epr"], "epr takes its steps from training, and λ acts there. Without training, conv_1/kernel"),
        (["power_law"], "The λ of clustering, low_rank, "),
        (
            ["west"],
            "west stores in full all that it was given (conv_1/kernel, conv_1/bias, conv_2/kernel and 5",
        ),
        (["west"], "more): it is for embeddings"),
        (["uniform", "--rule", "fc=west"], "west stores in full all that it was given (fc_1/kernel"),
        (["uniform"], None),
        (["chain"], None),
    ],
)
def test_what_little_is_done_is_said(options, note, trained, tmp_path):
    ran = CliRunner().invoke(
        main, ["compress", str(trained), str(tmp_path / "o.lpz"), "--algorithm", *options]
    )
    assert ran.exit_code == 0, ran.output
    assert ("Note:" in ran.output) == (note is not None)
    assert note is None or note in ran.output


def test_nothing_is_called_smaller_that_is_not(trained, tmp_path):
    """A file of plain floats has a header besides them."""
    out = str(tmp_path / "o.lpz")
    for command in (["compress", str(trained), out, "--algorithm", "none"], ["inspect", out]):
        ran = CliRunner().invoke(main, command)
        assert "a little larger than 153,128 bytes of floats" in ran.output, ran.output


def test_a_wrong_hyperparameter_is_one_message(trained, tmp_path):
    for binding, message in (
        ("uniform.bits = 40", "bits must be an integer"),
        ("low_rank.rank = 0", "rank must be an integer"),
        ("pruning.pattern = '4:2'", "N:M needs"),
        ("pruning.pattern = 2:4", "Is a string to be in quotes?"),
        ("chain.algorithms = ['chain', 'uniform']", "'chain' cannot come first: low_rank"),
        (
            "chain.algorithms = [['pruning', {'sparsty': 0.5}], 'uniform']",
            "'pruning' has no 'sparsty' (did you mean 'sparsity'",
        ),
        ("chain/pruning.sparsity = 7", "algorithms: 'pruning': sparsity must be a number"),
    ):
        name = binding.partition(".")[0].partition("/")[0]
        arguments = ["compress", str(trained), str(tmp_path / "x.lpz"), "--algorithm", name, "--gin", binding]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2 and message in result.output and "Traceback" not in result.output
        assert not (tmp_path / "x.lpz").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--lmbda", "3", "--algorithm", "epr"], "without training λ means nothing to epr"),
        (["--lmbda", "3", "--algorithm", "lossless"], "without training λ means nothing to lossless"),
        (["--gin", "low_rank.rank = 4"], "--gin 'low_rank.rank = 4': nothing here takes it"),
        (["--gin", "trial.lmbda_warmup = 0.5"], "Compressing a model runs no trial"),
        (["--rule", "(=none"], "--rule '(=none': '(' is no regular expression"),
        (["--rule", "kernle="], "The rule 'kernle' matches no weight of the model"),
    ],
)
def test_what_has_no_effect_or_does_not_fit_is_refused(options, message, trained, tmp_path):
    arguments = ["compress", str(trained), str(tmp_path / "x.lpz"), *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
    assert not (tmp_path / "x.lpz").exists()


def test_a_task_that_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    model = tf.keras.Sequential([tf.keras.layers.Dense(10, input_shape=(64,))])
    model.save(tmp_path / "flat.keras")
    arguments = ["compress", str(tmp_path / "flat.keras"), str(tmp_path / "x.lpz"), "--task", "digits"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "takes inputs of shape (None, 8, 8, 1), this one (None, 64)" in result.output
    assert not (tmp_path / "x.lpz").exists()


def test_rules_may_take_every_weight(trained, tmp_path):
    result = CliRunner().invoke(
        main, ["compress", str(trained), str(tmp_path / "x.lpz"), "--rule", "kernel=half", "--rule", "bias="]
    )
    assert result.exit_code == 0, result.output


def test_the_model_is_not_written_over(trained, tmp_path):
    saved = tmp_path / "saved"
    tf.keras.models.load_model(trained).save(saved)
    before = trained.read_bytes()
    for model, out in ((trained, trained), (saved, saved / "x.lpz")):
        result = CliRunner().invoke(main, ["compress", str(model), str(out)])
        assert result.exit_code == 2 and "would write over the model" in result.output
    assert trained.read_bytes() == before and not (saved / "x.lpz").exists()


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_code_in_a_file_runs_only_if_it_is_allowed(suffix, tmp_path):
    inputs = tf.keras.Input((4,))
    layer = tf.keras.layers.Lambda(lambda x: 2 * x)
    path = tmp_path / f"model{suffix}"
    tf.keras.Model(inputs, tf.keras.layers.Dense(3)(layer(inputs))).save(path)
    arguments = ["compress", str(path), str(tmp_path / "x.lpz")]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2 and "--allow-code" in refused.output
    assert CliRunner().invoke(main, [*arguments, "--allow-code"]).exit_code == 0


def test_what_is_no_model_is_named(tmp_path):
    text, folder = tmp_path / "text.keras", tmp_path / "folder"
    text.write_text("no model")
    folder.mkdir()
    weights = tmp_path / "weights.h5"
    tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(2,))]).save_weights(weights)
    for path, message in (
        (text, "is neither an HDF5 file nor an archive"),
        (folder, "is no SavedModel of a Keras model"),
        (weights, "holds weights and no architecture"),
        (of_keras_3(tmp_path / "three.keras"), "was written by Keras 3.15.0; this is Keras 2.14"),
        (of_keras_3(tmp_path / "three.h5"), "was written by Keras 3.15.0; this is Keras 2.14"),
        (checkpoints(tmp_path / "checkpoints"), "holds checkpoints, which are values without a model"),
    ):
        result = CliRunner().invoke(main, ["compress", str(path), str(tmp_path / "x.lpz")])
        assert result.exit_code == 2 and message in result.output and str(path) in result.output
        assert len(result.output) < 600 and "--import" not in result.output


def of_keras_3(path):
    """Writes what tells a file of Keras 3: its version, and a description that Keras 2 cannot read."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"], file.attrs["model_config"] = "3.15.0", '{"module": "keras"}'
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.15.0"}')
            archive.writestr("config.json", '{"module": "keras", "class_name": "Sequential"}')
    return path


def checkpoints(folder):
    tf.train.Checkpoint(x=tf.Variable(1.0)).save(str(folder / "ckpt"))
    return folder


def test_a_saved_model_of_tensorflow_2_4_is_read(tmp_path):
    """Its description of layers is in saved_model.pb; keras_metadata.pb came with TensorFlow 2.5."""
    model = tf.keras.Sequential([tf.keras.layers.Dense(40, input_shape=(30,)), tf.keras.layers.Dense(3)])
    model.save(tmp_path / "old", save_format="tf")
    path, metadata = tmp_path / "old" / "saved_model.pb", tmp_path / "old" / "keras_metadata.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for node in SavedMetadata.FromString(metadata.read_bytes()).nodes:
        described = saved.meta_graphs[0].object_graph_def.nodes[node.node_id].user_object
        described.identifier, described.metadata = node.identifier, node.metadata
    path.write_bytes(saved.SerializeToString())
    metadata.unlink()
    out = tmp_path / "x.lpz"
    result = CliRunner().invoke(
        main, ["compress", str(tmp_path / "old"), str(out), "--algorithm", "lossless"]
    )
    assert result.exit_code == 0, result.output
    restored = to_plain(load(out, model))
    for ours, theirs in zip(restored.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_custom_layer_is_known_once_its_module_is_imported(tmp_path):
    (tmp_path / "own_layer.py").write_text(
        "import tensorflow as tf\n\n\n"
        "@tf.keras.saving.register_keras_serializable('own')\n"
        "class Twice(tf.keras.layers.Dense):\n"
        "    def call(self, x):\n"
        "        return 2 * super().call(x)\n",
        encoding="utf-8",
    )
    script = (
        "import sys; sys.path.append('.'); import own_layer, tensorflow as tf\n"
        "model = tf.keras.Sequential([own_layer.Twice(64, input_shape=(64,))])\n"
        "for name in ('m.keras', 'm.h5', 'm'): model.save(name)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    for name in ("m.keras", "m.h5", "m"):
        arguments = ["compress", str(tmp_path / name), str(tmp_path / "x.lpz")]
        refused = CliRunner().invoke(main, arguments)
        assert refused.exit_code == 2 and "--import" in refused.output, refused.output
    imported = ["--import", str(tmp_path / "own_layer.py")]
    for name in ("m.keras", "m.h5", "m"):
        arguments = ["compress", str(tmp_path / name), str(tmp_path / "x.lpz"), *imported]
        assert CliRunner().invoke(main, arguments).exit_code == 0


def test_what_each_rule_takes_is_shown_first(tmp_path):
    names = ("conv_1", "separable_conv_1", "conv")
    layers = [tf.keras.layers.Dense(4, name=name) for name in names]
    tf.keras.Sequential([tf.keras.Input((4,)), *layers]).save(tmp_path / "m.h5")
    arguments = ["compress", str(tmp_path / "m.h5"), str(tmp_path / "m.lpz"), "--rule", "conv_1/="]
    done = CliRunner().invoke(main, [*arguments, "--dry-run"])
    lines = done.output.splitlines()
    assert lines == [
        "conv_1/ = in full: conv_1/kernel, conv_1/bias, separable_conv_1/kernel, separable_conv_1/bias",
        ".* = uniform: conv/kernel, conv/bias",
    ]
    assert not (tmp_path / "m.lpz").exists()
    assert CliRunner().invoke(main, arguments).output.splitlines()[:2] == lines
    anchored = CliRunner().invoke(main, [*arguments[:-1], "^conv_1/=", "--dry-run"])
    assert anchored.output.splitlines()[0] == "^conv_1/ = in full: conv_1/kernel, conv_1/bias"
