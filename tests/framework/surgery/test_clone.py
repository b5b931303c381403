"""Tests copies of models, which share no weight with the original."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import CloneError, algorithms, to_compressible, to_plain
from lambdapress.framework.surgery.clone import clone, layers_of
from lambdapress.framework.surgery.rebind import rebind

k = tf.keras.layers
X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
Y = X[:, :2]


def dense_net(**arguments) -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3, **arguments), k.Dense(2)])


def test_a_clone_shares_no_weight_and_has_all_values():
    model = dense_net()
    copied = clone(model)
    assert not {id(v) for v in model.weights} & {id(v) for v in copied.weights}
    for variable, other in zip(model.weights, copied.weights, strict=True):
        assert (variable.name, variable.trainable) == (other.name, other.trainable)
        np.testing.assert_array_equal(variable, other)
        other.assign(other * 0 + 9)
    assert not any(np.any(v.numpy() == 9) for v in model.weights)


def test_a_clone_of_a_compiled_model_is_uncompiled_and_trains_on_its_own():
    model = dense_net()
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    model.predict(X, verbose=0)
    optimizer = [v.numpy() for v in model.optimizer.variables]
    values = model.get_weights()
    copied = clone(model)
    assert copied.optimizer is None and not copied._is_compiled and copied.metrics == []
    with pytest.raises(RuntimeError, match="compile"):
        copied.fit(X, Y, verbose=0)
    copied.compile("adam", "mse")
    copied.fit(X, Y, epochs=2, verbose=0)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(optimizer, [v.numpy() for v in model.optimizer.variables], strict=True)
    )
    assert all(np.array_equal(a, b) for a, b in zip(values, model.get_weights(), strict=True))
    assert model._is_compiled and model.fit(X, Y, verbose=0).history["mae"]


class Backboned(tf.keras.Model):
    """A model with the attributes that users add to models."""

    def __init__(self, backbone):
        super().__init__(name="task")
        self.backbone = backbone
        self.heads = [k.Dense(2), k.Dense(3)]
        self.by_name = {"first": self.heads[0], "bottom": backbone}
        self.settings = {"rate": 0.5, "sizes": (1, 2)}
        self.note = "mine"
        self.average = tf.keras.metrics.Mean("average")
        self.add_loss(lambda: 0.1 * tf.reduce_sum(self.backbone.weights[0] ** 2))
        self.act = functools.partial(self._scaled, factor=2.0)
        self.acts = [lambda x: self.act(x)]
        self.last = None

    def _scaled(self, x, factor):
        return factor * self.heads[0](x)

    def call(self, inputs, training=None, mask=None):
        x = self.backbone(inputs, training=training)
        self.average.update_state(tf.reduce_mean(x))
        self.last = {"features": [x]}  # while a graph is traced, a tensor of that graph
        return self.acts[0](x), self.heads[1](x)


@pytest.fixture
def backboned():
    inputs = tf.keras.Input((4,))
    x = k.Dropout(0.5)(k.BatchNormalization()(k.Dense(4, kernel_regularizer="l2", name="low")(inputs)))
    model = Backboned(tf.keras.Model(inputs, k.Dense(3, name="high", activity_regularizer="l2")(x)))
    model(X)
    return model


def test_a_clone_keeps_class_attributes_and_their_sharing(backboned):
    copied = clone(backboned)
    assert type(copied) is Backboned and copied.name == "task" and copied.note == "mine"
    assert copied.settings == {"rate": 0.5, "sizes": (1, 2)} and copied.settings is not backboned.settings
    assert copied.by_name["first"] is copied.heads[0] is not backboned.heads[0]
    assert copied.by_name["bottom"] is copied.backbone is not backboned.backbone
    assert copied.act.func.__self__ is copied
    assert [type(layer) for layer in layers_of(copied)] == [type(layer) for layer in layers_of(backboned)]
    assert [layer.name for layer in layers_of(copied)] == [layer.name for layer in layers_of(backboned)]
    copied.heads[0].kernel.assign(tf.zeros((3, 2)))
    copied.heads[0].bias.assign(tf.zeros(2))
    assert not np.any(copied(X)[0]) and np.any(backboned(X)[0])


def test_tensors_of_a_graph_that_a_call_left_behind_are_no_trouble(backboned):
    backboned.predict(X, verbose=0)
    np.testing.assert_array_equal(clone(backboned)(X)[1], backboned(X)[1])


def test_losses_of_a_clone_are_those_of_its_own_weights(backboned):
    copied = clone(backboned)
    copied(X), backboned(X)
    np.testing.assert_array_equal(copied.losses, backboned.losses)
    before = [float(loss) for loss in backboned.losses]
    copied.backbone.get_layer("low").kernel.assign(tf.ones((4, 4)))
    copied(X)
    # l2(0.01) of 16 ones, and 0.1 times their sum of squares
    assert {round(float(loss), 5) for loss in copied.losses} >= {0.16, 1.6}
    assert [float(loss) for loss in backboned.losses] == before


def test_training_dropout_and_statistics_go_on(backboned):
    copied = clone(backboned)
    moving = copied.backbone.layers[2].moving_mean
    before = moving.numpy()
    tf.keras.utils.set_random_seed(3)
    first = copied(X, training=True)[1].numpy()
    assert np.any(moving.numpy() != before)
    assert np.any(first != copied(X, training=True)[1].numpy())
    tf.keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(first, backboned(X, training=True)[1])


def test_metrics_of_a_clone_count_for_themselves(backboned):
    copied = clone(backboned)
    copied.average.reset_state()
    assert float(backboned.average.count) == 1 and float(copied.average.count) == 0


def test_masks_pass_through():
    inputs = tf.keras.Input((3,))
    model = tf.keras.Model(inputs, k.LSTM(2)(k.Embedding(5, 3, mask_zero=True)(inputs)))
    tokens = np.array([[1, 2, 0], [1, 0, 0]])
    np.testing.assert_array_equal(clone(model)(tokens), model(tokens))
    assert clone(model).layers[1].compute_mask(tokens) is not None


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_dtype_policies_are_kept(policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    model = dense_net()
    tf.keras.mixed_precision.set_global_policy("float32")
    copied = clone(model)
    assert copied.layers[0].dtype_policy.name == policy
    assert copied(X).dtype == model(X).dtype


def test_new_functional_models_over_a_clone_stay_in_it():
    inputs = tf.keras.Input((4,))
    hidden = k.Dense(3, name="hidden")(inputs)
    model = tf.keras.Model(inputs, k.Dense(2, name="top")(hidden))
    copied = clone(model)
    part = tf.keras.Model(copied.input, copied.get_layer("hidden").output)
    assert part.layers[1] is copied.get_layer("hidden")
    copied.get_layer("hidden").kernel.assign(tf.zeros((4, 3)))
    assert not np.any(part(X)) and np.any(model.get_layer("hidden")(X))
    extended = tf.keras.Model(copied.input, k.Dense(5)(copied.output))
    assert extended(X).shape == (6, 5)
    assert model.get_layer("hidden").output is not copied.get_layer("hidden").output


def test_only_the_model_asked_for_is_copied():
    base, inputs = k.Dense(3), tf.keras.Input((4,))
    first = tf.keras.Model(inputs, k.Dense(2)(base(inputs)))
    second = tf.keras.Model(inputs, k.Dense(5)(base(inputs)))
    copied = clone(first)
    assert [layer.name for layer in layers_of(copied)] == [layer.name for layer in layers_of(first)]
    assert copied.layers[1] is not base
    assert second(X).shape == (6, 5) and second.layers[1] is base
    np.testing.assert_array_equal(copied(X), first(X))


def test_a_part_of_a_model_is_cloned_without_the_rest():
    inputs = tf.keras.Input((4,))
    inner = dense_net()
    outer = tf.keras.Model(inputs, k.Dense(3)(inner(inputs)))
    copied = clone(inner)
    assert len(copied.weights) == 4
    np.testing.assert_array_equal(copied(X), inner(X))
    assert outer.layers[1] is inner


def test_three_hundred_layers_are_no_trouble():
    inputs = outputs = tf.keras.Input((4,))
    for _ in range(300):
        outputs = k.Dense(4, use_bias=False)(outputs)
    model = tf.keras.Model(inputs, outputs)
    copied = clone(model)
    assert len(copied.layers) == 301
    np.testing.assert_array_equal(copied(X), model(X))


def test_preprocessing_and_functions_held_by_layers():
    class Held(k.Layer):
        def build(self, input_shape):
            self.matrix = self.add_weight("matrix", (input_shape[-1], 2))
            self.compiled = tf.function(self.product)
            self.closure = tf.function(lambda x: tf.matmul(x, self.matrix))

        def product(self, x):
            return tf.matmul(x, self.matrix)

        def call(self, x):
            return self.compiled(x) + self.closure(x)

    normalization = k.Normalization()
    normalization.adapt(X)
    model = tf.keras.Sequential([tf.keras.Input((4,)), normalization, k.GaussianNoise(0.1), Held()])
    outputs = model(X)
    copied = clone(model)
    np.testing.assert_array_equal(copied(X), outputs)
    copied.layers[-1].matrix.assign(tf.zeros((4, 2)))
    assert not np.any(copied(X)) and np.any(model(X))


def test_lookup_tables_and_random_layers():
    inputs = tf.keras.Input((1,), dtype=tf.string)
    model = tf.keras.Model(inputs, k.Embedding(4, 2)(k.StringLookup(vocabulary=["a", "b"])(inputs)))
    words = tf.constant([["a"], ["b"], ["c"]])
    np.testing.assert_array_equal(clone(model)(words), model(words))
    images = tf.keras.Sequential([tf.keras.Input((4, 4, 1)), k.RandomFlip(), k.Flatten(), k.Dense(2)])
    assert clone(images)(tf.zeros((2, 4, 4, 1)), training=True).shape == (2, 2)


def test_what_cannot_be_copied_is_named():
    class Stubborn:
        def __deepcopy__(self, memo):
            raise TypeError("not me")

    model = dense_net()
    model.layers[0].friend = Stubborn()
    with pytest.raises(CloneError, match="'dense.*' .Dense.: its attribute 'friend', a Stubborn.*not me"):
        clone(model)


def test_checkpoints_hold_the_clones_values(tmp_path):
    model = dense_net()
    copied = clone(model)
    copied.layers[0].kernel.assign(tf.ones((4, 3)))
    copied.save_weights(tmp_path / "weights")
    fresh = dense_net()
    fresh.load_weights(tmp_path / "weights").assert_consumed()
    np.testing.assert_array_equal(fresh(X), copied(X))
    assert not np.all(model.layers[0].kernel.numpy() == 1)
    copied.load_weights(tmp_path / "weights")
    # Objects made from the clone follow the clone, too.
    path = tf.train.Checkpoint(model=copied).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=model).restore(path)
    assert np.all(model.layers[0].kernel.numpy() == 1)


def test_checkpoints_and_h5_of_each_form(tmp_path):
    power_law = algorithms.build("power_law")
    compressible = to_compressible(dense_net(), power_law)
    compressible.save_weights(tmp_path / "compressible")
    other = to_compressible(dense_net(), power_law, lmbda=3.0)
    other.load_weights(tmp_path / "compressible").assert_consumed()
    np.testing.assert_array_equal(other(X), compressible(X))
    assert float(other.lmbda) == 1.0

    plain, fresh = to_plain(compressible), dense_net()
    plain.save_weights(tmp_path / "plain")
    fresh.load_weights(tmp_path / "plain").assert_consumed()  # the file has nothing of the other forms
    np.testing.assert_array_equal(fresh(X), plain(X))
    plain.save_weights(tmp_path / "plain.h5")
    fresh = dense_net()
    fresh.load_weights(tmp_path / "plain.h5")
    np.testing.assert_array_equal(fresh(X), plain(X))


def test_a_saved_model_of_a_clone(tmp_path):
    copied = clone(dense_net())
    copied.save(tmp_path / "saved")
    np.testing.assert_array_equal(tf.keras.models.load_model(tmp_path / "saved")(X), copied(X))


def test_a_clone_of_a_model_from_a_saved_model_is_on_its_own(tmp_path):
    inputs = tf.keras.Input((8, 8, 3))
    x = k.BatchNormalization()(k.Conv2D(4, 3)(inputs))
    tf.keras.Model(inputs, k.Dense(2)(k.GlobalAveragePooling2D()(x))).save(tmp_path / "m")
    model = tf.keras.models.load_model(tmp_path / "m", compile=False)
    copy, images = clone(model), tf.random.normal((2, 8, 8, 3))
    expected = model(images)
    for variable in model.weights:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_array_equal(copy(images), expected)
    copy.save(tmp_path / "again")


def test_a_layer_without_the_code_of_its_class_is_refused(tmp_path):
    class Unknown(k.Dense):
        pass

    tf.keras.Sequential([Unknown(2, input_shape=(3,))]).save(tmp_path / "m")
    model = tf.keras.models.load_model(tmp_path / "m", compile=False)
    with pytest.raises(CloneError, match="'unknown': it was loaded from a SavedModel without"):
        clone(model)


def test_clones_of_clones():
    model = dense_net(kernel_regularizer="l2")
    copied = clone(clone(clone(model)))
    np.testing.assert_array_equal(copied(X), model(X))
    np.testing.assert_array_equal(copied.losses, model.losses)


def test_a_clone_of_a_compressible_model_has_a_rate_of_its_own():
    model = to_compressible(dense_net(), algorithms.build("power_law"), lmbda=1.0)
    copied = clone(model)
    before = [float(loss) for loss in model.losses]
    copied.lmbda.assign(0.0)
    assert [float(loss) for loss in copied.losses] == [0.0] * len(before)
    assert [float(loss) for loss in model.losses] == before


def test_rebinding_reaches_closures_partials_and_methods():
    class Owner:
        def method(self):
            return self

    old, new = Owner(), Owner()
    moved = {id(old): new}
    assert rebind(lambda: old, moved)() is new
    assert rebind(functools.partial(lambda x, y: (x, y), old, y=old), moved)() == (new, new)
    assert rebind(old.method, moved)() is new
    assert rebind(functools.partial(lambda f: f(), lambda: old), moved)() is new
    same = lambda: 3  # noqa: E731
    assert rebind(same, moved) is same


STRATEGY = """
import contextlib, json, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from lambdapress.framework import *
k, results = tf.keras.layers, {}
X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
def build():
    return tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3, kernel_regularizer="l2"),
                                k.BatchNormalization(), k.Dense(2)])
with strategy.scope():
    model = build()
for inside in (True, False):
    with strategy.scope() if inside else contextlib.nullcontext():
        compressible = to_compressible(model, algorithms.build("epr"))
    with strategy.scope():
        compressible.compile("adam", "mse")
    compressible.fit(X, X[:, :2], batch_size=8, verbose=0, callbacks=[LmbdaWarmup(2)])
    kinds = {type(v).__name__ for v in compressible.weights}
    save(compressible, "m.lpz")
    loaded = load("m.lpz", build())
    results[str(inside)] = [
        sorted(kinds), compressible.distribute_strategy is strategy,
        float(np.abs(loaded(X) - compressible(X)).max()),
        float(np.abs(to_plain(compressible)(X) - compressible(X)).max()),
        sorted({type(v).__name__ for v in loaded.weights}),
    ]
print(json.dumps(results))
"""


def test_a_mirrored_strategy(tmp_path):
    """Runs in a process of its own: logical devices must be set up before anything else runs."""
    done = subprocess.run(
        [sys.executable, "-c", STRATEGY], capture_output=True, text=True, cwd=tmp_path, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for kinds, same_strategy, loaded, plain, local in json.loads(done.stdout.splitlines()[-1]).values():
        assert kinds == ["MirroredVariable", "SyncOnReadVariable"] or kinds == ["MirroredVariable"]
        assert same_strategy and loaded == plain == 0.0
        assert local == ["ResourceVariable"]
