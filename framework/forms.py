"""The three forms of a model and the ways between them.

    plain ──to_compressible──▶ compressible ──to_compressed──▶ compressed ──to_plain──▶ plain

A form is a type: `isinstance(model, Compressible)`, and also of the class that the model had. Every
way makes a clone; the model passed in is untouched. Clones are uncompiled: compile them as you
would the original.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any, Optional, cast

import tensorflow as tf

from .clone import clone, scope_of
from .contract import tensors_of
from .parametrize import change_slot, drop_variable, put_slot, remove_slots, set_class
from .rules import Rules, assign
from .slots import Projected, Stored, StoredOnce, WeightRef, slots_of
from .weight_losses import losses_of, redirect_losses, set_losses
from .weights import weights_of

DECODE = ("each_call", "once")


class Form:
    """What both forms have in common: `model.save("….keras")`, and `tf.keras.models.load_model` of it."""

    def get_config(self) -> dict[str, Any]:
        from . import keras_saving

        return keras_saving.get_config(cast(tf.keras.Model, self))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> tf.keras.Model:
        from . import keras_saving

        with tf.keras.saving.custom_object_scope(custom_objects or {}):
            return keras_saving.from_config(config)

    def get_build_config(self) -> None:
        """Nothing: `from_config` makes a model that is built."""

    def save(self, filepath: Any, *arguments: Any, **keywords: Any) -> None:
        """As Keras's, but for HDF5.

        Raises:
          FormError: for Keras's older format, HDF5.
        """
        if str(filepath).endswith((".h5", ".hdf5")) or keywords.get("save_format") == "h5":
            raise FormError(
                f"{str(filepath)!r}: Keras's HDF5 files hold no {form_of(cast(tf.keras.Model, self))} model; "
                "give a name that ends in .keras, or lambdapress.framework.save an .lpz file."
            )
        super().save(filepath, *arguments, **keywords)  # pyright: ignore[reportAttributeAccessIssue]


@tf.keras.saving.register_keras_serializable("lambdapress")
class Compressible(Form):
    """Mixed into the class of a compressible model.

    Attributes:
      lmbda: non-trainable float32 variable, the weight λ of the rate. `model.losses` carries
        λ·rate/num_params, a term a weight.
    """

    lmbda: tf.Variable


@tf.keras.saving.register_keras_serializable("lambdapress")
class Compressed(Form):
    """Mixed into the class of a compressed model."""


class FormError(ValueError):
    """A model that is not in the form that a function needs; the message says how to get there."""


@dataclasses.dataclass(frozen=True, eq=False)
class RateLoss:
    """λ·rate/num_params of one weight, as a loss of its layer."""

    layer: tf.keras.layers.Layer
    path: str
    lmbda: tf.Variable
    num_params: int

    def __call__(self) -> tf.Tensor:
        slot = cast(Projected, WeightRef(self.layer, self.path).slot)
        return self.lmbda * cast(tf.Tensor, slot.penalty()) / float(self.num_params)

    def rebind(self, replacements: Mapping[int, Any]) -> RateLoss:
        """The same loss of a cloned layer; see `clone.rebind`."""
        layer = replacements.get(id(self.layer), self.layer)
        lmbda = replacements.get(id(self.lmbda), self.lmbda)
        if layer is self.layer and lmbda is self.lmbda:
            return self
        return dataclasses.replace(self, layer=layer, lmbda=lmbda)


def form_of(model: tf.keras.Model) -> str:
    """`plain`, `compressible` or `compressed`; that of its layers, for a part of a model.

    Raises:
      FormError: for what is no layer.
    """
    if not isinstance(model, tf.keras.layers.Layer):
        raise FormError(f"model must be a tf.keras.Model, got a {type(model).__name__}.")
    forms = {slot.form for slot in slots_of(model)}
    return forms.pop() if forms else "plain"


def to_compressible(
    model: tf.keras.Model, rules: Optional[Rules] = None, lmbda: float = 1.0
) -> tf.keras.Model:
    """A clone in which training variables stand in the place of each chosen weight.

    It is an ordinary Keras model: compile and fit it with your own loss, callbacks and strategy.
    Its `losses` carry the rate, so that training minimises loss + λ·rate/num_params.

    Args:
      model: built, in any form. Layers in a compressible or compressed model keep their latents and
        steps where `rules` is None, so that training goes on where it was.
      rules: an algorithm, or `(pattern, algorithm or None)` pairs over weight paths; see
        `rules.assign`. Needed for a plain model.
      lmbda: λ, at least 0; `model.lmbda.assign` changes it later.

    Raises:
      FormError: for a model that is not built, a plain one without rules, or a λ that is not a number of
        at least 0.
      RuleError: for rules that do not fit the model.
      CloneError: for a model that cannot be copied.
    """
    if not (isinstance(lmbda, numbers.Real) and math.isfinite(lmbda) and lmbda >= 0):
        raise FormError(f"lmbda is the weight of the rate, a number of at least 0, got {lmbda!r}.")
    if form_of(require_built(model)) != "plain":
        if rules is None:
            return _continue_training(model, lmbda)
        model = to_plain(model)
    if rules is None:
        raise FormError("A plain model needs rules: an algorithm, or (pattern, algorithm) pairs.")
    copied = clone(model)
    num_params = copied.count_params()
    weights = weights_of(copied)
    algorithms = assign(rules, weights)
    chosen = [weight for weight in weights if weight.spec.path in algorithms]
    with scope_of(copied):
        for weight in chosen:
            algorithm = algorithms[weight.spec.path]
            value = tf.cast(weight.variable.read_value(), weight.spec.dtype)
            tensors = tensors_of(algorithm, "init", weight.spec, value, weight.spec, float(lmbda))
            put_slot(weight, algorithm, tensors, Projected, trainable=weight.variable.trainable)
        redirect_losses(copied, chosen)
        add_rate(copied, lmbda, num_params)
    set_class(copied, Compressible)
    return copied


def _continue_training(model: tf.keras.Model, lmbda: float) -> tf.keras.Model:
    copied = clone(model)
    with scope_of(copied):
        for slot in slots_of(copied):
            if isinstance(slot, Stored):
                tensors = tensors_of(slot.algorithm, "restore", slot.spec, slot.tensors(), slot.spec)
                change_slot(slot, tensors, Projected, trainable=slot.plain["trainable"])
        _drop_rate(copied)
        add_rate(copied, lmbda, _num_params(copied))
    set_class(copied, Compressible)
    return copied


def to_compressed(
    model: tf.keras.Model,
    rules: Optional[Rules] = None,
    decode: str = "each_call",
    lmbda: float = 1.0,
) -> tf.keras.Model:
    """A clone that holds encoded tensors in the place of each compressed weight, and no float copy.

    Args:
      model: built, in any form. A plain one is compressed post training by `rules`.
      rules: as in `to_compressible`; only for a plain model.
      decode: `each_call` decodes a weight each time that a call of the model needs it; `once` keeps what
        the first call decodes, for speed.
      lmbda: λ of the compression post training; only for a plain model.

    Raises:
      FormError, RuleError, CloneError: as `to_compressible`.
    """
    if decode not in DECODE:
        raise FormError(f"decode is one of {', '.join(DECODE)}, got {decode!r}.")
    form = form_of(require_built(model))
    if form == "plain":
        if rules is None:
            raise FormError("A plain model needs rules: an algorithm, or (pattern, algorithm) pairs.")
        model = to_compressible(model, rules, lmbda)
    elif rules is not None:
        raise FormError(f"The model is {form} already: rules only choose for a plain model (see to_plain).")
    kind = StoredOnce if decode == "once" else Stored
    copied = clone(model)
    with scope_of(copied):
        for slot in slots_of(copied):
            encoded = None
            if isinstance(slot, Projected):
                encoded = tensors_of(slot.algorithm, "encode", slot.spec, slot.tensors(), slot.spec)
            change_slot(slot, encoded, kind)
        _drop_rate(copied)
    set_class(copied, Compressed)
    return copied


def to_plain(model: tf.keras.Model) -> tf.keras.Model:
    """A clone with a plain variable in the place of each computed weight, holding its value.

    Raises:
      FormError: for a model that is not built.
      CloneError: for a model that cannot be copied.
    """
    copied = clone(require_built(model))
    with scope_of(copied):
        _drop_rate(copied)
        remove_slots(copied)
    set_class(copied, None)
    return copied


def rate_of(model: tf.keras.Model) -> float:
    """The rate of a compressible model, summed over its weights (bits, where its algorithms say bits)."""
    return float(sum(float(cast(tf.Tensor, slot.penalty())) for slot in rated_slots(model)))


def rated_slots(model: tf.keras.Model) -> list[Projected]:
    """The weights of a compressible model that have a rate; computes none."""
    return [s for s in slots_of(model) if isinstance(s, Projected) and s.algorithm.has_penalty]


def update(model: tf.keras.Model, progress: float, lmbda: float) -> None:
    """Runs `Algorithm.update` on each weight of a compressible model.

    Args:
      model: compressible.
      progress: of its training, in [0, 1].
      lmbda: λ.
    """
    for slot in slots_of(model):
        if isinstance(slot, Projected):
            variables = slot.variables()
            arguments = slot.tensors(), progress, slot.spec, lmbda
            changed = tensors_of(slot.algorithm, "update", slot.spec, *arguments)
            for name, value in changed.items():
                variables[name].assign(value)


def rate_terms(model: tf.keras.Model) -> list[tf.Tensor]:
    """The part of `model.losses` that is the rate: λ·rate/num_params of each weight that has one, scalars.

    For training loops that leave `model.losses` out.
    """
    slots = slots_of(model)
    losses = [loss for slot in slots for loss in losses_of(slot.owner) if _is_rate(loss)]
    return [loss() for loss in {id(loss): loss for loss in losses}.values()]


def require_built(model: tf.keras.Model) -> tf.keras.Model:
    """`model`; raises FormError where it has no weights yet, or is no model."""
    if not isinstance(model, tf.keras.Model):
        raise FormError(f"model must be a tf.keras.Model, got a {type(model).__name__}.")
    if not model.built:
        raise FormError(
            f"The model {model.name!r} is not built, so it has no weights yet: call it on a batch of data, "
            "or model.build(input_shape), first."
        )
    return model


def _num_params(model: tf.keras.Model) -> int:
    """Parameters of the plain model that a model with slots stands for."""
    slots = slots_of(model)
    computed = {id(v) for slot in slots for v in slot.variables().values()}
    computed.add(id(vars(model).get("lmbda")))
    kept = [v for v in model.weights if id(v) not in computed]
    return sum(int(tf.size(v)) for v in kept) + sum(slot.spec.size for slot in slots)


def add_rate(model: tf.keras.Model, lmbda: float, num_params: int) -> None:
    """Gives a model with `Projected` slots its λ and the losses that carry the rate."""
    model.lmbda = tf.Variable(
        tf.constant(lmbda, tf.float32),
        trainable=False,
        name="lmbda",
        dtype=tf.float32,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
    for slot in rated_slots(model):
        slot.owner.add_loss(RateLoss(slot.owner, slot.spec.path, model.lmbda, num_params))


def _drop_rate(model: tf.keras.Model) -> None:
    for slot in slots_of(model):
        set_losses(slot.owner, [loss for loss in losses_of(slot.owner) if not _is_rate(loss)])
    if isinstance(vars(model).get("lmbda"), tf.Variable):
        drop_variable(model, "lmbda")  # `del` would leave it in checkpoints


def _is_rate(loss: object) -> bool:
    return any(isinstance(argument, RateLoss) for argument in getattr(loss, "args", ()))
