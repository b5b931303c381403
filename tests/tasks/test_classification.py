"""Tests what a classifier's logits say of it, and which examples it is trained, chosen and tested on."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import tasks
from lambdapress.framework.task import Evaluation, Metric, reported_split
from lambdapress.tasks.classification import classification
from lambdapress.tasks.keras_task import held_out


def test_metrics_are_kerass():
    random = np.random.default_rng(0)
    logits, labels = random.normal(scale=3, size=(500, 20)), random.integers(20, size=500)
    logits = logits.astype(np.float32)
    found = classification(logits, labels)
    keras = {
        "accuracy": tf.keras.metrics.sparse_categorical_accuracy(labels, logits),
        "top_5": tf.keras.metrics.sparse_top_k_categorical_accuracy(labels, logits, k=5),
        "nll": tf.keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True),
    }
    for name, values in keras.items():
        assert found.values[name] == pytest.approx(float(np.mean(values)), rel=1e-5), name


def test_a_constant_answer_is_the_best_one_there_is():
    labels = np.array([0, 0, 0, 1, 1, 2])
    constant = classification(np.zeros((6, 4)), labels).constant
    assert constant["accuracy"] == 0.5 and constant["top_5"] == pytest.approx(1)
    logits = np.log(np.array([[3, 2, 1, 1e-30]]) / 6).repeat(6, axis=0)
    assert classification(logits, labels).values["nll"] == pytest.approx(constant["nll"])


def test_records_say_what_was_predicted_and_how_surely():
    found = classification(np.log([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), np.array([0, 1]))
    assert list(found.records["predicted"]) == [0, 2] and list(found.records["label"]) == [0, 1]
    np.testing.assert_allclose(found.records["probability"], [0.7, 0.6])


def test_what_is_held_out_is_fixed_and_disjoint_and_nested():
    train, validation = held_out(1000, 100)
    assert len(train) == 900 and len(validation) == 100
    assert sorted([*train, *validation]) == list(range(1000))
    assert set(held_out(1000, 40)[1]) < set(validation)
    assert list(held_out(1000, 0)[0]) == list(range(1000))
    assert 400 < validation.mean() < 600  # of everywhere, not of one end


@pytest.mark.parametrize("name", ["digits", "markov_text", "markov_language"])
def test_examples_that_validate_are_not_trained_on(name):
    task = tasks.build(name)
    whole = task.load("train")
    parts = {split: task.examples(split) for split in ("train", "validation")}
    assert len(parts["validation"].labels) == task.validation_examples
    assert sum(len(part.labels) for part in parts.values()) == len(whole.labels)
    one_epoch = -(-len(parts["train"].labels) // task.batch_size)
    seen = np.concatenate([labels for _, labels in task.train_data().take(one_epoch).as_numpy_iterator()])
    assert sorted(map(tuple, np.atleast_2d(seen.T).T)) == sorted(
        map(tuple, np.atleast_2d(parts["train"].labels.T).T)
    )


def test_holding_nothing_out_trains_on_everything_and_says_so():
    task = tasks.build("digits", validation_examples=0)
    assert task.splits == ("test",) and len(task.examples("train").labels) == 1297
    with pytest.raises(ValueError, match="digits has no validation examples: digits.validation_examples"):
        task.evaluate(task.build_model(), "validation")
    assert tasks.build("digits").splits == ("validation", "test") and reported_split(task) == "test"


@pytest.mark.parametrize("wrong", [-1, 1.5, 1297])
def test_a_wrong_number_of_examples_is_named(wrong):
    with pytest.raises(ValueError, match="digits.validation_examples"):
        tasks.build("digits", validation_examples=wrong).examples("train")


def test_a_metric_has_a_direction():
    with pytest.raises(ValueError, match="direction of the metric 'loss' is higher or lower, got 'down'"):
        Metric("loss", "down")
    task = tasks.build("digits")
    assert task.metric("nll") == Metric("nll", "lower", "nat")
    assert task.metric("unheard") == Metric("unheard", unit="")
    assert isinstance(task.evaluate(task.build_model(), "validation"), Evaluation)
