"""Makes sentences from sources of known statistics, so that the best possible accuracy is known exactly.

Each source is a Markov chain over the words of one vocabulary. Words belong to classes. A source chooses the
class of the next word by the class of the last one, and then a word of that class evenly. All sources choose
words in the same way, so only the order of classes tells them apart. The data does not say which class a word
belongs to: a model has to learn a representation of each word.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np


class Corpus(NamedTuple):
    """Sentences to train on and to test on. The arrays are shared and read-only.

    Attributes:
      words: word ids in [0, vocabulary), int32 of shape (train, length).
      labels: which source wrote each sentence, int64 of shape (train,).
      test_words, test_labels: other sentences by the same sources, of shape (test, length) and (test,).
      best_accuracy: accuracy in [0, 1] of the Bayes-optimal classifier on the test sentences.
    """

    words: np.ndarray
    labels: np.ndarray
    test_words: np.ndarray
    test_labels: np.ndarray
    best_accuracy: float


@functools.lru_cache(maxsize=4)
def corpus(
    seed: int = 0,
    vocabulary: int = 1024,
    length: int = 16,
    train: int = 64_000,
    test: int = 5_000,
    sources: int = 4,
    classes: int = 6,
) -> Corpus:
    """Makes a corpus in at most a second; it is the same on every machine.

    Args:
      seed: seed of everything.
      vocabulary: number of words.
      length: words per sentence.
      train: number of sentences to train on.
      test: number of sentences to test on.
      sources: number of Markov chains that write them, and so of labels.
      classes: number of word classes, by which the sources choose words.

    Raises:
      ValueError: for numbers that are too small.
    """
    if min(length, train, test) < 1:
        raise ValueError(f"length, train and test must be at least 1, got {length}, {train} and {test}.")
    drawn = Sources.drawn(seed, vocabulary, sources, classes)
    words, labels = drawn.sentences(seed + 1, train, length)
    test_words, test_labels = drawn.sentences(seed + 2, test, length)
    for array in (words, labels, test_words, test_labels):
        array.setflags(write=False)
    accuracy = float(np.mean(drawn.best(test_words) == test_labels))
    return Corpus(words, labels, test_words, test_labels, accuracy)


@dataclasses.dataclass(frozen=True, eq=False)
class Sources:
    """K Markov chains over the same V words in C classes.

    Attributes:
      transitions: `[K, C, C]`, float64: probability of the next word's class, given the last word's.
      word_class: `[V]`, int64: the class of each word.
    """

    transitions: np.ndarray
    word_class: np.ndarray

    @classmethod
    def drawn(cls, seed: int, vocabulary: int, sources: int = 4, classes: int = 8) -> Sources:
        """Draws sources at random: each row of transitions evenly among all distributions (Dirichlet of 1).

        Args:
          seed: seed of the transitions and of the classes of words.
          vocabulary: number of words, at least as many as classes, which share them evenly.
          sources: number of sources, at least 2.
          classes: number of word classes, at least 2.

        Raises:
          ValueError: for numbers that are too small.
        """
        if sources < 2 or classes < 2 or vocabulary < classes:
            raise ValueError(
                f"There must be at least 2 sources, 2 classes and a word a class, got sources={sources}, "
                f"classes={classes}, vocabulary={vocabulary}."
            )
        draw = np.random.default_rng(seed)
        transitions = draw.dirichlet(np.ones(classes), size=(sources, classes))
        return cls(transitions, draw.permutation(vocabulary) % classes)

    def sentences(self, seed: int, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws sentences, each by a source that is drawn evenly, with a first word that is drawn evenly.

        Args:
          seed: seed of the sentences.
          count: number of sentences.
          length: words per sentence, at least 1.

        Returns:
          Word ids in [0, V), int32 of shape (count, length); sources in [0, K), int64 of shape (count,).
        """
        draw = np.random.default_rng(seed)
        labels = draw.integers(len(self.transitions), size=count)
        cumulated = self.transitions.cumsum(axis=-1)
        classes = self.transitions.shape[-1]
        members = [np.flatnonzero(self.word_class == c) for c in range(classes)]
        sizes = np.array([len(member) for member in members])
        table = np.zeros((classes, sizes.max()), np.int32)
        for c, member in enumerate(members):
            table[c, : len(member)] = member
        state = self.word_class[draw.integers(len(self.word_class), size=count)]
        words = np.empty((count, length), np.int32)
        for position in range(length):
            if position:
                below = cumulated[labels, state] <= draw.random(count)[:, np.newaxis]
                state = np.minimum(below.sum(axis=-1), classes - 1)
            words[:, position] = table[state, draw.integers(sizes[state])]
        return words, labels

    def log_likelihood(self, words: np.ndarray) -> np.ndarray:
        """Returns the natural logarithm of each sentence's probability under each source, `[count, K]`.

        ln P(w | k) = −ln V + Σₜ (ln Tₖ[c(wₜ₋₁), c(wₜ)] − ln |c(wₜ)|), over all words but the first, where |c|
        is the number of words in class c.
        """
        classes = self.word_class[words]
        with np.errstate(divide="ignore"):
            steps = np.log(self.transitions)[:, classes[:, :-1], classes[:, 1:]].sum(axis=-1)
        sizes = np.bincount(self.word_class)
        evenly = np.log(len(self.word_class)) + np.log(sizes)[classes[:, 1:]].sum(axis=-1)
        return (steps - evenly).T

    def best(self, words: np.ndarray) -> np.ndarray:
        """Returns each sentence's most likely source, `[count]`; none can be expected to do better."""
        return self.log_likelihood(words).argmax(axis=-1)

    def posterior(self, words: np.ndarray) -> np.ndarray:
        """Returns the probability that each source wrote each sentence, `[count, K]`."""
        likelihood = self.log_likelihood(words)
        scaled = np.exp(likelihood - likelihood.max(axis=-1, keepdims=True))
        return scaled / scaled.sum(axis=-1, keepdims=True)

    def entropy_rates(self) -> np.ndarray:
        """Returns long-run bits per word of each source, `[K]`: for the next class and the word in it."""
        sizes = np.bincount(self.word_class)
        rates = []
        for transitions in self.transitions:
            values, vectors = np.linalg.eig(transitions.T)
            stationary = np.real(vectors[:, np.argmax(np.real(values))])
            stationary /= stationary.sum()
            logs = np.log2(transitions, where=transitions > 0, out=np.zeros_like(transitions))
            rates.append(stationary @ (np.log2(sizes) - (transitions * logs).sum(axis=-1)))
        return np.array(rates)
