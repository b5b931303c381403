"""Checks that a trial that is killed in training resumes, and ends with the bytes of an undisturbed one."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework.training.checkpoint import CheckpointError
from lambdapress.sweeps.trial.callbacks import Clock
from lambdapress.sweeps.trial.run import run_trial
from lambdapress.sweeps.trial.trial import CHECKPOINT, CLOCK, EPOCHS, Trial
from lambdapress.tasks.datasets import Split
from lambdapress.tasks.keras_task import batches

# Dropout uses random numbers, batch normalisation has weights that are not trained, λ rises until epoch 4.
TRIAL = Trial(
    "fragile",
    "epr",
    0.5,
    3,
    "fragile.epochs = 5\nfragile.fault = 'wobbly'\ntrial.lmbda_warmup = 0.7\n",
)
# Runs the trial in each directory. A number after a directory: the epoch at whose third step it is killed.
PROGRAM = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import fragile_task
from lambdapress.framework.training import checkpoint
from lambdapress.sweeps.trial import callbacks
from lambdapress.sweeps.trial.run import run_trial
from lambdapress.sweeps.trial.trial import Trial

callbacks.REPORT_SECONDS = 0
checkpoint.SHARE = float("inf")

def report(state):
    if state["stage"] == "train":
        print(state["epoch"], flush=True)
        if (state["epoch"], state["step"]) >= (kill_at, 3):
            os.kill(os.getpid(), signal.SIGKILL)

for argument in sys.argv[1:]:
    directory, _, epoch = argument.partition(":")
    kill_at = int(epoch or 99)
    result = run_trial({TRIAL!r}, Path(directory), report)
    assert result["status"] == "ok", result["error"]
"""


def run(*arguments: str) -> tuple[int, list[int], str]:
    """Runs `PROGRAM`; returns the exit code, the epochs that were trained, and the log."""
    process = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
    return process.returncode, sorted({int(line) for line in process.stdout.split()}), process.stderr


def record(directory: Path) -> dict:
    return json.loads((directory / "result.json").read_text())


def scalars(directory: Path) -> dict[tuple[str, int], float]:
    """Reads the numbers of training that TensorBoard shows, by name and epoch."""
    found = {}
    for path in sorted((directory / "events").iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag.startswith("epoch/"):
                    found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_a_killed_trial_ends_with_the_bytes_of_one_that_was_not(tmp_path):
    killed, damaged, calm = (tmp_path / name for name in ("killed", "damaged", "calm"))
    code, epochs, _ = run(f"{killed}:3")
    assert code == -signal.SIGKILL and epochs == [1, 2, 3]
    assert (killed / CHECKPOINT).is_dir() and not (killed / "result.json").exists()
    before = json.loads((killed / CLOCK).read_text())
    assert list(before) == ["1", "2"]
    shutil.copytree(killed, damaged)
    weights = next((damaged / CHECKPOINT).glob("*.data*"))
    weights.write_bytes(weights.read_bytes()[:-100])

    code, epochs, _ = run(str(killed))
    assert (code, epochs) == (0, [3, 4, 5]), "goes on after the two epochs that were whole"
    code, epochs, log = run(str(damaged), str(calm))
    assert (code, epochs) == (0, [1, 2, 3, 4, 5])
    assert log.count("Training starts anew") == 1 and f"The checkpoint {damaged}" in log

    for directory in (killed, damaged):
        assert (directory / "model.lpz").read_bytes() == (calm / "model.lpz").read_bytes()
        for name in ("metrics", "metric_compressible", "estimated_bytes"):
            assert record(directory)[name] == record(calm)[name]
        assert scalars(directory) == scalars(calm)
        assert (directory / EPOCHS).read_text() == (calm / EPOCHS).read_text()
        assert not (directory / CHECKPOINT).exists() and not (directory / CLOCK).exists()
    assert record(killed)["train_seconds"] > before["2"]


@pytest.mark.parametrize("keep", [False, True])
def test_the_checkpoint_stays_if_it_is_wanted(tmp_path, keep):
    config = f"digits.epochs = 1\ntrial.keep_checkpoint = {keep}\n"
    assert run_trial(Trial("digits", "none", 0.0, 0, config), tmp_path)["status"] == "ok"
    assert (tmp_path / CHECKPOINT / "checkpoint").exists() == keep


def augment(images, seed):
    return images + tf.cast(tf.random.stateless_uniform([], seed, maxval=100, dtype=tf.int32), tf.uint8)


@pytest.mark.parametrize("augment", [None, augment])
def test_data_of_a_later_epoch_is_as_if_the_earlier_ones_had_been_read(augment):
    split = Split.of(np.arange(100).reshape(100, 1, 1, 1), np.arange(100))

    def read(first_epoch, count):
        tf.keras.utils.set_random_seed(4)
        data = batches(split, 255.0, 32, True, augment, first_epoch).take(count)
        return [(images.numpy().tobytes(), labels.numpy().tolist()) for images, labels in data]

    whole = read(0, 20)
    assert [len(labels) for _, labels in whole[:5]] == [32, 32, 32, 4, 32]
    assert read(3, 8) == whole[12:]
    passes = batches(split, 255.0, 32, True, augment)
    tf.keras.utils.set_random_seed(4)
    once = [(images.numpy().tobytes(), labels.numpy().tolist()) for images, labels in passes]
    assert once == whole[:4], "one pass is the first epoch"


def trained(callback, first=0, epochs=4):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    x = np.zeros((2, 1))
    model.fit(x, x, 1, initial_epoch=first, epochs=epochs, callbacks=[callback], verbose=0)


@pytest.mark.parametrize("first", [0, 2, 4])
def test_the_clock_counts_what_went_into_the_model(tmp_path, first):
    path = tmp_path / CLOCK
    path.write_text(json.dumps({"1": 1000.0, "2": 2000.0, "3": 3000.0, "4": 4000.0}))
    clock = Clock(path)
    trained(clock, first)
    assert 1000 * first < clock.seconds < 1000 * first + 100
    after = json.loads(path.read_text())
    assert all(1000 * first <= after[str(epoch)] < 1000 * first + 100 for epoch in range(first + 1, 5))


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"1": null}'])
def test_a_damaged_clock_is_a_damaged_checkpoint(tmp_path, content):
    path = tmp_path / CLOCK
    path.write_text(content)
    with pytest.raises(CheckpointError, match="clock.json"):
        Clock(path)
