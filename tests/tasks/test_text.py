"""Tests the text task: its sources are as described, and a good model comes near the best possible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import lambdapress.tasks
from lambdapress.framework import algorithms, to_compressible, to_plain
from lambdapress.framework.task import tasks
from lambdapress.tasks.markov import Sources, corpus

CONFIG = Path(lambdapress.tasks.__file__).parent.parent / "gin_configs" / "tasks" / "markov_text.gin"
SMALL = dict(
    validation_examples=1000,
    vocabulary=48,
    train_examples=16000,
    test_examples=2000,
    classes=4,
    learning_rate=0.02,
)


@pytest.fixture(scope="module")
def sources():
    return Sources.drawn(3, vocabulary=10, sources=3, classes=4)


def test_the_numbers_in_the_docstring():
    task = tasks.build("markov_text")
    made = task.corpus()
    assert made.best_accuracy == 0.975 and "97.5%" in CONFIG.read_text(encoding="utf-8")
    rates = Sources.drawn(0, task.vocabulary, task.sources, task.classes).entropy_rates()
    np.testing.assert_allclose(rates, [9.53, 9.57, 9.47, 9.56], atol=0.005)
    model = task.build_model()
    assert model.count_params() == 35236
    assert model.get_layer("embedding").count_params() / model.count_params() == pytest.approx(0.93, abs=5e-3)


def test_sentences_are_what_they_claim_to_be():
    made = corpus(seed=5, vocabulary=40, length=7, train=300, test=200)
    assert made.words.shape == (300, 7) and made.words.dtype == np.int32 and made.labels.shape == (300,)
    assert made.test_words.shape == (200, 7) and made.test_labels.dtype == np.int64
    assert set(made.words.ravel()) == set(range(40)) and set(made.labels) == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="read-only"):
        made.words[0] = 0
    corpus.cache_clear()
    again, other = (corpus(seed, 40, 7, 300, 200) for seed in (5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    assert not np.array_equal(made.words, other.words) and not np.array_equal(
        made.words[:200], made.test_words
    )


def test_likelihoods_are_probabilities(sources):
    """Checks that the likelihoods of all sentences of three words add up to one."""
    every = np.stack(np.meshgrid(*[np.arange(10)] * 3), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(np.exp(sources.log_likelihood(every)).sum(axis=0), 1)
    np.testing.assert_allclose(sources.posterior(every).sum(axis=1), 1)


def test_sentences_follow_the_likelihood(sources):
    """Checks that pairs of words occur as often as they should."""
    words, labels = sources.sentences(0, 60000, 2)
    pairs = np.stack(np.meshgrid(*[np.arange(10)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    expected = np.exp(sources.log_likelihood(pairs))
    for source in range(3):
        own = words[labels == source]
        counts = np.bincount(own[:, 0] * 10 + own[:, 1], minlength=100)
        np.testing.assert_allclose(counts / len(own), expected[:, source], atol=0.004)


def test_the_entropy_rate_is_that_of_long_sentences(sources):
    words, labels = sources.sentences(1, 300, 2000)
    bits = -sources.log_likelihood(words)[np.arange(300), labels] / np.log(2) / 2000
    for source, rate in enumerate(sources.entropy_rates()):
        assert bits[labels == source].mean() == pytest.approx(rate, rel=0.01)


def test_the_best_classifier_is_as_often_right_as_it_thinks(sources):
    words, labels = sources.sentences(2, 20000, 6)
    posterior = sources.posterior(words)
    assert np.mean(sources.best(words) == labels) == pytest.approx(posterior.max(axis=1).mean(), abs=0.01)
    assert np.array_equal(posterior.argmax(axis=1), sources.best(words))


@pytest.mark.parametrize(
    "numbers, message",
    [
        (dict(vocabulary=3, classes=4), "vocabulary=3"),
        (dict(sources=1), "sources=1"),
        (dict(length=0), "at least 1, got 0"),
    ],
)
def test_numbers_that_make_no_corpus(numbers, message):
    with pytest.raises(ValueError, match=message):
        corpus(**numbers)


def test_a_model_comes_near_the_best_possible():
    tf.keras.utils.set_random_seed(0)
    task = tasks.build("markov_text", **SMALL)
    model = task.build_model()
    task.train(model)
    assert (
        task.corpus().best_accuracy - 0.04
        < task.evaluate(model).values["accuracy"]
        < task.corpus().best_accuracy + 0.01
    )
    compressible = to_compressible(model, algorithms.build("epr"))
    assert (
        task.evaluate(to_plain(compressible)).values["accuracy"]
        == task.evaluate(compressible).values["accuracy"]
        > 0.8
    )
    assert compressible.inputs[0].dtype == tf.int32
