"""Tests checkpoints of training: they restore everything, and damaged ones are refused."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import Updates, algorithms, set_seeds, to_compressible
from lambdapress.framework.training import checkpoint
from lambdapress.framework.training.checkpoint import Checkpoint, CheckpointError

k = tf.keras.layers
X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)


def built(seed: int = 0, units: int = 8, algorithm: str = "epr") -> tf.keras.Model:
    set_seeds(seed)
    layers = [tf.keras.Input((4,)), k.Dense(units), k.Dropout(0.5), k.BatchNormalization(), k.Dense(2)]
    model = to_compressible(tf.keras.Sequential(layers), algorithms.build(algorithm), lmbda=0.1)
    model.compile("adam", "mse")
    return model


def fit(model: tf.keras.Model, first: int, last: int, callbacks=()) -> None:
    model.fit(
        X, X[:, :2], 8, initial_epoch=first, epochs=last, shuffle=False, callbacks=list(callbacks), verbose=0
    )


class Killed(tf.keras.callbacks.Callback):
    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise InterruptedError


def state(model: tf.keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in [*model.weights, *model.optimizer.variables]]


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))


@pytest.fixture
def saved(tmp_path) -> Path:
    model = built()
    fit(model, 0, 2, [Checkpoint(model, tmp_path / "saved")])
    return tmp_path / "saved"


def test_training_goes_on_as_if_it_had_not_stopped(saved):
    whole = built()
    fit(whole, 0, 5)
    other = built(seed=1)  # all of it must be replaced
    resumed = Checkpoint(other, saved)
    assert resumed.restore() == 2
    fit(other, 2, 5, [resumed])
    for expected, found in zip(state(whole), state(other), strict=True):
        np.testing.assert_array_equal(expected, found)
    again = built()
    assert Checkpoint(again, saved).restore() == 5
    assert len(list(saved.glob("*.index"))) == 1, "only the last one is kept"


@pytest.mark.parametrize("algorithm", ["pruning", "clustering", "low_rank", "chain"])
def test_updates_go_on_as_if_training_had_not_stopped(algorithm, tmp_path):
    """Resumes training after a schedule has begun to change masks, codebooks and ranks."""
    done = 3
    whole, killed, other = (built(seed, algorithm=algorithm) for seed in (0, 0, 1))
    fit(whole, 0, 5, [Updates()])
    with pytest.raises(InterruptedError):
        fit(killed, 0, 5, [Updates(), Checkpoint(killed, tmp_path), Killed(done)])
    assert (resumed := Checkpoint(other, tmp_path)).restore() == done
    fit(other, done, 5, [Updates(), resumed])
    for expected, found in zip(state(whole), state(other), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_the_numbers_of_random_layers_are_not_those_of_the_first_epoch(saved):
    """Checks the premise of the test above: without the generators' state, the outcome differs."""
    whole, other = built(), built()
    fit(whole, 0, 3)
    assert Checkpoint(other, saved).restore() == 2
    for generator, fresh in zip(checkpoint._generators(other), checkpoint._generators(built()), strict=True):
        generator.state.assign(fresh.state)
    fit(other, 2, 3)
    assert not all(np.array_equal(a, b) for a, b in zip(state(whole), state(other), strict=True))


def test_without_a_checkpoint_nothing_is_done(tmp_path):
    model = built()
    before = state(model)
    assert Checkpoint(model, tmp_path / "new").restore() == 0
    # By now the optimizer has variables, which are new.
    assert all(np.array_equal(a, b) for a, b in zip(before, state(model), strict=False))


def test_what_a_kill_in_the_middle_of_writing_leaves_is_no_checkpoint(saved):
    (saved / "checkpoint").unlink()
    assert Checkpoint(built(), saved).restore() == 0


def test_of_another_model_it_is_refused(saved):
    with pytest.raises(CheckpointError, match="cannot be used"):
        Checkpoint(built(units=9), saved).restore()


def test_damage_is_found(saved, tmp_path):
    """Damages files at random; each time the checkpoint is refused, or the damage is harmless."""
    chance, model = random.Random(0), built()
    Checkpoint(model, saved).restore()
    expected = state(model)
    outcomes = []
    for attempt in range(40):
        damaged = tmp_path / f"damaged-{attempt}"
        shutil.copytree(saved, damaged)
        victim = chance.choice(sorted(damaged.iterdir()))
        content = bytearray(victim.read_bytes())
        if chance.random() < 0.5:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del content[chance.randrange(len(content)) :]
        victim.write_bytes(content)
        try:
            assert Checkpoint(model, damaged).restore() == 2
            assert all(np.array_equal(a, b) for a, b in zip(expected, state(model), strict=True))
            outcomes.append("harmless")
        except CheckpointError as error:
            assert str(damaged) in str(error)
            outcomes.append("refused")
            assert Checkpoint(model, saved).restore() == 2
    assert outcomes.count("refused") > 30


def test_saving_takes_a_share_of_the_time_at_most(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint, "SHARE", 0.1)
    model = built()
    saving = Checkpoint(model, tmp_path)
    epochs = []

    def save(checkpoint_number):
        epochs.append(checkpoint_number)
        now[0] += 2.0

    monkeypatch.setattr(saving._manager, "save", save)
    now[0] = 100.0
    for epoch in range(10):
        now[0] += 5.0
        saving.on_epoch_end(epoch)
    assert epochs == [1, 5, 9]


def test_under_a_strategy(tmp_path):
    cpus = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([cpu.name for cpu in cpus])

    def trained(first, last, callbacks=lambda model: []):
        with strategy.scope():
            model = built()
        fit(model, first, last, callbacks(model))
        return model

    whole = trained(0, 3)
    trained(0, 2, lambda model: [Checkpoint(model, tmp_path)])
    with strategy.scope():
        model = built()
    assert Checkpoint(model, tmp_path).restore() == 2
    fit(model, 2, 3)
    for expected, found in zip(state(whole), state(model), strict=True):
        np.testing.assert_array_equal(expected, found)
