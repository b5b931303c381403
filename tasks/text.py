"""A text task whose best possible accuracy is known: which of four Markov chains wrote a sentence."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Optional

import tensorflow as tf

from ..framework.task import tasks
from .datasets import Split
from .keras_task import KerasTask
from .markov import Corpus, corpus


@tasks.register("markov_text")
@dataclasses.dataclass(frozen=True)
class MarkovText(KerasTask):
    """Sentences by four known Markov chains: an embedding and a GRU of 35,236 parameters, no download.

    The label is the source, as `markov.py` draws them: 1,024 words in 6 classes, sentences of 16 words,
    64,000 to train on and 5,000 to test on. The best possible classifier, which knows the chains, is right
    for 97.5% of the test sentences (`corpus().best_accuracy`), and none can be expected to do better. The
    sources have 9.53, 9.57, 9.47 and 9.56 bits a word, of 10. 93% of the parameters are in the embedding. The
    data is part of the task, not of a trial: the trial's seed does not change it.

    Attributes:
      vocabulary: how many words there are.
      length: words of a sentence.
      train_examples, test_examples: how many sentences.
      sources: how many labels there are.
      classes: of words, by which the sources go.
      data_seed: of the sources and their sentences.
      embedding_units: numbers a word in the embedding.
      recurrent_units: numbers in the GRU's state.
    """

    max_value: ClassVar[Optional[float]] = None

    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 2e-2
    final_learning_rate_factor: float = 0.01
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
        """The sentences, and how well one can do on them."""
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
        """Word ids, int32 of shape (examples, length), in the place of images."""
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
