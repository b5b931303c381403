"""Tests every algorithm with every layer type; `conftest.py` has the table."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import (
    WeightSpec,
    algorithms,
    export_saved_model,
    load_exported,
    save,
    size_report,
    to_compressed,
    to_compressible,
    to_plain,
)
from lambdapress.framework.files.trained import load_trained, save_trained
from lambdapress.framework.surgery.computed_weights import computed_weights_of
from lambdapress.sweeps.deployment.runtime import Served


def flat(outputs) -> list[np.ndarray]:
    return [np.asarray(tf.cast(output, tf.float64)) for output in tf.nest.flatten(outputs)]


def assert_same(outputs, expected) -> None:
    """Checks that outputs are equal bit for bit, NaN included."""
    for output, wanted in zip(flat(outputs), flat(expected), strict=True):
        np.testing.assert_array_equal(output, wanted)


def snapshot(model) -> dict:
    return {
        "identity": [id(variable) for variable in model.weights],
        "values": [variable.numpy().tobytes() for variable in model.weights],
        "types": [(type(v), v.name, v.shape, v.dtype, v.trainable) for v in model.weights],
        "classes": [(type(layer), layer.name) for layer in model._flatten_layers()],
        "losses": [float(loss) for loss in model.losses],
        "optimizer": (id(model.optimizer), [v.numpy().tobytes() for v in model.optimizer.variables]),
        "loss": model.loss,
    }


def test_decoding_what_was_encoded_gives_the_projected_weight_bit_for_bit(case):
    computed_weights = computed_weights_of(case.compressible)
    assert computed_weights
    for computed in computed_weights:
        projected = computed.compute()
        decoded = computed.algorithm.decode(
            computed.algorithm.encode(computed.tensors(), computed.spec), computed.spec
        )
        assert decoded.dtype.name == projected.dtype.name == computed.spec.dtype
        assert decoded.shape == projected.shape == computed.spec.shape
        assert decoded.numpy().tobytes() == projected.numpy().tobytes(), computed.spec.path


def test_without_its_entropy_code_a_weight_is_the_same(case):
    for computed in computed_weights_of(case.compressed):
        algorithm, tensors = computed.algorithm, computed.tensors()
        unpacked = algorithm.unpack(tensors, computed.spec)
        if algorithm.name not in ("lossless", "none", "half"):
            assert not any(value.dtype == tf.string for value in unpacked.values()), computed.spec.path
        decoded = algorithm.decode(unpacked, computed.spec)
        assert decoded.numpy().tobytes() == computed.compute().numpy().tobytes(), computed.spec.path
        again = algorithm.unpack(unpacked, computed.spec)
        assert {name: t.dtype for name, t in again.items()} == {n: t.dtype for n, t in unpacked.items()}


def test_every_form_gives_the_same_outputs(case):
    expected = case.compressible(case.inputs)
    assert_same(case.compressed(case.inputs), expected)
    assert_same(to_compressed(case.compressible, decode="once")(case.inputs), expected)
    assert_same(case.plain_after(case.inputs), expected)
    assert_same(case.loaded(case.inputs), expected)


def losses_of(case, model) -> tf.Tensor:
    """Returns the sum that `fit` minimises: the loss and the model's own losses."""
    outputs = model(case.inputs, training=True)
    return case.loss(outputs) + sum(tf.cast(loss, tf.float32) for loss in model.losses)


def test_every_trained_variable_gets_a_gradient(case):
    # Training changes statistics. At this λ a kernel of six numbers is not pruned down to one, through
    # which no gradient would pass.
    model = to_compressible(case.plain, case.algorithm, lmbda=0.1)
    with tf.GradientTape() as tape:
        loss = losses_of(case, model)
    variables = model.trainable_variables
    gradients = {
        id(v): gradient for v, gradient in zip(variables, tape.gradient(loss, variables), strict=True)
    }
    for variable in variables:
        gradient = gradients[id(variable)]
        assert gradient is not None, variable.name
        assert np.isfinite(tf.cast(tf.convert_to_tensor(gradient), tf.float32)).all(), variable.name
    for computed in computed_weights_of(model):
        for name, variable in computed.variables().items():
            trained = computed.plain["trainable"] and computed.owner.trainable and variable.dtype.is_floating
            assert (id(variable) in gradients) == trained
            if trained and computed.algorithm.trains:
                assert np.any(gradients[id(variable)] != 0), (computed.spec.path, name)


def tolerance(name: str) -> float:
    """Returns a tolerance: half precision has 8 or 11 bits, and graphs may skip roundings."""
    return 2e-2 if "float16" in name or "mixed" in name else 1e-6


def test_the_report_adds_up_to_the_file(case):
    report = size_report(case.path)
    assert report.size_bytes == case.path.stat().st_size
    assert sum(row.bytes for row in report.rows) + report.overhead_bytes == report.size_bytes
    assert report.num_params == case.plain.count_params()
    assert size_report(case.compressible).rows == report.rows
    assert size_report(case.loaded).rows == report.rows


def test_going_back_loses_nothing(case, tmp_path):
    again = to_compressible(case.compressed)
    for computed, before in zip(
        computed_weights_of(again), computed_weights_of(case.compressible), strict=True
    ):
        assert computed.spec == before.spec
        assert computed.compute().numpy().tobytes() == before.compute().numpy().tobytes()
    save(again, tmp_path / "again.lpz")
    assert (tmp_path / "again.lpz").read_bytes() == case.path.read_bytes()


def test_what_a_training_has_learned_is_kept_exactly(case, tmp_path):
    save_trained(case.compressible, tmp_path / "trained.lpz")
    again = load_trained(tmp_path / "trained.lpz", case.plain, float(case.compressible.lmbda))
    for computed, before in zip(
        computed_weights_of(again), computed_weights_of(case.compressible), strict=True
    ):
        variables, learned = computed.variables(), before.variables()
        assert variables.keys() == learned.keys() and computed.algorithm == before.algorithm
        for name, variable in variables.items():
            assert variable.trainable == learned[name].trainable
            assert variable.dtype == learned[name].dtype
            assert variable.numpy().tobytes() == learned[name].numpy().tobytes(), variable.name
    assert_same(again(case.inputs), case.compressible(case.inputs))
    assert_same(again.losses, case.compressible.losses)
    assert save(again, tmp_path / "again.lpz") == case.path.stat().st_size


def test_plain_again_is_of_the_original_making(case):
    def making(model):
        described = [(v.name, tuple(v.shape), v.dtype.name, v.trainable, type(v)) for v in model.weights]
        classes = [(type(layer), layer.name, layer.trainable) for layer in model._flatten_layers()]
        return described, classes, len(model.losses), len(model.trainable_weights)

    for model in (case.plain_after, to_plain(case.compressible)):
        assert making(model) == making(case.plain)


def test_a_graph_trains_and_predicts_as_eager_code_and_leaves_the_original_alone(graph_case):
    case = graph_case
    case.plain.compile("sgd", "mse")
    before, outputs = snapshot(case.plain), case.plain(case.inputs)

    model = to_compressible(case.plain, case.algorithm)
    stochastic = any(isinstance(layer, tf.keras.layers.Dropout) for layer in model._flatten_layers())
    values = [variable.numpy() for variable in model.trainable_variables]
    model.compile(tf.keras.optimizers.SGD(0.5), "mse")
    history = model.fit(case.inputs, case.targets, batch_size=len(tf.nest.flatten(case.inputs)[0]), verbose=0)
    moved = [np.any(v.numpy() != value) for v, value in zip(model.trainable_variables, values, strict=True)]
    assert all(moved), [v.name for v, ok in zip(model.trainable_variables, moved, strict=True) if not ok]
    loss = history.history["loss"][0]
    if not stochastic:
        eager = float(losses_of(case, to_compressible(case.plain, case.algorithm)))
        assert abs(loss - eager) <= tolerance(case.name) * abs(eager)

    compressed = to_compressed(model)
    predicted = flat(compressed.predict(case.inputs, verbose=0))
    for output, wanted in zip(predicted, flat(compressed(case.inputs)), strict=True):
        atol = tolerance(case.name) * np.abs(wanted).max()
        np.testing.assert_allclose(output, wanted, rtol=tolerance(case.name), atol=atol)
    assert_same(compressed(case.inputs), model(case.inputs))

    assert snapshot(case.plain) == before
    assert_same(case.plain(case.inputs), outputs)


SPECS = (
    WeightSpec("dense/kernel", (60, 50), "float32", "kernel"),
    WeightSpec("conv/kernel", (3, 3, 16, 20), "float32", "kernel", spatial=2),
    WeightSpec("embedding/embeddings", (80, 16), "float32", "embedding"),
    WeightSpec("dense/bias", (50,), "float32", "bias"),
)


def weight_of(spec: WeightSpec) -> tf.Tensor:
    """Makes a weight whose spectrum and magnitudes fall off, as in a trained one."""
    values = np.random.default_rng(4).laplace(scale=0.1, size=spec.shape)
    return tf.constant(values * np.logspace(0, -1, spec.shape[-1]), tf.float32)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.path)
def test_what_is_stored_is_what_training_saw_at_every_moment(algorithm, spec):
    """Checks this also after updates, unless encoding is refused; variables keep their shapes and dtypes."""
    instance = algorithms.build(algorithm)
    variables = dict(instance.init(weight_of(spec), spec, 0.3))
    for progress in (0.0, 0.3, 0.6, 1.0):
        changed = instance.update(variables, progress, spec, 0.3)
        for name, value in changed.items():
            assert (value.shape, value.dtype) == (variables[name].shape, variables[name].dtype)
        variables.update(changed)
        projected = instance.project(variables, spec)
        try:
            encoded = instance.encode(variables, spec)
        except ValueError as error:
            assert progress < 1 and "training" in str(error)  # training has not ended: nothing to store yet
            continue
        assert instance.decode(encoded, spec).numpy().tobytes() == projected.numpy().tobytes()
        assert not instance.update(variables, 1.0, spec, 0.3).keys() - variables.keys()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.path)
def test_lmbda_means_fewer_bytes_or_nothing(algorithm, spec):
    """Tests compression without training, where no rate is trained."""
    instance = algorithms.build(algorithm)
    sizes = []
    for lmbda in (0.01, 0.1, 1.0):
        encoded = instance.encode(instance.init(weight_of(spec), spec, lmbda), spec)
        sizes.append(sum(tensor_bytes(tensor) for tensor in encoded.values()))
    assert sizes == sorted(sizes, reverse=True)
    if not instance.uses_lmbda:
        assert len(set(sizes)) == 1
    elif not instance.has_penalty and spec.role != "bias":
        assert sizes[-1] < sizes[0] / 2


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.path)
def test_coarser_steps_mean_fewer_bytes(algorithm, spec):
    instance = algorithms.build(algorithm)
    variables = dict(instance.init(weight_of(spec), spec, 0.01))
    variables.update(instance.update(variables, 1.0, spec, 0.01))
    sizes = []
    for factor in (1.0, 2.0, 4.0):
        changed = instance.coarser(variables, factor, spec)
        assert bool(changed) == instance.has_steps
        for name, value in changed.items():
            assert (value.shape, value.dtype) == (variables[name].shape, variables[name].dtype)
        coarse = {**variables, **changed}
        encoded, projected = instance.encode(coarse, spec), instance.project(coarse, spec)
        assert instance.decode(encoded, spec).numpy().tobytes() == projected.numpy().tobytes()
        if factor == 1:
            assert projected.numpy().tobytes() == instance.project(variables, spec).numpy().tobytes()
        sizes.append(sum(tensor_bytes(tensor) for tensor in encoded.values()))
    assert sizes == sorted(sizes, reverse=True)
    if instance.has_steps:
        assert sizes[-1] < 0.9 * sizes[0]


def test_a_higher_penalty_means_more_bytes(algorithm):
    """Tests scales and sparsities, for a dense weight and a convolution's."""
    instance = algorithms.build(algorithm)
    for spec in SPECS[:2]:
        rng = np.random.default_rng(4)
        penalties, sizes = [], []
        for scale in (0.01, 0.03, 0.1, 0.3, 1.0):
            for density in (0.1, 0.3, 1.0):
                weight = rng.laplace(scale=scale, size=spec.shape) * (rng.random(spec.shape) < density)
                # Restored from the code: latents that round to 0 have a penalty but take no bytes.
                encoded = instance.encode(instance.init(tf.constant(weight, tf.float32), spec), spec)
                variables = instance.restore(encoded, spec)
                penalty = instance.penalty(variables, spec)
                assert instance.has_penalty == (penalty is not None)
                if penalty is None:
                    return
                penalties.append(float(penalty))
                sizes.append(sum(tensor_bytes(t) for t in encoded.values()))
        assert correlation(penalties, sizes) > 0.95
        assert correlation(np.argsort(np.argsort(penalties)), np.argsort(np.argsort(sizes))) > 0.95


def tensor_bytes(tensor) -> int:
    value = tf.convert_to_tensor(tensor).numpy()
    if isinstance(value, bytes):
        return len(value)
    return sum(map(len, value.ravel())) if value.dtype == object else value.nbytes


def correlation(first, second) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def test_a_saved_model_of_every_layer_type_predicts_as_the_model(exported_case):
    """Decodes while it runs. `tests/framework/export/test_exports.py` exports every algorithm."""
    case = exported_case
    export_saved_model(case.compressed, case.folder / "m")
    served = Served(case.folder / "m", case.compressed)
    predicted = flat(tf.function(lambda inputs: served(inputs, training=False))(case.inputs))
    for output, wanted in zip(predicted, flat(case.compressed(case.inputs)), strict=True):
        atol = tolerance(case.name) * np.abs(wanted).max()
        np.testing.assert_allclose(output, wanted, rtol=tolerance(case.name), atol=atol)
    again = load_exported(case.folder / "m", case.anew, decode="during")
    assert_same(again(case.inputs), case.compressed(case.inputs))
