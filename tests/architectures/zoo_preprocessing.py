"""Has models with layers that prepare data: tables, statistics, texts, ragged and sparse inputs.

The sender has adapted the layers to data before the model was built; who reads a file has not.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from architecture_zoo import BATCH, Built, entry, noise, tokens

k = tf.keras.layers
WORDS = ["ash", "birch", "cedar", "elm"]
TEXTS = np.array([["ash birch elm"], ["cedar oak"], ["Elm, elm!"]])


def words(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).choice([*WORDS, "oak"], size=(BATCH, *shape)).astype(object)


@entry(adapts=True)
def normalization(adapted: bool) -> Built:
    inputs = tf.keras.Input((4, 5))
    layers = {
        "last": k.Normalization(),
        "none": k.Normalization(axis=None),
        "back": k.Normalization(invert=True),
    }
    outputs = {"given": k.Dense(2)(k.Normalization(mean=2.0, variance=3.0)(inputs))}
    for name, layer in layers.items():
        if adapted:
            layer.adapt(5 + 3 * noise(4, 5, batch=50, seed=7))
        outputs[name] = k.Dense(3)(layer(inputs))
    return tf.keras.Model(inputs, outputs), 5 + 3 * noise(4, 5)


@entry(adapts=True, limits={"keras": "fitted: off by", "tflite-builtin": "DenseBincount"})
def discretization(adapted: bool) -> Built:
    inputs = tf.keras.Input((3,))
    fitted = k.Discretization(num_bins=4, epsilon=0.01)
    if adapted:
        fitted.adapt(noise(3, batch=100, seed=8))
    fixed = k.Discretization([-1.0, 0.0, 1.0], output_mode="multi_hot")
    outputs = {"fitted": k.Flatten()(k.Embedding(4, 2)(fitted(inputs))), "fixed": k.Dense(2)(fixed(inputs))}
    return tf.keras.Model(inputs, outputs), noise(3)


@entry
def discretization_with_fixed_bins() -> Built:
    inputs = tf.keras.Input((3,))
    x = k.Discretization([-1.0, 0.0, 1.0])(inputs)
    return tf.keras.Model(inputs, k.Dense(2)(k.Flatten()(k.Embedding(4, 3)(x)))), noise(3)


@entry(limits={"tflite-builtin": "DenseBincount"})
def categories() -> Built:
    inputs = {"one": tf.keras.Input((1,), dtype=tf.int32), "many": tf.keras.Input((4,), dtype=tf.int32)}
    x = [
        k.CategoryEncoding(6, "one_hot")(inputs["one"]),
        k.CategoryEncoding(6, "multi_hot")(inputs["many"]),
        k.CategoryEncoding(6, "count")(inputs["many"]),
    ]
    model = tf.keras.Model(inputs, k.Dense(3)(k.Concatenate()(x)))
    return model, {"one": tokens(6, 1), "many": tokens(6, 4)}


@entry(limits={"tflite-builtin": "StringToHashBucketFast"})
def hashing() -> Built:
    inputs = {"word": tf.keras.Input((1,), dtype=tf.string), "number": tf.keras.Input((1,), dtype=tf.int32)}
    x = [
        k.Hashing(5, salt=3, output_mode="one_hot")(inputs["word"]),
        k.HashedCrossing(7, output_mode="one_hot")([inputs["word"], inputs["number"]]),
        k.Hashing(5, output_mode="multi_hot")(inputs["number"]),
    ]
    model = tf.keras.Model(inputs, k.Dense(3)(k.Concatenate()(x)))
    return model, {"word": words(1), "number": tokens(9, 1)}


@entry(limits={"tflite-builtin": "HashTable"})
def lookups_with_fixed_vocabularies() -> Built:
    inputs = {"word": tf.keras.Input((2,), dtype=tf.string), "number": tf.keras.Input((2,), dtype=tf.int32)}
    word = k.StringLookup(vocabulary=WORDS)(inputs["word"])
    number = k.IntegerLookup(vocabulary=[2, 5, 7], output_mode="multi_hot")(inputs["number"])
    x = [k.Flatten()(k.Embedding(5, 3)(word)), number]
    return tf.keras.Model(inputs, k.Dense(3)(k.Concatenate()(x))), {"word": words(2), "number": tokens(9, 2)}


@entry(adapts=True, limits={"tflite-builtin": "HashTable"})
def adapted_lookups(adapted: bool) -> Built:
    inputs = {"word": tf.keras.Input((2,), dtype=tf.string), "number": tf.keras.Input((2,), dtype=tf.int32)}
    word, number = k.StringLookup(max_tokens=6), k.IntegerLookup(max_tokens=5)
    if adapted:
        word.adapt(np.array(WORDS * 2))
        number.adapt(np.array([2, 5, 7, 2]))
    x = [
        k.Flatten()(k.Embedding(6, 3)(word(inputs["word"]))),
        k.Flatten()(k.Embedding(5, 2)(number(inputs["number"]))),
    ]
    return tf.keras.Model(inputs, k.Dense(3)(k.Concatenate()(x))), {"word": words(2), "number": tokens(9, 2)}


@entry(limits={"tflite-builtin": "StringSplit"})
def text_vectorization_with_a_fixed_vocabulary() -> Built:
    layers = [
        k.TextVectorization(output_sequence_length=4, vocabulary=WORDS),
        k.Embedding(6, 4, mask_zero=True),
        k.GlobalAveragePooling1D(),
        k.Dense(3),
    ]
    return tf.keras.Sequential([tf.keras.Input((1,), dtype=tf.string), *layers]), TEXTS.astype(object)


@entry(adapts=True, limits={"tflite-builtin": "StringSplit"})
def adapted_text_vectorization(adapted: bool) -> Built:
    layer = k.TextVectorization(max_tokens=8, output_sequence_length=4)
    if adapted:
        layer.adapt(TEXTS)
    layers = [layer, k.Embedding(8, 4), k.Flatten(), k.Dense(3)]
    return tf.keras.Sequential([tf.keras.Input((1,), dtype=tf.string), *layers]), TEXTS.astype(object)


@entry(adapts=True, limits={"tflite-builtin": "StringSplit"})
def words_by_frequency(adapted: bool) -> Built:
    layer = k.TextVectorization(max_tokens=8, output_mode="tf_idf", pad_to_max_tokens=True)
    if adapted:
        layer.adapt(TEXTS)
    return tf.keras.Sequential([tf.keras.Input((1,), dtype=tf.string), layer, k.Dense(3)]), TEXTS.astype(
        object
    )


@entry
def augmentation() -> Built:
    """Random layers do nothing at inference, or the same each time."""
    layers = [
        k.RandomBrightness(0.2),
        k.RandomContrast(0.2),
        k.RandomFlip(),
        k.RandomRotation(0.2),
        k.RandomTranslation(0.1, 0.1),
        k.RandomZoom(0.2),
        k.RandomHeight(0.2),
        k.RandomWidth(0.2),
        k.RandomCrop(8, 7),
        k.Rescaling(1 / 127.5, -1),
        k.Conv2D(4, 3),
        k.GlobalAveragePooling2D(),
    ]
    images = np.random.default_rng(4).uniform(0, 255, (BATCH, 10, 9, 3)).astype(np.float32)
    return tf.keras.Sequential([tf.keras.Input((10, 9, 3)), *layers]), images


@entry
def ragged_tokens() -> Built:
    inputs = tf.keras.Input((None,), dtype=tf.int32, ragged=True)
    x = k.Embedding(10, 4)(inputs)
    x = k.Dense(3)(k.GlobalAveragePooling1D()(x))
    return tf.keras.Model(inputs, x), tf.ragged.constant([[1, 2, 3], [4], [5, 6]], dtype=tf.int32)


@entry(limits={"tflite-builtin": "Sparse"})
def sparse_inputs() -> Built:
    inputs = tf.keras.Input((6,), sparse=True)
    dense = noise(6) * (noise(6, seed=5) > 0)
    return tf.keras.Model(inputs, k.Dense(3)(k.Dense(4, "relu")(inputs))), tf.sparse.from_dense(dense)


@entry(limits={"tflite-builtin": "SparseReshape"})
def feature_columns() -> Built:
    column = tf.feature_column
    numbers = column.numeric_column("number", shape=(3,))
    word = column.categorical_column_with_vocabulary_list("word", WORDS)
    inputs = {"number": tf.keras.Input((3,)), "word": tf.keras.Input((1,), dtype=tf.string)}
    inputs = {
        name: tf.keras.Input(spec.shape[1:], dtype=spec.dtype, name=name) for name, spec in inputs.items()
    }
    x = k.DenseFeatures([numbers, column.embedding_column(word, 3), column.indicator_column(word)])(inputs)
    return tf.keras.Model(inputs, k.Dense(2)(x)), {"number": noise(3), "word": words(1)}
