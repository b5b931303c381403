"""Tests the record of epochs: a line for each, kept over interruptions."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import LmbdaWarmup, algorithms, set_seeds, to_compressible
from lambdapress.framework.training.checkpoint import CheckpointError
from lambdapress.sweeps.trial.history import Epochs

k = tf.keras.layers
X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
LMBDA, PARAMS, STEPS = 0.5, 4 * 2 + 2, 4


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epochs.csv"


def built(seed=0) -> tf.keras.Model:
    set_seeds(seed)
    plain = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(2, bias_initializer="ones")])
    model = to_compressible(plain, algorithms.build("epr"), lmbda=LMBDA)
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def fitted(path, first=0, last=3, model=None, callbacks=(), **arguments):
    """Trains epochs `first` + 1 to `last`; returns the model and Keras's history."""
    model = model or built()
    callbacks = [*callbacks, Epochs(path)]
    done = model.fit(
        X, X[:, :2], 8, initial_epoch=first, epochs=last, callbacks=callbacks, verbose=0, **arguments
    )
    return model, done.history


def lines(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(path, name):
    return [float(line[name]) for line in lines(path)]


def test_each_epoch_has_a_line_with_the_logs_the_rate_and_lambda(path):
    model, history = fitted(path)
    assert {"epoch", "loss", "mae", "rate", "lmbda"} <= set(lines(path)[0])
    assert [line["epoch"] for line in lines(path)] == ["1", "2", "3"]
    assert column(path, "loss") == pytest.approx(history["loss"])
    assert column(path, "mae") == pytest.approx(history["mae"])
    assert column(path, "lmbda") == [LMBDA] * 3
    rates = column(path, "rate")
    assert len(set(rates)) == 3  # of its own epoch
    assert rates[-1] == pytest.approx(sum(map(float, model.losses)) * PARAMS / LMBDA, rel=1e-4)


def test_lambda_is_that_of_the_end_of_the_epoch(path):
    fitted(path, callbacks=[LmbdaWarmup(2 * STEPS)])
    assert column(path, "lmbda") == pytest.approx([LMBDA * 3 / 8, LMBDA * 7 / 8, LMBDA])


def test_the_file_is_complete_after_each_epoch(path):
    seen = []

    class Look(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(len(lines(path)) if path.exists() else None)

    fitted(path, callbacks=[Look()])
    assert seen == [None, 1, 2] and [file.name for file in path.parent.iterdir()] == [path.name]


def test_training_that_goes_on_keeps_the_lines_before_and_replaces_those_after(path):
    fitted(path)
    before = path.read_text().splitlines()
    fitted(path, first=1, model=built(seed=1))
    after = path.read_text().splitlines()
    assert after[:2] == before[:2] and len(after) == len(before) == 4
    assert after[2] != before[2] and after[3] != before[3]
    assert [line["epoch"] for line in lines(path)] == ["1", "2", "3"]


def test_lines_of_epochs_that_are_not_reached_again_are_dropped(path):
    fitted(path)
    fitted(path, first=1, last=2, model=built(seed=1))
    assert [line["epoch"] for line in lines(path)] == ["1", "2"]


def test_training_that_starts_anew_has_no_old_line(path):
    fitted(path, model=built(seed=1))
    before = path.read_text()
    fitted(path, last=2)
    assert len(lines(path)) == 2 and not set(path.read_text().splitlines()[1:]) & set(before.splitlines())


def test_interrupted_training_has_the_lines_of_training_that_was_not(path, tmp_path):
    whole = tmp_path / "whole.csv"
    fitted(whole, shuffle=False)
    model, _ = fitted(path, last=2, shuffle=False)
    fitted(path, first=2, model=model, shuffle=False)
    assert path.read_text() == whole.read_text()


def test_logs_that_appear_later_are_empty_before(path):
    model, _ = fitted(path, last=2)
    fitted(path, first=2, model=model, validation_data=(X, X[:, :2]))
    assert [line["val_loss"] != "" for line in lines(path)] == [False, False, True]
    assert all(line["loss"] for line in lines(path))


@pytest.mark.parametrize(
    "content",
    [
        b"loss,rate\n0.5,3\n",
        b"epoch,loss\nfirst,0.5\n",
        b"epoch,loss\n1.5,0.5\n",
        b"epoch,loss\n1,0.5\n,0.4\n",
        b"epoch,loss\n1,0.5\n\xff\xfe\x00,0.4\n",
        b'epoch,loss\n"1,0.5\n2,0.4\n',
        b"epoch,loss\n1," + b"9" * 200_000 + b"\n",
        np.random.default_rng(0).bytes(1000),
    ],
    ids=["no epoch", "word", "fraction", "blank", "no text", "quote", "long", "random"],
)
def test_a_damaged_file_is_refused_by_name_and_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"epochs\.csv"):
        Epochs(path)
    assert path.read_bytes() == content
