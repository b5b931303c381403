"""Tests that layers with tables work in every form and file, and that a file brings what no code gives."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    ContainerError,
    algorithms,
    export_saved_model,
    export_tflite,
    form_of,
    load,
    load_exported,
    save,
    size_report,
    to_compressed,
    to_compressible,
    to_plain,
)
from lambdapress.framework.export.formats import open_exported
from lambdapress.framework.export.prediction import ExportError, by_name, named
from lambdapress.framework.files.mismatch import PretrainedError
from lambdapress.framework.files.pretrained import initialise
from lambdapress.sweeps.deployment.runtime import Served

k = tf.keras.layers
SENTENCES = np.array([["the cat sat"], ["the dog ran fast"], ["a cat ran"], ["sat the dog"]])
WORDS = np.array([["cat", "dog"], ["cat", "the"], ["sat", "never seen"], ["dog", "the"]])
NUMBERS = np.array([[3, 5], [3, 9], [7, 1], [5, 3]])
FLOATS = np.random.default_rng(0).normal(3, 2, size=(40, 6)).astype(np.float32)
VOCABULARY = ["the", "cat", "dog"]
PADDED = {"max_tokens": 9, "pad_to_max_tokens": True}


class Mutable(k.Layer):
    """Looks words up in a table that can change."""

    def __init__(self, fill=True):
        super().__init__()
        self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
        if fill:
            self.table.insert(VOCABULARY, tf.constant([1, 2, 3], tf.int64))

    def call(self, inputs):
        return tf.ensure_shape(self.table.lookup(inputs), inputs.shape)


class Dense(k.Layer):
    """Looks numbers up in TensorFlow's other table that can change, inside of a list."""

    def __init__(self, fill=True):
        super().__init__()
        arguments = {"empty_key": -1, "deleted_key": -2}
        self.tables = [tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, 0, **arguments)]
        if fill:
            self.tables[0].insert(tf.constant([3, 5, 7], tf.int64), tf.constant([1, 2, 3], tf.int64))

    def call(self, inputs):
        found = self.tables[0].lookup(tf.reshape(inputs, [-1]))
        return tf.ensure_shape(tf.reshape(found, tf.shape(inputs)), inputs.shape)


class Constant(k.Layer):
    """Looks words up in a table with buckets for unknown words, which the constructor fills."""

    def __init__(self, fill=True):
        super().__init__()
        del fill
        values = tf.constant([0, 1, 2], tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(VOCABULARY, values)
        self.table = tf.lookup.StaticVocabularyTable(initializer, 3)

    def call(self, inputs):
        return tf.ensure_shape(self.table.lookup(inputs), inputs.shape)


class WithAssets(k.Layer):
    """Adds a number that Keras's files hold as an asset."""

    def __init__(self, fill=True):
        super().__init__()
        self.number = 3 if fill else None

    def call(self, inputs):
        return tf.strings.length(inputs) + (self.number or 0)

    def save_assets(self, folder):
        with open(os.path.join(folder, "number.txt"), "w") as file:
            file.write(str(self.number))

    def load_assets(self, folder):
        with open(os.path.join(folder, "number.txt")) as file:
            self.number = int(file.read())


def adapted(layer, data):
    layer.adapt(data)
    return layer


def after(first, inputs, adapt):
    """Makes a model that starts with `first`, which has a table."""
    layer = first(adapt)
    dense = getattr(layer, "output_mode", getattr(layer, "_output_mode", "int")) != "int"
    rest = [k.Dense(3)] if dense else [k.Embedding(20, 4), k.Flatten(), k.Dense(3)]
    shape, dtype = inputs.shape[1:], tf.string if inputs.dtype.kind == "U" else inputs.dtype
    return tf.keras.Sequential([tf.keras.Input(shape, dtype=dtype), layer, *rest])


def case(make, inputs):
    """Returns a test case: `build(adapt)` makes the model, with what only the sender has or without it."""
    return lambda adapt=True: after(make, inputs, adapt), inputs


def learns(kind, data, **options):
    return case(lambda adapt: adapted(kind(**options), data) if adapt else kind(**options), data)


def from_code(make, inputs):
    return case(lambda adapt: make(), inputs)


CASES = {
    "text": learns(k.TextVectorization, SENTENCES, output_sequence_length=4),
    "text tf_idf": learns(k.TextVectorization, SENTENCES, output_mode="tf_idf", **PADDED),
    "string": learns(k.StringLookup, WORDS),
    "string one_hot": learns(k.StringLookup, WORDS[:, :1], output_mode="one_hot", **PADDED),
    "string multi_hot": learns(k.StringLookup, WORDS, output_mode="multi_hot", **PADDED),
    "string tf_idf": learns(k.StringLookup, WORDS, output_mode="tf_idf", **PADDED),
    "string oov": learns(k.StringLookup, WORDS, num_oov_indices=3, mask_token=""),
    "integer": learns(k.IntegerLookup, NUMBERS),
    "discretization": learns(k.Discretization, FLOATS, num_bins=5),
    "mutable": case(Mutable, WORDS),
    "dense": case(Dense, NUMBERS),
    "assets": case(WithAssets, WORDS),
    "text given": from_code(
        lambda: k.TextVectorization(vocabulary=VOCABULARY, output_sequence_length=4), SENTENCES
    ),
    "string given": from_code(lambda: k.StringLookup(vocabulary=VOCABULARY), WORDS),
    "tf_idf given": from_code(
        lambda: k.StringLookup(output_mode="tf_idf", vocabulary=VOCABULARY, idf_weights=[0.5, 0.7, 0.2]),
        WORDS,
    ),
    "boundaries given": from_code(lambda: k.Discretization([0.0, 3.0, 5.0]), FLOATS),
    "constant": case(Constant, WORDS),
    "hashing": from_code(lambda: k.Hashing(10), WORDS),
}
OWN_CLASSES = ("mutable", "dense", "constant", "assets")  # without a registered class to build it from
HALF = algorithms.build("half")


@pytest.mark.parametrize("name", CASES)
def test_forms_and_containers_keep_the_outputs(name, tmp_path):
    build, inputs = CASES[name]
    compressible = to_compressible(build(), HALF)
    expected = to_compressed(compressible)(inputs)
    np.testing.assert_array_equal(compressible(inputs), expected)
    np.testing.assert_array_equal(to_plain(compressible)(inputs), expected)
    size = save(compressible, tmp_path / "model.lpz")
    assert size == size_report(compressible).size_bytes
    for adapt in (True, False):
        restored = load(tmp_path / "model.lpz", build(adapt))
        np.testing.assert_array_equal(restored(inputs), expected)
        assert save(restored, tmp_path / "again.lpz") == size
        assert (tmp_path / "again.lpz").read_bytes() == (tmp_path / "model.lpz").read_bytes()
    fresh = build(False)
    initialise(fresh, tmp_path / "model.lpz")
    np.testing.assert_array_equal(fresh(inputs), expected)


@pytest.mark.parametrize(
    "name, decode",
    [(name, "during") for name in CASES]
    + [(name, decode) for name in ("string", "string tf_idf", "mutable") for decode in ("before", "once")],
)
def test_exports_keep_the_outputs_and_come_back(name, decode, tmp_path):
    build, inputs = CASES[name]
    model = to_compressed(build(), HALF)
    export_saved_model(model, tmp_path / "served", decode)
    predict, _ = open_exported(tmp_path / "served")
    for _ in range(2):
        served = predict({n: np.asarray(value) for n, value in by_name(inputs, model).items()})
        np.testing.assert_allclose(served["output"], model(inputs), rtol=1e-5, atol=1e-6)
    models = [build(False)] if name in OWN_CLASSES else [build(False), None]
    for like in models:
        again = load_exported(tmp_path / "served", like)
        assert form_of(again) == ("plain" if decode == "before" else "compressed")
        np.testing.assert_array_equal(again(inputs), model(inputs))


@pytest.mark.parametrize("name", ["text", "string", "string tf_idf", "integer", "string given"])
def test_keras_files_keep_the_vocabulary(name, tmp_path):
    build, inputs = CASES[name]
    for form in (to_compressible, to_compressed):
        model = form(build(), HALF)
        model.save(tmp_path / "model.keras")
        np.testing.assert_array_equal(
            tf.keras.models.load_model(tmp_path / "model.keras")(inputs), model(inputs)
        )


@pytest.mark.parametrize("name", ["text", "string", "string tf_idf", "discretization"])
def test_a_model_is_initialised_from_a_keras_file_with_its_vocabulary(name, tmp_path):
    build, inputs = CASES[name]
    model, fresh = build(), build(False)
    model.save(tmp_path / "model.keras")
    initialise(fresh, tmp_path / "model.keras")
    np.testing.assert_array_equal(fresh(inputs), model(inputs))


def test_a_checkpoint_without_a_vocabulary_initialises_an_adapted_model_only(tmp_path):
    build, inputs = CASES["string"]
    model = build()
    model.save_weights(tmp_path / "weights")
    with pytest.raises(PretrainedError, match="no string_lookup/vocabulary.*adapt"):
        initialise(build(False), tmp_path / "weights")
    ours = build()
    initialise(ours, tmp_path / "weights")
    np.testing.assert_array_equal(ours(inputs), model(inputs))


def test_sizes_that_are_free_are_taken_from_a_checkpoint(tmp_path):
    build, inputs = CASES["discretization"]
    model, fresh = build(), build(False)
    model.save_weights(tmp_path / "weights")
    initialise(fresh, tmp_path / "weights")
    np.testing.assert_array_equal(fresh(inputs), model(inputs))


def test_a_vocabulary_that_the_constructor_lists_takes_no_bytes(tmp_path):
    given, _ = CASES["string given"]
    save(to_compressed(given(), HALF), tmp_path / "model.lpz")
    assert [row.path for row in size_report(tmp_path / "model.lpz").rows if "lookup" in row.path] == []


def test_a_vocabulary_from_a_file_travels_in_the_bytes(tmp_path):
    """The code has the file's name only."""
    (tmp_path / "words.txt").write_text("\n".join(VOCABULARY))
    lookup = k.StringLookup(vocabulary=str(tmp_path / "words.txt"), output_mode="multi_hot")
    model = to_compressed(
        tf.keras.Sequential([tf.keras.Input((2,), dtype=tf.string), lookup, k.Dense(3)]), HALF
    )
    save(model, tmp_path / "model.lpz")
    export_saved_model(model, tmp_path / "served")
    (tmp_path / "words.txt").unlink()
    like, _ = case(lambda _: k.StringLookup(vocabulary=["x", "dog", "y"], output_mode="multi_hot"), WORDS)
    for again in (load(tmp_path / "model.lpz", like()), load_exported(tmp_path / "served")):
        np.testing.assert_array_equal(again(WORDS), model(WORDS))


def test_the_error_names_the_layer_whose_vocabulary_is_missing_or_does_not_fit(tmp_path):
    given, _ = CASES["string given"]
    save(to_compressed(given(), HALF), tmp_path / "given.lpz")
    with pytest.raises(ContainerError, match="no string_lookup/vocabulary.*adapt the layer.*constructor"):
        load(tmp_path / "given.lpz", CASES["string"][0](False))
    build, _ = learns(k.StringLookup, WORDS, output_mode="multi_hot")
    save(to_compressed(build(), HALF), tmp_path / "adapted.lpz")
    other, _ = case(lambda _: adapted(k.StringLookup(output_mode="multi_hot"), WORDS[:1]), WORDS)
    with pytest.raises(ContainerError, match="string_lookup/vocabulary.*6 indices.*built for 3.*adapt"):
        load(tmp_path / "adapted.lpz", other())


def test_tokens_of_any_bytes_come_back(tmp_path):
    tokens = ["a\nb", "", "ü", "x" * 300]

    def build(vocabulary=None):
        lookup = k.StringLookup()
        if vocabulary:
            lookup.set_vocabulary(vocabulary)
        return tf.keras.Sequential(
            [tf.keras.Input((1,), dtype=tf.string), lookup, k.Embedding(9, 4), k.Flatten()]
        )

    model, inputs = to_compressed(build(tokens), HALF), np.array([[token] for token in tokens])
    save(model, tmp_path / "model.lpz")
    np.testing.assert_array_equal(load(tmp_path / "model.lpz", build())(inputs), model(inputs))


@pytest.mark.parametrize("name", ["mutable", "dense"])
def test_a_clone_has_tables_of_its_own(name):
    build, inputs = CASES[name]
    model = build()
    before = model(inputs).numpy()
    cloned = to_compressible(model, HALF)
    table = cloned.layers[0].table if name == "mutable" else cloned.layers[0].tables[0]
    keys = table.export()[0] if name == "mutable" else tf.constant([3, 5, 7], tf.int64)
    table.insert(keys, tf.fill(tf.shape(keys), tf.constant(9, tf.int64)))
    np.testing.assert_array_equal(model(inputs), before)


@pytest.mark.parametrize("damage", [b"", b"\0\0\0", b"x" * 40])
def test_a_damaged_vocabulary_is_refused(damage, tmp_path):
    from lambdapress.framework.container import file

    build, _ = CASES["string"]
    entries = file.unpack(file.pack(_entries(build()))).entries
    value = np.frombuffer(damage, np.uint8)
    changed = [
        file.Entry(entry.path, value.shape, "uint8", None, {}, {"value": value})
        if entry.path == "string_lookup/vocabulary"
        else entry
        for entry in entries
    ]
    file.write(tmp_path / "model.lpz", changed)
    with pytest.raises(ContainerError, match="string_lookup/vocabulary"):
        load(tmp_path / "model.lpz", build(False))


def _entries(model):
    from lambdapress.framework.files.lpz import entries_of

    return entries_of(to_compressed(model, HALF))


@pytest.mark.parametrize("decode, ops", [("before", "builtin"), ("during", "builtin"), ("during", "select")])
@pytest.mark.parametrize("name", ["string", "discretization"])
def test_tensorflow_lite_files_have_the_tables(name, decode, ops, tmp_path):
    build, inputs = CASES[name]
    model = to_compressed(build(), HALF)
    export_tflite(model, tmp_path / "m.tflite", decode, ops)
    predict, (spec,) = open_exported(tmp_path / "m.tflite")
    np.testing.assert_allclose(predict({spec: inputs})["output"], model(inputs), rtol=1e-4, atol=1e-4)


def test_an_opened_file_takes_batches_of_several_sizes(tmp_path):
    """TensorFlow's own operations keep the sizes for which an interpreter first allocated."""
    build, inputs = CASES["hashing"]
    model = to_compressed(build(), HALF)
    export_tflite(model, tmp_path / "m.tflite", ops="select")
    predict, (spec,) = open_exported(tmp_path / "m.tflite")
    for count in (4, 1, 3):
        found = predict({spec: inputs[:count]})["output"]
        np.testing.assert_allclose(found, model(inputs[:count]), rtol=1e-4, atol=1e-4)


def test_a_table_that_tensorflow_lite_would_leave_empty_is_refused(tmp_path):
    with pytest.raises(ExportError, match="MutableHashTable.*mutable.*no contents"):
        export_tflite(to_compressed(CASES["mutable"][0](), HALF), tmp_path / "m.tflite", ops="select")


# Ragged and sparse inputs.


def embedded():
    inputs = tf.keras.Input((None,), ragged=True, dtype=tf.int64)
    return tf.keras.Model(inputs, k.Dense(3)(k.GlobalAveragePooling1D()(k.Embedding(20, 4)(inputs))))


def ragged_everywhere():
    inputs = tf.keras.Input((None, 4), ragged=True)
    return tf.keras.Model(inputs, k.Dense(3)(inputs))


def sparse_and_dense():
    sparse, dense = tf.keras.Input((6,), sparse=True, name="s"), tf.keras.Input((2,), name="d")
    return tf.keras.Model({"s": sparse, "d": dense}, k.Concatenate()([k.Dense(3)(sparse), dense]))


COMPOSITE = {
    "ragged": (embedded, tf.ragged.constant([[1, 2, 3], [4], []], dtype=tf.int64)),
    "ragged output": (
        ragged_everywhere,
        tf.RaggedTensor.from_row_splits(np.ones((6, 4), np.float32), [0, 2, 6]),
    ),
    "sparse": (
        sparse_and_dense,
        {"s": tf.sparse.from_dense([[0, 1.0, 0, 2, 0, 0], [1, 0, 0, 0, 3, 0]]), "d": tf.ones((2, 2))},
    ),
}


@pytest.mark.parametrize("decode", ["before", "during", "once"])
@pytest.mark.parametrize("name", COMPOSITE)
def test_ragged_and_sparse_tensors_are_served_in_parts(name, decode, tmp_path):
    build, inputs = COMPOSITE[name]
    model = to_compressed(build(), HALF)
    export_saved_model(model, tmp_path / "served", decode)
    _check_served(tmp_path / "served", model, inputs)
    again = load_exported(tmp_path / "served")
    for ours, theirs in zip(named(again(inputs)).values(), named(model(inputs)).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    stand_in = Served(tmp_path / "served", model)  # as an evaluation calls it
    for ours, theirs in zip(named(stand_in(inputs)).values(), named(model(inputs)).values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", COMPOSITE)
def test_tensorflow_lite_takes_the_parts(name, tmp_path):
    build, inputs = COMPOSITE[name]
    model = to_compressed(build(), HALF)
    export_tflite(model, tmp_path / "m.tflite", ops="select")
    _check_served(tmp_path / "m.tflite", model, inputs)


def _check_served(path, model, inputs):
    predict, specs = open_exported(path)
    parts = {name: np.asarray(value) for name, value in by_name(inputs, model).items()}
    assert set(parts) == set(specs)
    found, expected = predict(parts), named(model(inputs))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
