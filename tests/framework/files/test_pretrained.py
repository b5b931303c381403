"""Tests values from files: each kind gives the saved values, and misfits are refused by name."""

from __future__ import annotations

import random
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import ContainerError, FormError, algorithms, save, to_compressible
from lambdapress.framework.files.mismatch import PretrainedError
from lambdapress.framework.files.pretrained import content_hash, initialise
from lambdapress.framework.surgery.weights import weights_of

k = tf.keras.layers


@tf.keras.utils.register_keras_serializable("test_pretrained")
class Subclassed(tf.keras.Model):
    def __init__(self, units=3, extra=False):
        super().__init__()
        self.first = k.Dense(units)
        self.rest = [k.Dense(4), k.Dense(2)] + [k.Dense(2)] * extra
        self.table = k.Embedding(5, 2) if extra else None

    def call(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return x + self.table(tf.zeros([tf.shape(x)[0]], tf.int32)) if self.table is not None else x

    def get_config(self):
        return {}


def subclassed(**changes):
    model = Subclassed(**changes)
    model(tf.zeros((1, 4)))
    return model


def nested(units=3, extra=False):
    inner = tf.keras.Sequential([tf.keras.Input((units,)), k.Dense(2), k.PReLU()], name="inner")
    more = [k.Dense(2, name="more")] * extra
    layers = [tf.keras.Input((4,)), k.Dense(units, name="first"), k.BatchNormalization(name="norm"), inner]
    return tf.keras.Sequential([*layers, *more])


MODELS = {"nested": nested, "subclassed": subclassed}


def write(kind: str, model: tf.keras.Model, folder: Path) -> Path:
    """Saves a model in one of the supported ways, and returns the path to start from."""
    if kind in ("keras", "h5"):
        model.save(folder / f"model.{kind}")
        return folder / f"model.{kind}"
    if kind == "saved model":
        model.save(folder / "saved", save_format="tf")
        return folder / "saved"
    if kind == "checkpoint of training":
        holder = tf.train.Checkpoint(model=model, optimizer=model.optimizer, step=tf.Variable(1))
        return Path(holder.save(folder / "c"))
    if kind == "checkpoints":
        manager = tf.train.CheckpointManager(tf.train.Checkpoint(model), str(folder / "many"), 3)
        value = model.get_weights()
        model.set_weights([0 * v for v in value])
        manager.save()
        model.set_weights(value)
        manager.save()
        return folder / "many"
    if kind == "container":
        save(to_compressible(model, [("kernel", algorithms.build("none"))]), folder / "model.lpz")
        return folder
    names = {"weights": "w", "weights h5": "w.h5", "weights v3": "w.weights.h5"}
    model.save_weights(folder / names[kind])
    return folder / names[kind]


KINDS = ["keras", "h5", "saved model", "checkpoint of training", "checkpoints", "container"]
KINDS += ["weights", "weights h5", "weights v3"]
ALL = [(kind, name) for kind in KINDS for name in MODELS if (kind, name) != ("h5", "subclassed")]


@pytest.fixture(scope="module")
def trained():
    """Makes models, by name, that are far from their initial values and whose optimizers have variables."""
    found = {}
    for name, make in MODELS.items():
        model = found[name] = make()
        model.compile("adam", "mse", metrics=["mae"])
        draw = np.random.default_rng(0)
        model.set_weights([draw.normal(size=w.shape).astype(np.float32) ** 2 for w in model.get_weights()])
        model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    return found


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """Gives a function that writes a file by kind and model, each only once."""
    paths: dict[tuple[str, str], Path] = {}

    def get(kind: str, name: str) -> Path:
        if (kind, name) not in paths:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
                paths[kind, name] = write(kind, trained[name], tmp_path_factory.mktemp("written"))
        return paths[kind, name]

    return get


@pytest.mark.parametrize("kind, name", ALL)
def test_every_kind_of_file_gives_the_values_that_were_saved(kind, name, trained, written):
    path = written(kind, name)
    k.Dense(1)  # so that Keras continues its numbering from another number
    fresh = MODELS[name]()
    initialise(fresh, path)
    for expected, found in zip(weights_of(trained[name]), weights_of(fresh), strict=True):
        assert expected.spec == found.spec
        np.testing.assert_array_equal(expected.variable.numpy(), found.variable.numpy())
    assert len(content_hash(path)) == 64


@pytest.mark.parametrize("kind, name", ALL)
@pytest.mark.parametrize("changes, message", [(dict(units=5), r"\[4, 3\]"), (dict(extra=True), "file lacks")])
def test_what_does_not_fit_is_named_and_nothing_is_taken(kind, name, changes, message, written):
    path = written(kind, name)
    model = MODELS[name](**changes)
    before = model.get_weights()
    with pytest.raises((PretrainedError, ContainerError), match=message) as caught:
        initialise(model, path)
    assert str(path) in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    "kind", ["keras", "saved model", "checkpoint of training", "container", "weights h5"]
)
def test_a_file_that_has_more_than_the_model_is_refused(kind, written):
    model = nested()
    model.pop()
    with pytest.raises((PretrainedError, ContainerError), match="model lacks"):
        initialise(model, written(kind, "nested"))


def test_models_come_from_a_stranger_and_nothing_is_executed(tmp_path):
    """Checks that a Lambda layer's code is not run: the architecture in a file is not read."""
    path = tmp_path / "model.keras"
    model = tf.keras.Sequential(
        [tf.keras.Input((4,)), k.Dense(3), k.Lambda(lambda x: print("executed") or x), k.Dense(2)]
    )
    model.save(path)
    fresh = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3), k.Activation("relu"), k.Dense(2)])
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "other.keras", "w") as other:
        other.writestr("config.json", '{"class_name": "os.system"}')
        other.writestr("model.weights.h5", archive.read("model.weights.h5"))
    for name in ("model.keras", "other.keras"):
        initialise(fresh, tmp_path / name)
        assert all(
            np.array_equal(a, b) for a, b in zip(model.get_weights(), fresh.get_weights(), strict=True)
        )
        fresh.set_weights([0 * w for w in fresh.get_weights()])


@pytest.mark.parametrize("kind", ["weights h5", "weights v3", "keras", "weights"])
def test_damaged_files_are_refused(kind, trained, tmp_path):
    path = write(kind, trained["nested"], tmp_path)
    target = path if path.is_file() else next(tmp_path.glob("*.data*"))
    chance, whole = random.Random(1), target.read_bytes()
    for _ in range(4):
        target.write_bytes(whole[: chance.randrange(len(whole) // 2)])
        with pytest.raises(PretrainedError):
            initialise(nested(), path)


def dense() -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3)])


def test_hdf5_that_points_elsewhere_is_refused(tmp_path):
    dense().save_weights(tmp_path / "own.weights.h5")
    with h5py.File(tmp_path / "own.weights.h5", "r+") as file:
        place = file["_layer_checkpoint_dependencies/dense/vars"]
        del place["0"]
        place["0"] = h5py.ExternalLink("secret.h5", "/data")
    with pytest.raises(PretrainedError, match="links"):
        initialise(dense(), tmp_path / "own.weights.h5")
    (tmp_path / "raw").write_bytes(bytes(48))
    with h5py.File(tmp_path / "own.weights.h5", "r+") as file:
        place = file["_layer_checkpoint_dependencies/dense/vars"]
        del place["0"]
        place.create_dataset("0", (4, 3), np.float32, external=[(str(tmp_path / "raw"), 0, 48)])
    with pytest.raises(PretrainedError, match="no numbers of its own"):
        initialise(dense(), tmp_path / "own.weights.h5")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2**25))
    with pytest.raises(PretrainedError, match="unpacks to 33,554,432 bytes"):
        initialise(dense(), tmp_path / "bomb.keras")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"hello, world"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(PretrainedError, match="file"):
        initialise(dense(), path)
    with pytest.raises(PretrainedError, match="nothing"):
        initialise(dense(), tmp_path)
    with pytest.raises(PretrainedError, match="nothing at"):
        content_hash(tmp_path / "nowhere")


def test_only_a_plain_model_is_initialised(tmp_path):
    model = to_compressible(dense(), algorithms.build("epr"))
    with pytest.raises(FormError, match="plain"):
        initialise(model, tmp_path)


def test_the_hash_is_of_the_content(tmp_path):
    model = dense()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save(to_compressible(model, algorithms.build("epr")), tmp_path / folder / "model.lpz")
    hashes = [content_hash(tmp_path / name) for name in ("a", "b", "a/model.lpz")]
    assert len(set(hashes)) == 1
    model.set_weights([w + 1 for w in model.get_weights()])
    save(to_compressible(model, algorithms.build("epr")), tmp_path / "b" / "model.lpz")
    assert content_hash(tmp_path / "b") != hashes[0]


def with_nested_layers(frozen: bool) -> tf.keras.Model:
    """Makes a model with two layers of equal shapes in a nested one, the first perhaps frozen."""
    tf.keras.backend.clear_session()
    layers = [tf.keras.layers.Dense(4, name=name) for name in ("first", "second")]
    inner = tf.keras.Sequential([tf.keras.Input((4,)), *layers], name="inner")
    layers[0].trainable = not frozen
    return tf.keras.Sequential([tf.keras.Input((4,)), inner, tf.keras.layers.Dense(2, name="head")])


@pytest.mark.parametrize("name", ["weights.h5", "model.h5"])
@pytest.mark.parametrize("then, now", [(True, False), (False, True), (True, True)])
def test_layers_that_were_frozen_when_saved_keep_their_values(name, then, now, tmp_path):
    """Keras's older files list the weights of a nested model by whether they are trained."""
    model, rng = with_nested_layers(then), np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape))
    (model.save_weights if name == "weights.h5" else model.save)(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    fresh = with_nested_layers(now)
    initialise(fresh, tmp_path / name)
    inputs = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(fresh(inputs), model(inputs))
    assert (tmp_path / name).read_bytes() == before
