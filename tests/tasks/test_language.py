"""Tests the language model on sentences whose best possible perplexity is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lambdapress.framework import tasks
from lambdapress.tasks import language


def test_the_best_perplexity_is_that_of_the_chains_themselves():
    """Word by word: the posterior of the writer, times what each would write next."""
    sources = language._sources()
    words = language._words("test")[:20]
    sizes = np.bincount(sources.word_class)
    nll = []
    for sentence in words:
        log_posterior = np.zeros(len(sources.transitions))
        for before, after in itertools.pairwise(sources.word_class[sentence]):
            posterior = np.exp(log_posterior - log_posterior.max())
            following = sources.transitions[:, before, after] / sizes[after]
            nll.append(-np.log(posterior @ following / posterior.sum()))
            log_posterior += np.log(following)
    task = tasks.build("markov_language")
    likelihoods = sources.log_likelihood(words)
    whole = np.logaddexp.reduce(likelihoods, axis=-1) - np.log(likelihoods.shape[-1])
    assert np.mean(nll) == pytest.approx(-(whole + np.log(256)).mean() / 15, rel=1e-9)
    assert task.best_perplexity() < np.exp(np.mean(nll)) * 1.1


def test_training_comes_close_to_the_best_perplexity():
    task = tasks.build("markov_language", epochs=3)
    model = task.build_model()
    task.train(model)
    found = {split: task.evaluate(model, split) for split in task.splits}
    best, guess = task.best_perplexity(), found["test"].constant["perplexity"]
    for evaluation in found.values():
        assert best * 0.98 < evaluation.values["perplexity"] < best + 0.6 * (guess - best)
        assert evaluation.values["nll"] == pytest.approx(np.log(evaluation.values["perplexity"]))
        assert evaluation.records["nll"].mean() == pytest.approx(evaluation.values["nll"])
