"""Tests the three forms: their properties, their training, and what they refuse."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    Compressed,
    Compressible,
    FormError,
    algorithms,
    form_of,
    to_compressed,
    to_compressible,
    to_plain,
)
from lambdapress.framework.forms.rate import rate_of
from lambdapress.framework.surgery.computed_weights import computed_weights_of

k = tf.keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = X[:, :2]
POWER = algorithms.build("power_law")


def net(**arguments) -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3, "relu", **arguments), k.Dense(2)])


def compressible(lmbda: float = 1.0, **arguments) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(1)
    return to_compressible(net(**arguments), POWER, lmbda)


# Properties of a form.


class Classifier(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = k.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_form_is_a_type_beside_the_models_own():
    model = Classifier()
    model(X)
    trained = to_compressible(model, POWER)
    stored, plain = to_compressed(trained), to_plain(trained)
    assert isinstance(trained, Compressible) and isinstance(trained, Classifier)
    assert isinstance(stored, Compressed) and isinstance(stored, Classifier)
    assert not isinstance(stored, Compressible) and not isinstance(trained, Compressed)
    assert type(plain) is Classifier and type(plain.dense) is k.Dense
    assert isinstance(trained.dense, k.Dense)
    assert [form_of(m) for m in (model, trained, stored, plain)] == [
        "plain",
        "compressible",
        "compressed",
        "plain",
    ]
    assert form_of(trained.dense) == "compressible"


def test_every_way_between_forms():
    trained = compressible()
    stored = to_compressed(trained)
    for source in (trained, stored, to_compressed(stored, decode="once")):
        np.testing.assert_array_equal(to_plain(source)(X), trained(X))
        np.testing.assert_array_equal(to_compressed(source)(X), trained(X))
        np.testing.assert_array_equal(to_compressible(source)(X), trained(X))
    other = to_compressible(stored, algorithms.build("none"))
    assert {computed.algorithm.name for computed in computed_weights_of(other)} == {"none"}
    np.testing.assert_array_equal(other(X), trained(X))
    np.testing.assert_array_equal(to_plain(to_plain(trained))(X), trained(X))


def floats_reachable(model) -> list[tuple[int, ...]]:
    """Lists the shapes of all float tensors in a model's variables and its layers' attributes."""
    found = [tuple(v.shape) for v in model.variables if v.dtype.is_floating]
    seen: set[int] = set()

    def leaves(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, (list, tuple, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                yield from leaves(item)
        else:
            yield value

    for layer in model._flatten_layers():
        for value in leaves(dict(vars(layer))):
            if isinstance(value, np.ndarray) or tf.is_tensor(value) or isinstance(value, tf.Variable):
                if tf.as_dtype(value.dtype).is_floating:
                    found.append(tuple(value.shape))
    return found


def test_no_float_copy_of_a_compressed_weight_remains():
    stored = to_compressed(compressible())
    stored(X), stored.predict(X, verbose=0)
    weights = {computed.spec.shape for computed in computed_weights_of(stored)}
    assert not weights & set(floats_reachable(stored))
    assert {computed.spec.shape for computed in computed_weights_of(compressible())} == weights
    assert weights & set(floats_reachable(to_plain(stored)))  # the search does find float copies
    assert stored.trainable_variables == []


def test_decoding_once_decodes_once(monkeypatch):
    decoded = []

    def decode(self, encoded, spec):
        decoded.append(spec.path)
        return original(self, encoded, spec)

    original = type(POWER).decode
    monkeypatch.setattr(type(POWER), "decode", decode)
    trained = compressible()
    once, each = to_compressed(trained, decode="once"), to_compressed(trained)
    for _ in range(3):
        once(X)
        once.predict(X, verbose=0)
    assert len(decoded) == len(computed_weights_of(once)) == 4
    each(X), each(X)
    assert len(decoded) == 4 + 8


def test_original_and_clones_are_collected():
    model = net()
    references = [weakref.ref(model), weakref.ref(model.layers[0])]
    trained = to_compressible(model, POWER)
    del model
    gc.collect()
    assert [reference() for reference in references] == [None, None]

    trained.compile("adam", "mse")
    trained.fit(X, Y, verbose=0)
    stored = to_compressed(trained, decode="once")
    stored.predict(X, verbose=0)
    references = [weakref.ref(m) for m in (trained, computed_weights_of(trained)[0].owner, stored)]
    del trained, stored
    tf.keras.backend.clear_session()
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


# Losses.


def test_regularisers_act_on_the_projected_weight():
    trained = compressible(lmbda=0.0, kernel_regularizer="l2", bias_regularizer="l1", use_bias=True)
    dense = trained.layers[0]
    dense.kernel_latent.assign(dense.kernel_latent * 0.9 + 0.3)
    dense.bias_latent.assign(dense.bias_latent + 0.11)
    kernel, bias = dense.kernel, dense.bias
    assert np.any(kernel != tf.reshape(dense.kernel_latent, kernel.shape))  # rounded
    losses = sorted(float(loss) for loss in trained.losses if float(loss) > 0)
    expected = sorted([0.01 * float(tf.reduce_sum(kernel**2)), 0.01 * float(tf.reduce_sum(tf.abs(bias)))])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for other in (to_compressed(trained), to_plain(trained)):
        np.testing.assert_allclose(sorted(map(float, other.losses)), expected, rtol=1e-5)


def test_an_activity_regulariser_stays():
    trained = compressible(lmbda=0.0, activity_regularizer=lambda x: tf.reduce_sum(x) * 3.0)
    trained(X)
    hidden = tf.nn.relu(X @ trained.layers[0].kernel + trained.layers[0].bias)
    np.testing.assert_allclose(
        max(map(float, trained.losses)), 3 * float(tf.reduce_sum(hidden)) / 40, rtol=1e-4
    )


def test_the_rate_is_lmbda_times_rate_over_all_parameters():
    model = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(3), k.BatchNormalization(), k.Dense(2)])
    trained = to_compressible(model, [("kernel", POWER)], lmbda=0.7)
    assert rate_of(trained) > 0
    expected = 0.7 * rate_of(trained) / model.count_params()
    assert float(sum(trained.losses)) == pytest.approx(expected, rel=1e-6)
    trained.lmbda.assign(1.4)
    assert float(sum(trained.losses)) == pytest.approx(2 * expected, rel=1e-6)
    again = to_compressible(to_compressed(trained), lmbda=0.7)
    rate = 0.7 * rate_of(again) / model.count_params()
    assert float(sum(again.losses)) == pytest.approx(rate, rel=1e-6)
    assert float(trained.lmbda) == pytest.approx(1.4)
    assert to_plain(trained).losses == [] and to_compressed(trained).losses == []


def test_more_lmbda_means_fewer_bytes():
    from lambdapress.framework import size_report

    sizes = []
    for lmbda in (0.0, 1.0, 10.0):
        tf.keras.utils.set_random_seed(1)
        model = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(64, "relu"), k.Dense(2)])
        trained = to_compressible(model, POWER, lmbda)
        trained.compile(tf.keras.optimizers.Adam(0.01), "mse")
        trained.fit(X, Y, batch_size=8, epochs=20, verbose=0)
        sizes.append(sum(row.bytes for row in size_report(trained).rows))
    assert sizes[0] > sizes[1] > sizes[2]


# Training.


def fitted(model, **arguments) -> list[np.ndarray]:
    model.compile(tf.keras.optimizers.Adam(0.01), "mse", **arguments)
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.mark.parametrize(
    "arguments", [{"steps_per_execution": 5}, {"run_eagerly": True}, {"jit_compile": True}]
)
def test_training_is_the_same_however_keras_runs_it(arguments):
    """Guards against computing the weight outside of the loop over steps: it would never change."""
    for one, other in zip(fitted(compressible()), fitted(compressible(), **arguments), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


class OwnStep(tf.keras.Model):
    """A model with a training step of the user's own, which also reads a kernel."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2) + tf.add_n(self.losses)
            loss += 0.0 * tf.reduce_sum(self.layers[1].kernel)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss, "seen": tf.reduce_sum(self.layers[1].kernel)}


@pytest.mark.parametrize("steps", [1, 5])
def test_a_training_step_of_the_users_own(steps):
    tf.keras.utils.set_random_seed(1)
    inputs = tf.keras.Input((4,))
    trained = to_compressible(OwnStep(inputs, k.Dense(2)(k.Dense(3, "relu")(inputs))), POWER)
    trained.compile(tf.keras.optimizers.Adam(0.01), steps_per_execution=steps)
    history = trained.fit(X, Y, batch_size=4, epochs=15, shuffle=False, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert len(set(history["seen"])) > 10


def test_frozen_layers_and_models_stay_frozen():
    model = net()
    model.layers[0].trainable = False
    trained = to_compressible(model, POWER)
    before = [v.numpy() for v in trained.layers[0].variables]
    fitted(trained)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.layers[0].get_weights(), strict=True))
    assert len(trained.trainable_variables) == 4
    assert not to_plain(to_compressed(trained)).layers[0].trainable

    model.trainable = False
    trained = to_compressible(model, POWER)
    assert trained.trainable_variables == []
    trained.trainable = True
    assert len(trained.trainable_variables) == 8
    assert len(to_compressible(to_compressed(trained)).trainable_variables) == 8


def test_gradients_flow_as_without_compression():
    """Checks that gradients pass straight through: those of the latents equal those of the weights."""
    model = net()
    plain = to_plain(to_compressible(model, POWER))
    trained = to_compressible(model, POWER, lmbda=0.0)

    def gradients(m, variables):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((m(X) - Y) ** 2)
        return tape.gradient(loss, variables)

    latents = [computed.variables()["latent"] for computed in computed_weights_of(trained)]
    for by_latent, by_weight in zip(
        gradients(trained, latents), gradients(plain, plain.trainable_variables), strict=True
    ):
        np.testing.assert_allclose(np.ravel(by_latent), np.ravel(by_weight), rtol=1e-4, atol=1e-6)


def test_functions_compiled_by_xla():
    trained = compressible()
    compiled = tf.function(lambda x: trained(x), jit_compile=True)
    np.testing.assert_allclose(compiled(X), trained(X), rtol=1e-5, atol=1e-6)


def test_saved_models_of_each_form(tmp_path):
    trained = compressible()
    for index, model in enumerate((to_compressed(trained), to_plain(trained))):
        model.save(tmp_path / str(index))
        loaded = tf.keras.models.load_model(tmp_path / str(index), compile=False)
        np.testing.assert_allclose(loaded(X), trained(X), rtol=1e-6, atol=1e-7)


def test_a_constraint_is_dropped_with_a_warning():
    with pytest.warns(UserWarning, match="dense/kernel: its constraint .* is dropped"):
        to_compressible(net(kernel_constraint="non_neg"), POWER)


# Errors.


def test_models_that_have_no_form():
    for function in (to_plain, lambda m: to_compressible(m, POWER), lambda m: to_compressed(m, POWER)):
        with pytest.raises(FormError, match="'unbuilt' is not built.*call it on a batch"):
            function(tf.keras.Sequential([k.Dense(2)], name="unbuilt"))
        for thing in (None, 3, k.Dense(2), "model", POWER):
            with pytest.raises(FormError, match="must be a tf.keras.Model"):
                function(thing)
    with pytest.raises(FormError, match="got a int"):
        form_of(3)


@pytest.mark.parametrize("lmbda", [-1.0, float("nan"), float("inf"), "1", None])
def test_a_lmbda_that_is_none(lmbda):
    with pytest.raises(FormError, match="lmbda"):
        to_compressible(net(), POWER, lmbda=lmbda)


def test_a_plain_model_needs_rules_and_only_it():
    for function in (to_compressible, to_compressed):
        with pytest.raises(FormError, match="needs rules"):
            function(net())
    with pytest.raises(FormError, match="compressible already"):
        to_compressed(compressible(), POWER)
    with pytest.raises(FormError, match="during, once, got 'onec'"):
        to_compressed(compressible(), decode="onec")
    for form in (compressible(), to_compressed(compressible())):
        form.predict(X, verbose=0)


def test_an_attribute_that_is_in_the_way():
    model = net()
    model.layers[0].kernel_latent = 3
    with pytest.raises(ValueError, match="'kernel_latent' already"):
        to_compressible(model, POWER)
