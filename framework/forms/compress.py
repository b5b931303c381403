"""Makes compressible and compressed models.

    plain ──to_compressible──▶ compressible ──to_compressed──▶ compressed ──to_plain──▶ plain

A form is a type: `isinstance(model, Compressible)` holds, and the model is also still an instance of its old
class. Each function returns a clone and leaves the model passed in untouched. Clones are uncompiled: compile
them as you would the original.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ..algorithm_checks import tensors_of
from ..surgery.clone import clone, scope_of
from ..surgery.computed_weights import (
    Projected,
    Stored,
    StoredOnce,
    computed_weights_of,
    name_computed_weights,
)
from ..surgery.parametrize import change_computed_weight, remove_markers, set_class
from ..surgery.replace_weights import Replacement, replace_weights
from ..surgery.weights import weights_of
from .plain import FormError, form_of, require_built, to_plain
from .rate import add_rate, drop_rate, num_params
from .rules import Rules, assign
from .types import Compressed, Compressible
from .untold import warn_of_no_training, warn_of_weights_in_full

DECODE = ("during", "once")
"""The times at which a compressed model may decode a weight: in each call that needs it, or in the first."""
_DEPRECATED = {"each_call": "during"}


def to_compressible(model: tf.keras.Model, rules: Rules | None = None, lmbda: float = 1.0) -> tf.keras.Model:
    """Returns a clone in which each chosen weight is computed from training variables.

    The clone is an ordinary Keras model: compile and fit it with your own loss, callbacks and strategy. Its
    `losses` include the rate, so that training minimises loss + λ·rate/num_params.

    >>> compressible = to_compressible(model, algorithm, lmbda=0.5)
    >>> form_of(compressible), float(compressible.lmbda), len(compressible.losses)
    ('compressible', 0.5, 2)
    >>> [variable.name for variable in compressible.trainable_variables][:3]
    ['head/kernel_latent:0', 'head/kernel_log_step:0', 'head/kernel_prior:0']

    Args:
      model: built, in any form. If `rules` is None, weights of a compressible or compressed model keep their
        latents and steps, so that training continues where it was. Models that are layers of it become parts
        of the one model: its λ takes the place of theirs.
      rules: an algorithm, or `(pattern, algorithm or None)` pairs over weight paths; see `rules.assign`. A
        plain model needs them.
      lmbda: λ, at least 0; `model.lmbda.assign` changes it later.

    Warns:
      CompressionWarning: for an algorithm that stores in full all that it is given.

    Raises:
      FormError: for a model that is not built, a plain model without rules, or a λ that is not a number of
        at least 0.
      RuleError: for rules that do not fit the model.
      CloneError: for a model that cannot be copied.
    """
    real = isinstance(lmbda, numbers.Real) and not isinstance(lmbda, bool)
    if not (real and math.isfinite(lmbda) and lmbda >= 0):
        raise FormError(f"lmbda is the weight of the rate, a number of at least 0, got {lmbda!r}.")
    if form_of(require_built(model)) != "plain":
        if rules is None:
            return _continue_training(model, lmbda)
        model = to_plain(model)
    if rules is None:
        raise FormError("A plain model needs rules: an algorithm, or (pattern, algorithm) pairs.")
    copied = clone(model)
    parameters = copied.count_params()
    weights = weights_of(copied)
    algorithms = assign(rules, weights)
    chosen = [weight for weight in weights if weight.spec.path in algorithms]
    warn_of_weights_in_full([(algorithms[w.spec.path], w.spec) for w in chosen], stacklevel=2)

    def replacement(weight) -> Replacement:
        algorithm, spec = algorithms[weight.spec.path], weight.spec
        value = tf.cast(weight.variable.read_value(), spec.dtype)
        tensors = tensors_of(algorithm, "init", spec, value, spec, float(lmbda))
        return Replacement(weight, algorithm, tensors, Projected, weight.variable.trainable)

    replace_weights(copied, map(replacement, chosen))
    add_rate(copied, lmbda, parameters)
    set_class(copied, Compressible)
    return copied


def _continue_training(model: tf.keras.Model, lmbda: float) -> tf.keras.Model:
    copied = clone(model)
    with scope_of(copied):
        for computed in computed_weights_of(copied):
            if isinstance(computed, Stored):
                spec, stored = computed.spec, computed.tensors()
                tensors = tensors_of(computed.algorithm, "restore", spec, stored, spec)
                change_computed_weight(computed, tensors, Projected, trainable=computed.plain["trainable"])
        drop_rate(copied)
    name_computed_weights(copied)
    remove_markers(copied)
    add_rate(copied, lmbda, num_params(copied))
    set_class(copied, Compressible)
    return copied


def to_compressed(
    model: tf.keras.Model, rules: Rules | None = None, decode: str = "during", lmbda: float = 1.0
) -> tf.keras.Model:
    """Returns a clone that holds encoded tensors instead of each compressed weight, and no float copy.

    >>> compressed = to_compressed(model, algorithm)
    >>> [(variable.name, variable.dtype.name) for variable in compressed.weights[:2]]
    [('head/kernel_code:0', 'string'), ('head/kernel_log_step:0', 'float16')]

    Args:
      model: built, in any form. A plain one is compressed post training by `rules`.
      rules: as in `to_compressible`; only for a plain model.
      decode: `during` decodes a weight each time that a call of the model needs it; `once` keeps the weight
        that the first call decodes, for speed.
      lmbda: λ of the compression post training; only for a plain model.

    Warns:
      CompressionWarning: as `to_compressible`, and for an algorithm whose λ acts in training alone.

    Raises:
      FormError, RuleError, CloneError: as `to_compressible`; FormError also for rules with a model that is
        not plain, and for another `decode`.
    """
    kind = stored_kind(decode)
    form = form_of(require_built(model))
    if form == "plain":
        if rules is None:
            raise FormError("A plain model needs rules: an algorithm, or (pattern, algorithm) pairs.")
        model = to_compressible(model, rules, lmbda)
        warn_of_no_training(model, stacklevel=2)
    elif rules is not None:
        raise FormError(f"The model is {form} already: rules only choose for a plain model (see to_plain).")
    copied = clone(model)
    with scope_of(copied):
        for computed in computed_weights_of(copied):
            encoded = None
            if isinstance(computed, Projected):
                spec, trained = computed.spec, computed.tensors()
                encoded = tensors_of(computed.algorithm, "encode", spec, trained, spec)
            change_computed_weight(computed, encoded, kind)
        drop_rate(copied)
    remove_markers(copied)
    set_class(copied, Compressed)
    return copied


def stored_kind(decode: str) -> type[Stored]:
    """Returns the kind of computed weight that decodes as `decode` says: `during` or `once`.

    Raises:
      FormError: for another value.
    """
    if decode in _DEPRECATED:
        new = _DEPRECATED[decode]
        warnings.warn(f"decode={decode!r} is now called {new!r}.", DeprecationWarning, stacklevel=3)
        decode = new
    if decode not in DECODE:
        raise FormError(f"decode is one of {', '.join(DECODE)}, got {decode!r}.")
    return StoredOnce if decode == "once" else Stored


def update(model: tf.keras.Model, progress: float, lmbda: float) -> list[tf.Variable]:
    """Runs `Algorithm.update` on each weight of a compressible model.

    Args:
      model: compressible.
      progress: how much of its training is done, in [0, 1].
      lmbda: λ.

    Returns:
      The variables that have been given new values.
    """
    return _change(model, lambda w: ("update", (w.tensors(), progress, w.spec, lmbda)))


def coarsen(model: tf.keras.Model, factor: float) -> list[tf.Variable]:
    """Runs `Algorithm.coarser` on each weight of a compressible model.

    Args:
      model: compressible and trained.
      factor: of its steps, above 0.

    Returns:
      The variables that have been given new values.

    Raises:
      FormError: for another factor, and where no weight has steps.
    """
    if not (factor > 0 and math.isfinite(factor)):
        raise FormError(f"factor multiplies steps; give a number above 0, got {factor!r}.")
    names = {computed.algorithm.name for computed in computed_weights_of(model)}
    if not any(computed.algorithm.has_steps for computed in computed_weights_of(model)):
        raise FormError(f"No weight of {model.name!r} has steps: {', '.join(sorted(names))} has none.")
    return _change(model, lambda w: ("coarser", (w.tensors(), factor, w.spec)))


def _change(
    model: tf.keras.Model, call: Callable[[Projected], tuple[str, tuple[Any, ...]]]
) -> list[tf.Variable]:
    """Assigns what a method of each weight's algorithm returns; `call` gives its name and arguments."""
    assigned = []
    for computed in computed_weights_of(model):
        if isinstance(computed, Projected):
            method, arguments = call(computed)
            variables = computed.variables()
            for name, value in tensors_of(computed.algorithm, method, computed.spec, *arguments).items():
                variables[name].assign(value)
                assigned.append(variables[name])
    return assigned
