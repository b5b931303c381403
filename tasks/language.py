"""Trains a language model whose best possible perplexity is known: the next word of four Markov chains."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.special
import tensorflow as tf

from ..framework.task import TEST, Evaluation, Metric, tasks
from .datasets import Split
from .keras_task import KerasTask
from .markov import Sources

_VOCABULARY, _LENGTH = 256, 16
_SENTENCES = {"train": 16_000, "test": 4_000}


@tasks.register("markov_language")
@dataclasses.dataclass(frozen=True)
class MarkovLanguage(KerasTask):
    """Sentences by four known Markov chains, word by word: an embedding and a GRU, 22,976 parameters.

    There are 256 words in 6 classes, and sentences of 16 words: 16,000 to train on, 2,000 of them held out,
    and 4,000 to test on (see `markov.py`). The main metric is the perplexity, e to the mean negative
    log-likelihood in nats of all words but the first; `best_perplexity` says what a reader who knows the
    chains would have.

    Attributes:
      embedding_units: numbers per word in the embedding.
      recurrent_units: numbers in the GRU's state.
    """

    metrics: ClassVar[Sequence[Metric]] = (
        Metric("perplexity", direction="lower", unit=""),
        Metric("nll", direction="lower", unit="nat"),
        Metric("accuracy"),
    )
    max_value: ClassVar[float | None] = None

    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 1e-2
    final_learning_rate_factor: float = 0.01
    validation_examples: int = 2_000
    embedding_units: int = 32
    recurrent_units: int = 32

    def load(self, split: str) -> Split:
        """Returns the words but the last, int32 `[sentences, 15]`, and the words that follow, int64."""
        words = _words(split)
        return Split(words[:, :-1], words[:, 1:].astype(np.int64))

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.InputLayer((_LENGTH - 1,), dtype="int32", name="words"),
                layers.Embedding(_VOCABULARY, self.embedding_units, name="embedding"),
                layers.GRU(self.recurrent_units, return_sequences=True, name="gru"),
                layers.Dense(_VOCABULARY, name="fc"),
            ],
            name="markov_language",
        )

    def evaluate(self, model: tf.keras.Model, split: str = TEST) -> Evaluation:
        """Measures the perplexity, and keeps the mean negative log-likelihood of each sentence, in nats."""
        losses, right = [], []
        for logits, labels in self.predictions(model, split):
            logs = scipy.special.log_softmax(np.asarray(logits, np.float64), axis=-1)
            losses.append(-np.take_along_axis(logs, labels[..., np.newaxis], axis=-1)[..., 0].mean(axis=-1))
            right.append((logits.argmax(axis=-1) == labels).mean(axis=-1))
        nll = np.concatenate(losses)
        counts = np.bincount(self.examples(split).labels.ravel(), minlength=_VOCABULARY)
        shares = counts / counts.sum()
        guess = float(-scipy.special.xlogy(shares, shares).sum())
        return Evaluation(
            values={
                "perplexity": float(np.exp(nll.mean())),
                "nll": float(nll.mean()),
                "accuracy": float(np.concatenate(right).mean()),
            },
            constant={"perplexity": float(np.exp(guess)), "nll": guess, "accuracy": float(shares.max())},
            records={"nll": nll},
        )

    def best_perplexity(self) -> float:
        """Returns the perplexity on the test split of a reader who knows the chains but not which one writes.

        His probability of a word, given those before it, is the ratio of what the chains together give to the
        sentence with it and without it; over a sentence all but the first word's cancel.
        """
        likelihoods = _sources().log_likelihood(_words("test"))  # of whole sentences, first word included
        whole = scipy.special.logsumexp(likelihoods, axis=-1) - np.log(likelihoods.shape[-1])
        nll = -(whole + np.log(_VOCABULARY)).mean() / (_LENGTH - 1)
        return float(np.exp(nll))


@functools.cache
def _sources() -> Sources:
    return Sources.drawn(seed=0, vocabulary=_VOCABULARY, classes=6)


@functools.cache
def _words(split: str) -> Any:
    words, _ = _sources().sentences(list(_SENTENCES).index(split) + 1, _SENTENCES[split], _LENGTH)
    words.setflags(write=False)
    return words
