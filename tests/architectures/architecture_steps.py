"""Takes one architecture with one algorithm through all that is done with a model; compares outputs.

The reference is the plain model with the decoded weights; its weights are compared with the original's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from architecture_zoo import BATCH, Architecture, randomise

from lambdapress.framework import (
    Algorithm,
    export_saved_model,
    export_tflite,
    load,
    load_exported,
    open_exported,
    save,
    to_compressed,
    to_compressible,
    to_plain,
)
from lambdapress.framework.export.prediction import by_name, input_specs, named
from lambdapress.framework.files.lpz import kept_weights
from lambdapress.framework.surgery.computed_weights import computed_weights_of
from lambdapress.framework.surgery.weights import weights_of

Outputs = dict[str, Any]
Step = Callable[[], None]


class Case:
    """Keeps an architecture with an algorithm, and makes each form of the model when it is first needed.

    Attributes:
      architecture: which is checked.
      original: the model, with values as after a training.
      inputs: to call it on.
      error: the greatest change of a weight, relative to the greatest magnitude in its tensor; 0: none.
      folder: for files.
    """

    def __init__(self, architecture: Architecture, algorithm: Algorithm, error: float, folder: Path):
        tf.keras.utils.set_random_seed(20)
        self.architecture, self.algorithm, self.error, self.folder = architecture, algorithm, error, folder
        self.original, self.inputs = architecture.original()
        self.original(self.inputs)
        randomise(self.original)
        self.before, self.outputs_before = _state(self.original), self.outputs(self.original)

    def outputs(self, model: Any) -> Outputs:
        """Returns a model's outputs as arrays, by the names that exports give them."""
        _forget(model)
        outputs = named(model(self.inputs, training=False))
        return {name: np.asarray(value) for name, value in outputs.items()}

    @functools.cached_property
    def anew(self) -> tf.keras.Model:
        """A model that the same code builds again, with other values, and not adapted to data."""
        return self.architecture.build()[0]

    @functools.cached_property
    def compressible(self) -> tf.keras.Model:
        return to_compressible(self.original, self.algorithm)

    @functools.cached_property
    def compressed(self) -> tf.keras.Model:
        return to_compressed(self.compressible)

    @functools.cached_property
    def plain(self) -> tf.keras.Model:
        return to_plain(self.compressed)

    @functools.cached_property
    def expected(self) -> Outputs:
        return self.outputs(self.plain)

    def same(self, model: tf.keras.Model) -> None:
        """Fails unless a model has the expected outputs, bit for bit."""
        compare(self.outputs(model), self.expected, 0.0)


def forms(case: Case) -> Iterator[tuple[str, Step]]:
    """Yields each step that exports nothing, by name; the last says whether the original was left alone."""
    yield "weights", functools.partial(_weights, case)
    yield "compressible", lambda: case.same(case.compressible)
    yield "compressed", lambda: case.same(case.compressed)
    yield "gradients", functools.partial(_gradients, case)
    yield "lpz", functools.partial(_lpz, case)
    yield "keras", functools.partial(_keras, case)
    yield "untouched", functools.partial(_untouched, case)


def exports(case: Case, names: Sequence[str]) -> Iterator[tuple[str, Step]]:
    """Yields those of the exports in `names` that the architecture is for.

    A name is `saved_model-DECODE` or `tflite-OPS-DECODE`, with `-folded` after it where batch normalisations
    are folded; there must be some.
    """
    layers = case.original._flatten_layers()
    norms = any(isinstance(layer, tf.keras.layers.BatchNormalization) for layer in layers)
    for name in names:
        folded = name.endswith("-folded")
        if re.search(case.architecture.exports, name) and (norms or not folded):
            parts = name.removesuffix("-folded").split("-")
            step = _saved_model if parts[0] == "saved_model" else _lite
            yield name, functools.partial(step, case, name, *parts[1:], folded)


def _weights(case: Case) -> None:
    originals, decoded = case.original, case.plain
    assert [_name(v) for v in decoded.weights] == [_name(v) for v in originals.weights]
    for before, after in zip(originals.get_weights(), decoded.get_weights(), strict=True):
        if before.dtype.kind not in "fV":
            np.testing.assert_array_equal(after, before)
            continue
        before, after = before.astype(np.float64), after.astype(np.float64)
        assert np.abs(after - before).max(initial=0) <= case.error * np.abs(before).max(initial=0)
    if case.error == 0:
        compare(case.expected, case.outputs_before, 0.0)
    # Else nothing would be seen of a value that gets lost.
    for before, other in zip(_trained(originals), _trained(case.anew), strict=True):
        assert before.shape == other.shape and not np.array_equal(before, other)


def _trained(model: tf.keras.Model) -> list[Any]:
    return [weight.variable.numpy() for weight in weights_of(model) if weight.trained]


def _gradients(case: Case) -> None:
    """Both algorithms let gradients through as if they did nothing."""
    compressible, plain = case.compressible, case.plain
    variables = {w.spec.path: w.variable for w in kept_weights(compressible) if w.trained}
    variables |= {w.spec.path: w.variables()["weight"] for w in computed_weights_of(compressible)}
    references = {w.spec.path: w.variable for w in weights_of(plain) if w.trained}
    assert set(variables) == set(references)
    found, expected = _gradient(case, compressible, variables), _gradient(case, plain, references)
    compare(found, expected, 1e-5)


def _gradient(case: Case, model: tf.keras.Model, variables: dict[str, Any]) -> Outputs:
    rng = np.random.default_rng(6)
    with tf.GradientTape() as tape:
        outputs = [x for x in tf.nest.flatten(model(case.inputs, training=False)) if x.dtype.is_floating]
        loss = sum(tf.reduce_sum(tf.cast(x, tf.float64) * rng.normal(size=x.shape)) for x in outputs)
    values = {name: tf.convert_to_tensor(variable) for name, variable in variables.items()}
    slopes = tape.gradient(loss, variables)
    return {
        name: np.zeros_like(values[name]) if g is None else np.asarray(tf.convert_to_tensor(g))
        for name, g in slopes.items()
    }


def _lpz(case: Case) -> None:
    path = case.folder / "model.lpz"
    save(case.compressible, path)
    for decode in ("during", "once"):
        case.same(load(path, case.anew, decode=decode))


def _keras(case: Case) -> None:
    model = case.compressible if case.error else case.compressed
    model.save(case.folder / "model.keras")
    case.same(tf.keras.models.load_model(case.folder / "model.keras", safe_mode=False))


def _saved_model(case: Case, name: str, decode: str, folded: bool) -> None:
    path = case.folder / name
    _forget(case.compressed)
    export_saved_model(case.compressed, path, decode, fold_batch_norm=folded)
    _serves(case, path)
    if not folded:
        case.same(load_exported(path, case.anew))


def _lite(case: Case, name: str, ops: str, decode: str, folded: bool) -> None:
    path = case.folder / f"{name}.tflite"
    _forget(case.compressed)
    inputs = tf.nest.flatten(input_specs(case.original))
    shapes = {spec.name: (BATCH, ...) for spec in inputs} if case.architecture.fixed_batch else None
    fixed = shapes if ops == "builtin" else None
    export_tflite(case.compressed, path, decode, ops, fold_batch_norm=folded, shapes=fixed)
    _serves(case, path)


def _serves(case: Case, path: Path) -> None:
    """Fails unless a file has the expected outputs, and again when it is asked again."""
    predict, _ = open_exported(path)
    inputs = {name: np.asarray(x) for name, x in by_name(case.inputs, case.original).items()}
    stateful = any(getattr(layer, "stateful", False) for layer in case.original._flatten_layers())
    for _ in range(1 if stateful else 2):
        compare(dict(predict(inputs)), case.expected, case.architecture.tolerance)


def _forget(model: tf.keras.Model) -> None:
    """Takes the states of recurrent layers back to zeros: a file has those that the model is in."""
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_states"):
            layer.reset_states()


def _untouched(case: Case) -> None:
    layers, variables, values = _state(case.original)
    assert layers == case.before[0]
    assert variables == case.before[1]
    for before, after in zip(case.before[2], values, strict=True):
        np.testing.assert_array_equal(after, before)
    compare(case.outputs(case.original), case.outputs_before, 0.0)


def _state(model: tf.keras.Model) -> list[Any]:
    """Returns all that must not change on a user's model: its classes, attributes and values."""
    layers = [(type(x), _attributes(x), x.name, x.trainable) for x in model._flatten_layers()]
    return [layers, [_name(variable) for variable in model.weights], model.get_weights()]


def _attributes(layer: tf.keras.layers.Layer) -> list[str]:
    return sorted(name for name in vars(layer) if not name.startswith("_self_"))  # TensorFlow's, made lazily


def _name(variable: Any) -> str | None:
    return getattr(variable, "name", None)  # a table, which Keras lists among the weights, has none


def compare(found: Outputs, expected: Outputs, tolerance: float) -> None:
    """Fails unless all arrays have the expected shapes, and values that differ by at most `tolerance`.

    Args:
      found, expected: arrays by name.
      tolerance: relative to the greatest magnitude in the array. What is no float must be equal.
    """
    assert set(found) == set(expected), f"{sorted(found)} in place of {sorted(expected)}"
    for name, wanted in expected.items():
        array = np.asarray(found[name])
        assert array.shape == wanted.shape, f"{name}: {array.shape} in place of {wanted.shape}"
        if wanted.dtype.kind not in "fV":  # V: bfloat16
            np.testing.assert_array_equal(array, wanted, err_msg=name)
            continue
        array, wanted = array.astype(np.float64), wanted.astype(np.float64)
        assert np.isfinite(wanted).all(), f"{name}: what is expected is not finite"
        scale, difference = np.abs(wanted).max(initial=0), np.abs(array - wanted).max(initial=0)
        assert difference <= tolerance * scale, f"{name}: off by {difference:.3g}, and at most {scale:.3g}"


def plain_problem(case: Case, limit: str) -> str | None:
    """Returns the error that the plain model meets in Keras or TensorFlow Lite, or None.

    Args:
      case: whose original is tried.
      limit: `keras`, `tflite-builtin` or `tflite-select`.
    """
    try:
        _plain_keras(case) if limit == "keras" else _plain_lite(case, limit)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _plain_keras(case: Case) -> None:
    case.original.save(case.folder / "plain.keras")
    loaded = tf.keras.models.load_model(case.folder / "plain.keras", safe_mode=False)
    compare(case.outputs(loaded), case.outputs_before, 0.0)


def _plain_lite(case: Case, limit: str) -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(case.original)
    if limit == "tflite-select":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    for detail, value in zip(interpreter.get_input_details(), tf.nest.flatten(case.inputs), strict=True):
        interpreter.resize_tensor_input(detail["index"], [len(value), *detail["shape"][1:]])
    interpreter.allocate_tensors()
    interpreter.invoke()
