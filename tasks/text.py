"""Trains a text classifier of known best accuracy: it tells which of four Markov chains wrote a sentence."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import tensorflow as tf

from ..framework.task import tasks
from .datasets import Split
from .keras_task import KerasTask
from .markov import Corpus, corpus


@tasks.register("markov_text")
@dataclasses.dataclass(frozen=True)
class MarkovText(KerasTask):
    """Sentences by four known Markov chains: an embedding and a GRU of 35,236 parameters, no download.

    The label is the source of a sentence (see `markov.py`). There are 1,024 words in 6 classes, and sentences
    of 16 words: 64,000 to train on, 5,000 of them held out, and 5,000 to test on. The best possible
    classifier, which knows the chains, is right for 97.5% of the test sentences (`corpus().best_accuracy`);
    no other can be expected to do better. The sources have 9.53, 9.57, 9.47 and 9.56 bits per word, of 10
    possible ones. 93% of the parameters are in the embedding. The data is part of the task, not of a trial:
    the trial's seed does not change it.

    Attributes:
      vocabulary: number of words.
      length: words per sentence.
      train_examples, test_examples: numbers of sentences.
      sources: number of sources, and so of labels.
      classes: number of word classes, by which the sources choose words.
      data_seed: seed of the sources and their sentences.
      embedding_units: numbers per word in the embedding.
      recurrent_units: numbers in the GRU's state.
    """

    max_value: ClassVar[float | None] = None

    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 2e-2
    final_learning_rate_factor: float = 0.01
    validation_examples: int = 5_000
    vocabulary: int = 1024
    length: int = 16
    train_examples: int = 64_000
    test_examples: int = 5_000
    sources: int = 4
    classes: int = 6
    data_seed: int = 0
    embedding_units: int = 32
    recurrent_units: int = 16

    def corpus(self) -> Corpus:
        """Returns the sentences, and the best possible accuracy on them."""
        return corpus(
            self.data_seed,
            self.vocabulary,
            self.length,
            self.train_examples,
            self.test_examples,
            self.sources,
            self.classes,
        )

    def load(self, split: str) -> Split:
        """Returns a split with word ids, int32 of shape (examples, length), instead of images."""
        made = self.corpus()
        return {
            "train": Split(made.words, made.labels),
            "test": Split(made.test_words, made.test_labels),
        }[split]

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        return tf.keras.Sequential(
            [
                layers.InputLayer((self.length,), dtype="int32", name="words"),
                layers.Embedding(self.vocabulary, self.embedding_units, name="embedding"),
                layers.GRU(self.recurrent_units, name="gru"),
                layers.Dense(self.sources, name="fc"),
            ],
            name="markov_text",
        )
