"""Tests models in which a compressible or compressed model is a layer, and Keras's own way to clone them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    Compressed,
    Compressible,
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
from lambdapress.framework.forms.rate import num_params, rate_of
from lambdapress.framework.surgery.clone import CloneError
from lambdapress.framework.surgery.weights import weights_of

k = tf.keras.layers
INPUTS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
RATED, HALF = algorithms.build("power_law"), algorithms.build("half")


def inner(name=None):
    inputs = tf.keras.Input((4,))
    return tf.keras.Model(inputs, k.Dense(4)(k.Dense(5, "relu")(inputs)), name=name)


class Sum(tf.keras.Model):
    """Adds what two models give, which may have the same name."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second, self.head = first, second, k.Dense(3)

    def call(self, inputs):
        return self.head(self.first(inputs) + self.second(inputs))


def subclassed(*models):
    model = Sum(*models)
    model(INPUTS)
    return model


def functional(*models):
    inputs = tf.keras.Input((4,))
    outputs = [model(inputs) for model in models]
    return tf.keras.Model(inputs, k.Dense(3)(k.Add()(outputs) if len(outputs) > 1 else outputs[0]))


def twice(model):
    inputs = tf.keras.Input((4,))
    return tf.keras.Model(inputs, k.Dense(3)(model(model(inputs))))


def sequential(*models):
    return tf.keras.Sequential([tf.keras.Input((4,)), *models, k.Dense(3)])


# Each makes a model of models that its argument puts into a form.
WIRINGS = {
    "sequential": lambda form: sequential(form(inner())),
    "functional": lambda form: functional(form(inner())),
    "two": lambda form: functional(form(inner()), form(inner())),
    "equal names": lambda form: subclassed(form(inner("net")), form(inner("net"))),
    "twice": lambda form: twice(form(inner())),
    "deep": lambda form: functional(sequential(form(inner()), k.Dense(4))),
    "form in form": lambda form: sequential(form(functional(form(inner())))),
    "beside plain": lambda form: functional(form(inner()), inner()),
}
FORMS = {
    "compressible": lambda model: to_compressible(model, RATED if form_of(model) == "plain" else None, 0.5),
    "compressed": lambda model: to_compressed(model, RATED if form_of(model) == "plain" else None),
}


@pytest.fixture(params=[(form, wiring) for form in FORMS for wiring in WIRINGS], ids=" ".join)
def nested(request):
    """Returns a model with others of a form as layers, its plain counterpart, and the form."""
    form, wiring = request.param
    return WIRINGS[wiring](FORMS[form]), WIRINGS[wiring](lambda model: model), form


def of_lmbda(model):
    return [variable.name for variable in model.weights if "lmbda" in variable.name]


def test_weights_are_known_by_their_paths_in_the_outer_model(nested, tmp_path):
    model, plain, form = nested
    assert form_of(model) == form
    assert num_params(model) == plain.count_params()
    assert sorted(row.path for row in size_report(model).rows) == sorted(
        w.spec.path for w in weights_of(plain)
    )
    save(model, tmp_path / "model.lpz")
    for like in (plain, model):
        np.testing.assert_array_equal(
            load(tmp_path / "model.lpz", like)(INPUTS), to_compressed(model)(INPUTS)
        )
    compressed, compressible = to_compressed(model), to_compressible(model)
    assert isinstance(compressed, Compressed) and isinstance(compressible, Compressible)
    for same in (compressed, compressible):
        save(same, tmp_path / "again.lpz")
        assert (tmp_path / "again.lpz").read_bytes() == (tmp_path / "model.lpz").read_bytes()


def test_the_outer_model_takes_a_form_of_its_own(nested):
    model, plain, _ = nested
    expected = model(INPUTS)
    compressible = to_compressible(model, lmbda=0.25)
    np.testing.assert_allclose(compressible(INPUTS), expected, rtol=1e-6, atol=1e-6)
    assert of_lmbda(compressible) == ["lmbda:0"]
    assert not any(isinstance(layer, Compressible) for layer in compressible.layers)
    before = np.array([float(loss) for loss in compressible.losses])
    np.testing.assert_allclose(before.sum(), 0.25 * rate_of(compressible) / plain.count_params(), rtol=1e-5)
    compressible.lmbda.assign(0.5)
    np.testing.assert_allclose([float(loss) for loss in compressible.losses], 2 * before, rtol=1e-6)

    anew = to_compressible(model, HALF)
    assert {row.algorithm for row in size_report(anew).rows} == {"half"} and of_lmbda(anew) == ["lmbda:0"]
    assert [v.shape for v in to_plain(model).weights] == [v.shape for v in plain.weights]
    np.testing.assert_array_equal(to_plain(model)(INPUTS), expected)


def test_the_inner_rate_is_in_the_outer_losses_once():
    compressible = to_compressible(inner(), RATED, lmbda=0.5)
    for model in (sequential(compressible), twice(compressible), functional(compressible, inner())):
        compressible.lmbda.assign(0.5)
        np.testing.assert_allclose(sum(map(float, model.losses)), sum(map(float, compressible.losses)))
        compressible.lmbda.assign(0.0)
        assert sum(map(float, model.losses)) == 0.0


def test_a_model_of_two_forms_is_compressible_until_all_of_it_is_compressed(tmp_path):
    model = functional(FORMS["compressed"](inner()), FORMS["compressible"](inner()))
    assert form_of(model) == "compressible"
    save(model, tmp_path / "model.lpz")
    restored = load(tmp_path / "model.lpz", functional(inner(), inner()))
    np.testing.assert_array_equal(restored(INPUTS), to_compressed(model)(INPUTS))
    assert len(to_compressible(model).losses) == 8  # of both


def test_a_part_of_a_model_is_saved_for_code_that_builds_the_part(tmp_path):
    model = to_compressed(sequential(inner("backbone")), HALF)
    backbone = model.get_layer("backbone")
    save(backbone, tmp_path / "backbone.lpz")
    np.testing.assert_array_equal(load(tmp_path / "backbone.lpz", inner())(INPUTS), backbone(INPUTS))


def test_a_kept_weight_does_not_take_a_computed_weights_path(tmp_path):
    def build():
        nested = tf.keras.Sequential([tf.keras.Input((4,)), k.Dense(4, name="b")], name="a")
        return sequential(k.Dense(4, name="a/b"), nested)

    model = to_compressible(build(), [("^a/b/kernel$", HALF), (".*", None)])
    save(model, tmp_path / "model.lpz")
    np.testing.assert_array_equal(load(tmp_path / "model.lpz", build())(INPUTS), model(INPUTS))


@pytest.mark.parametrize("decode", ["before", "during", "once"])
@pytest.mark.parametrize("form", FORMS)
def test_the_outer_model_is_exported(form, decode, tmp_path):
    model = WIRINGS["two"](FORMS[form])
    export_saved_model(model, tmp_path / "served", decode)
    predict, (name,) = open_exported(tmp_path / "served")
    for _ in range(2):
        np.testing.assert_allclose(predict({name: INPUTS})["output"], model(INPUTS), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        load_exported(tmp_path / "served")(INPUTS), model(INPUTS), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_outer_model_becomes_a_tensorflow_lite_file(form, tmp_path):
    model = WIRINGS["form in form"](FORMS[form])
    export_tflite(model, tmp_path / "m.tflite")
    predict, (name,) = open_exported(tmp_path / "m.tflite")
    np.testing.assert_allclose(predict({name: INPUTS})["output"], model(INPUTS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wiring", ["two", "deep", "form in form"])
@pytest.mark.parametrize("form", FORMS)
def test_keras_files_hold_the_outer_model(form, wiring, tmp_path):
    nested = WIRINGS[wiring](FORMS[form])
    for model in (nested, FORMS[form](nested)):
        model.save(tmp_path / "model.keras")
        again = tf.keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(again(INPUTS), model(INPUTS))
        np.testing.assert_allclose(list(map(float, again.losses)), list(map(float, model.losses)))
        save(model, tmp_path / "one.lpz"), save(again, tmp_path / "two.lpz")
        assert (tmp_path / "one.lpz").read_bytes() == (tmp_path / "two.lpz").read_bytes()


# tf.keras.models.clone_model.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [inner, lambda: FORMS["compressible"](inner()), lambda: functional(inner())])
def test_keras_clones_a_functional_model_with_new_values(make, form):
    model = FORMS[form](make())
    cloned = tf.keras.models.clone_model(model)
    assert form_of(cloned) == form
    if form == "compressible":
        assert float(cloned.lmbda) == 0.5
        kernels = [w.variable for w in weights_of(to_plain(cloned)) if w.spec.role == "kernel"]
        assert all(
            0.1 < float(tf.math.reduce_std(kernel)) < 1 for kernel in kernels
        )  # initialised, not zeros
    cloned.set_weights(model.get_weights())
    np.testing.assert_array_equal(cloned(INPUTS), model(INPUTS))


@pytest.mark.parametrize("form", FORMS)
def test_keras_clones_models_that_have_one_as_a_layer(form):
    for wiring in ("sequential", "functional"):
        model = WIRINGS[wiring](FORMS[form])
        cloned = tf.keras.models.clone_model(model)
        assert form_of(cloned) == form
        cloned.set_weights(model.get_weights())
        np.testing.assert_array_equal(cloned(INPUTS), model(INPUTS))


@pytest.mark.parametrize("form", FORMS)
def test_keras_cannot_clone_a_sequential_one_and_is_told_what_can(form):
    model = FORMS[form](sequential())
    with pytest.raises(CloneError, match=r"to_compressible\(model\).*type\(model\).from_config"):
        tf.keras.models.clone_model(model)
    anew = type(model).from_config(model.get_config())
    anew.set_weights(model.get_weights())
    np.testing.assert_array_equal(anew(INPUTS), model(INPUTS))
