"""Folds batch normalisations into the weights before them, as a compiler does with constant weights.

In inference a batch normalisation scales each channel and adds to it: y = x·s + t with s = γ/√(σ²+ε) and
t = β − μ·s (Ioffe & Szegedy 2015, algorithm 2). If x is computed by a kernel whose last axes are those
channels, s can become a factor of the kernel. A converter does this while it converts, but it cannot do so
for weights that are decoded only when the model runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from ..forms.plain import FormError, form_of, to_plain
from ..surgery.clone import clone, layers_of, scope_of
from ..surgery.computed_weights import ComputedWeight, computed_weight_at
from ..surgery.parametrize import drop_variable
from ..surgery.private import BatchNormalizationBase
from ..surgery.weights import Layer, places_of, weights_of
from .prediction import WeightFunction, prediction
from .shapes import Shapes

_NORM_WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclasses.dataclass(frozen=True)
class Pair:
    """A batch normalisation and the kernel into which it can be folded.

    Attributes:
      layer: index in `layers_of` of the layer with the kernel.
      attribute: of that layer, which holds the kernel.
      norm: index in `layers_of` of the normalisation.
    """

    layer: int
    attribute: str
    norm: int


@dataclasses.dataclass(frozen=True, eq=False)
class _LayerCall:
    layer: Layer
    given: Any
    output: Any
    operations: frozenset[str]


def fold_batch_norm(model: tf.keras.Model) -> tf.keras.Model:
    """Returns a clone of a plain model, for inference, with batch normalisations folded into kernels.

    The layer before a normalisation gets a bias if it has none; the normalisation becomes a linear
    `Activation`. A normalisation stays as it is if it does not follow exactly one kernel, if its input is
    also used elsewhere, or if the layer before it shares a weight with another.

    >>> model.add(tf.keras.layers.BatchNormalization(name="norm"))
    >>> [type(layer).__name__ for layer in fold_batch_norm(model).layers]
    ['Dense', 'Activation']

    Args:
      model: plain; called before, so that it knows its input.

    Raises:
      FormError: for a model in another form: fold first, then compress, or fold while exporting.
    """
    if form_of(model) != "plain":
        raise FormError(
            f"Only a plain model's weights can be folded; {model.name!r} is {form_of(model)}: fold first, "
            "then compress, or give fold_batch_norm=True to the export."
        )
    folded = pairs(model)
    copied = clone(model)
    layers = layers_of(copied)
    with scope_of(copied):
        for pair in folded:
            layer, norm = layers[pair.layer], layers[pair.norm]
            scale, shift = _affine(norm)
            kernel = getattr(layer, pair.attribute)
            kernel.assign(_scaled(kernel, scale))
            if layer.use_bias:
                layer.bias.assign(
                    layer.bias * tf.cast(scale, layer.bias.dtype) + tf.cast(shift, layer.bias.dtype)
                )
            else:
                _add_bias(layer, shift)
            _remove(norm)
    return copied


def pairs(model: tf.keras.Model) -> list[Pair]:
    """Lists the batch normalisations of a model, in any form, that can be folded, each with its kernel."""
    plain = to_plain(model)
    calls = _calls(plain)
    places = {id(layer): index for index, layer in enumerate(layers_of(plain))}
    times: dict[int, int] = {}
    for call in calls:
        times[id(call.layer)] = times.get(id(call.layer), 0) + 1
    once = [call for call in calls if times[id(call.layer)] == 1 and isinstance(call.output, tf.Tensor)]
    tied = {
        id(place.layer) for weight in weights_of(plain) if len(weight.places) > 1 for place in weight.places
    }
    makers = {
        id(call.output): call
        for call in once
        if hasattr(call.layer, "use_bias") and id(call.layer) not in tied
    }
    foldable = []
    for call in once:
        maker = makers.get(id(call.given))
        if maker is None or not isinstance(call.layer, BatchNormalizationBase):
            continue
        norm: Any = call.layer
        if list(norm.axis) != [call.given.shape.rank - 1]:
            continue
        if not all(consumer.name in call.operations for consumer in call.given.consumers()):
            continue
        attribute = _kernel_of(maker, call.layer)
        if attribute is not None:
            foldable.append(Pair(places[id(maker.layer)], attribute, places[id(call.layer)]))
    return foldable


def decoding_prediction(
    model: tf.keras.Model, weight: WeightFunction, fold: bool, shapes: Shapes = None
) -> Any:
    """Returns the `prediction` (see `prediction.py`) of a compressed model whose weights `weight` decodes.

    Args:
      model: compressed.
      weight: decodes a weight in the graph.
      fold: whether weights are multiplied by the factors of the batch normalisations after them.
      shapes: of the inputs, as `prediction` takes them.
    """
    if not fold:
        return prediction(model, weight, shapes)
    with _folded(model, weight) as scaled:
        return prediction(model, scaled, shapes)


@contextlib.contextmanager
def _folded(model: tf.keras.Model, weight: WeightFunction) -> Iterator[WeightFunction]:
    """Folds a compressed model's normalisations into the weights that `weight` decodes, while it is traced.

    The factor is applied after decoding, and a folded normalisation only adds (see `_adding`). Kernels that
    are kept in full are left to the compiler.
    """
    layers = layers_of(model)
    norms: dict[ComputedWeight, Layer] = {}
    swapped = []
    for pair in pairs(model):
        computed = computed_weight_at(layers[pair.layer], pair.attribute)
        if computed is not None:
            norms[computed] = layers[pair.norm]
            swapped.append((layers[pair.norm], layers[pair.layer]))

    def scaled(computed: ComputedWeight, layer_input: tf.Tensor) -> tf.Tensor:
        value, norm = weight(computed, layer_input), norms.get(computed)
        return value if norm is None else _scaled(value, _affine(norm)[0])

    before = [(norm, type(norm)) for norm, _ in swapped]
    for norm, layer in swapped:
        object.__setattr__(norm, "__class__", _adding(type(norm), layer))
    try:
        yield scaled
    finally:
        for norm, kind in before:
            object.__setattr__(norm, "__class__", kind)


def _adding(kind: type, layer: Layer) -> type:
    """Returns a class of normalisations that only add, since their factor is in the kernel of `layer`."""

    def call(self: Any, inputs: tf.Tensor, training: Any = None, mask: Any = None) -> tf.Tensor:
        del training, mask
        scale, shift = _affine(self)
        if layer.use_bias:  # the layer added its bias without the factor
            shift += tf.cast(layer.bias, shift.dtype) * (scale - 1.0)
        return tf.nn.bias_add(inputs, tf.cast(shift, inputs.dtype))

    return types.new_class(f"Folded{kind.__name__}", (kind,), exec_body=lambda body: body.update(call=call))


def _affine(norm: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns s and t of a normalisation, float32 [channels]."""
    scale = tf.math.rsqrt(tf.cast(norm.moving_variance, tf.float32) + norm.epsilon)
    if norm.gamma is not None:
        scale *= tf.cast(norm.gamma, tf.float32)
    shift = -tf.cast(norm.moving_mean, tf.float32) * scale
    return scale, shift if norm.beta is None else shift + tf.cast(norm.beta, tf.float32)


def _scaled(kernel: Any, scale: Any) -> tf.Tensor:
    """Multiplies a kernel by a factor over its last axes."""
    axes = _trailing(kernel.shape, int(scale.shape[0]))
    assert axes is not None
    return tf.convert_to_tensor(kernel) * tf.cast(tf.reshape(scale, axes), kernel.dtype)


def _trailing(shape: Any, channels: int) -> tuple[int, ...] | None:
    """Returns the sizes of the last one or two axes of a kernel, if these are the channels, or else None."""
    shape = tuple(shape)
    if len(shape) >= 2 and shape[-1] == channels:
        return shape[-1:]
    return shape[-2:] if len(shape) >= 3 and shape[-1] * shape[-2] == channels else None


def _kernel_of(call: _LayerCall, norm: Layer) -> str | None:
    """Returns the attribute of the layer's kernel that can be scaled instead of its output's channels.

    Finds it by trying each on a random input; None where there is none.
    """
    layer = call.layer
    if not isinstance(call.given, tf.Tensor) or call.given.shape.rank is None:
        return None
    channels = int(norm.moving_mean.shape[0])
    generator = tf.random.Generator.from_seed(0)
    inputs = generator.normal([1 if i == 0 else size or 8 for i, size in enumerate(call.given.shape)])
    inputs = tf.cast(inputs, call.given.dtype) if call.given.dtype.is_floating else None
    # Of both signs: an activation such as ReLU lets positive factors through, and a gain may be negative.
    factor = generator.uniform([channels], 0.5, 2.0) * (
        1.0 - 2.0 * tf.cast(tf.range(channels) % 2 == 0, tf.float32)
    )
    for place, variable in places_of(layer):
        if inputs is None or place.keys or _trailing(variable.shape, channels) is None:
            continue
        value = tf.convert_to_tensor(variable)
        output = _without_bias(layer, inputs)
        variable.assign(_scaled(variable, factor))
        changed = _without_bias(layer, inputs)
        variable.assign(value)
        wanted = output * tf.cast(factor, output.dtype)
        if float(tf.reduce_max(tf.abs(changed - wanted))) <= 1e-2 * float(tf.reduce_max(tf.abs(wanted))):
            return place.attribute
    return None


def _without_bias(layer: Layer, inputs: tf.Tensor) -> tf.Tensor:
    output = layer(inputs)
    return output - tf.cast(layer.bias, output.dtype) if layer.use_bias else output


def _calls(model: tf.keras.Model) -> list[_LayerCall]:
    """Lists the layer calls that a prediction of the model makes, in order."""
    calls: list[_LayerCall] = []
    layers = layers_of(model)
    for layer in layers:
        object.__setattr__(layer, "__class__", _recording(type(layer), calls))
    prediction(model)
    for layer in layers:
        object.__setattr__(layer, "__class__", type(layer).__mro__[1])
    return calls


def _recording(kind: Any, calls: list[_LayerCall]) -> type:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()
        start = len(graph.get_operations())
        output = kind.__call__(self, *args, **kwargs)
        operations = frozenset(operation.name for operation in graph.get_operations()[start:])
        calls.append(_LayerCall(self, args[0] if args else None, output, operations))
        return output

    return types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(__call__=__call__))


def _add_bias(layer: Any, value: tf.Tensor) -> None:
    layer.use_bias = True
    del layer.bias
    layer.bias = layer.add_weight(name="bias", shape=value.shape, initializer="zeros", trainable=True)
    layer.bias.assign(tf.cast(value, layer.bias.dtype))


def _remove(norm: Any) -> None:
    """Turns a normalisation into a linear activation."""
    for name in _NORM_WEIGHTS:
        if getattr(norm, name, None) is not None:
            drop_variable(norm, name)
    object.__setattr__(norm, "__class__", tf.keras.layers.Activation)
    norm.activation = tf.keras.activations.linear
    norm._call_spec = tf.keras.layers.Activation("linear")._call_spec  # it takes no `training`
