"""Trains Official Models' BERT on the sentences of `markov.py`, whose best possible accuracy is known."""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from ..framework.task import tasks
from .markov import corpus
from .official import OfficialTask

_LENGTH, _VOCABULARY, _SOURCES = 16, 1024, 4
_BATCH, _STEPS = 256, 1000


@tasks.register("markov_bert")
@dataclasses.dataclass(frozen=True)
class MarkovBert(OfficialTask):
    """Sentences by four known Markov chains: Official Models' BERT, 2 layers of 64 units, no download.

    This is the experiment `bert/sentence_prediction` on the data of `markov_text`, where the best possible
    accuracy is 97.5%.
    """

    deterministic: ClassVar[bool] = True
    evaluated_on: ClassVar[str] = "test"
    base: ClassVar[Mapping[str, Any]] = {
        "task.model.num_classes": _SOURCES,
        "task.model.encoder.bert": {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_attention_heads": 2,
            "num_layers": 2,
            "vocab_size": _VOCABULARY,
            "max_position_embeddings": _LENGTH,
        },
        "task.train_data": {"seq_length": _LENGTH, "global_batch_size": _BATCH},
        "task.validation_data": {"seq_length": _LENGTH, "global_batch_size": 250},
        "trainer.train_steps": _STEPS,
        "trainer.steps_per_loop": 250,
        "trainer.optimizer_config.learning_rate.polynomial": {
            "initial_learning_rate": 1e-3,
            "decay_steps": _STEPS,
        },
        "trainer.optimizer_config.warmup.polynomial.warmup_steps": 50,
    }

    experiment: str = "bert/sentence_prediction"
    metric_name: str | None = "cls_accuracy"

    def prepare(self, config: Any) -> None:
        """Sets the paths of the sentences, unless an override did."""
        for split in ("train", "validation"):
            data = getattr(config.task, f"{split}_data")
            data.input_path = data.input_path or os.path.join(_folder().name, f"{split}.tfrecord")


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Writes the sentences as Official Models reads them, once per process; they are removed at its end."""
    folder = tempfile.TemporaryDirectory(prefix="lambdapress-")
    made = corpus()
    for split, words, labels in (
        ("train", made.words, made.labels),
        ("validation", made.test_words, made.test_labels),
    ):
        with tf.io.TFRecordWriter(os.path.join(folder.name, f"{split}.tfrecord")) as writer:
            for sentence, label in zip(words, labels, strict=True):
                writer.write(_example(sentence, int(label)).SerializeToString())
    return folder


def _example(words: np.ndarray, label: int) -> tf.train.Example:
    columns = {
        "input_ids": words,
        "input_mask": np.ones_like(words),
        "segment_ids": np.zeros_like(words),
        "label_ids": [label],
    }
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        for name, values in columns.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features))
