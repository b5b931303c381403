"""A model's weights in a container and back, and where the bytes go."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf

from . import container
from .algorithm import Algorithm, WeightSpec, algorithms
from .clone import clone, scope_of
from .container import ContainerError, Entry, Tensor
from .contract import check_decoding, tensors_of
from .forms import DECODE, Compressed, FormError, form_of, rate_of, require_built, to_plain
from .mismatch import some
from .parametrize import put_slot, set_class
from .registry import UnknownNameError
from .slots import Projected, Stored, StoredOnce, slots_of
from .weight_losses import redirect_losses
from .weights import Weight, weights_of

Path = Union[str, "os.PathLike[str]"]


# What an algorithm's constructor and `decode` may raise on a file that its `encode` has not made.
_UNDECODABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class Row:
    """One weight in a container.

    Attributes:
      algorithm: None for a weight kept in full.
      bytes: of its encoded tensors, without its part of the header.
      bits_per_weight: 8·bytes over the number of elements.
      share: of the whole file's bytes, in [0, 1].
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    algorithm: Optional[str]
    bytes: int
    bits_per_weight: float
    share: float


@dataclasses.dataclass(frozen=True)
class SizeReport:
    """Where the bytes of a container go; those of `rows` and `overhead_bytes` add up to `size_bytes`.

    Attributes:
      size_bytes: length of the whole file.
      float_bytes: of all weights as float32 (other than floating-point ones in their own dtype).
      num_params: elements of all weights.
      overhead_bytes: of the container's header, which belong to no single weight.
      estimated_bytes: what the algorithms' penalty makes of it, weights kept in full included; None
        for a file, and where an algorithm's penalty is not in bits.
    """

    size_bytes: int
    float_bytes: int
    num_params: int
    overhead_bytes: int
    estimated_bytes: Optional[float]
    rows: tuple[Row, ...]

    @property
    def ratio(self) -> float:
        """`float_bytes` over `size_bytes`."""
        return self.float_bytes / self.size_bytes


def save(model: tf.keras.Model, path: Path) -> int:
    """Writes all weights of a compressible or compressed model to an `.lpz` file, atomically.

    Returns:
      The length of the file in bytes.

    Raises:
      FormError: for a plain model.
      AlgorithmError: where an algorithm does not decode what it has encoded to the weight that was trained.
    """
    entries = entries_of(model)
    for slot, entry in zip(slots_of(model), entries):  # entries of slots come first
        if isinstance(slot, Projected):
            check_decoding(slot.algorithm, slot.spec, slot.tensors(), _tensors_of(entry))
    return container.write(path, entries)


def load(path: Path, model: tf.keras.Model, decode: str = "once") -> tf.keras.Model:
    """A compressed model with the weights of an `.lpz` file.

    Args:
      path: of the file.
      model: has the architecture: the plain model that was compressed, or one that the same code
        builds anywhere. It is untouched, and its values do not matter.
      decode: as in `to_compressed`.

    Raises:
      FileNotFoundError: where there is no file.
      ContainerError: for a file that is damaged, or not of this model.
      FormError: for a model that is not built.
      UnknownNameError: for an algorithm that is not installed.
    """
    require_built(model)
    return restore(container.read(path).entries, model, decode, os.fspath(path))


def restore(found: Iterable[Entry], model: tf.keras.Model, decode: str, source: str) -> tf.keras.Model:
    """As `load`, from entries that were read already; `source` names where, for errors."""
    if decode not in DECODE:
        raise FormError(f"decode is one of {', '.join(DECODE)}, got {decode!r}.")
    plain = form_of(require_built(model)) == "plain"
    copied = clone(model) if plain else to_plain(model)
    weights = weights_of(copied)
    entries = {entry.path: entry for entry in found}
    _check_match(source, entries, weights)
    kind = StoredOnce if decode == "once" else Stored
    replaced = []
    with scope_of(copied):
        for weight in weights:
            entry = entries[weight.spec.path]
            try:
                _put(weight, entry, kind)
            except UnknownNameError:
                raise
            except _UNDECODABLE as error:
                problem = f"{weight.spec.path} cannot be decoded by {entry.algorithm!r}: {error}"
                raise ContainerError(f"{source!r}: {problem}") from error
            if entry.algorithm is not None:
                replaced.append(weight)
        redirect_losses(copied, replaced)
    set_class(copied, Compressed)
    return copied


def size_report(source: Union[tf.keras.Model, Path]) -> SizeReport:
    """Where the bytes go, of an `.lpz` file or of the file that `save` would write of a model.

    Raises:
      FormError: for a plain model.
      ContainerError, FileNotFoundError: for a path, as `load`.
    """
    if not isinstance(source, tf.keras.Model):
        return _report(container.read(source), None)
    packed = container.pack(entries_of(source))
    return _report(container.unpack(packed), estimated_bytes(source))


def estimated_bytes(model: tf.keras.Model) -> Optional[float]:
    """A compressible model's size by its rate; None where an algorithm's penalty is not in bits."""
    slots = slots_of(model)
    if not slots or any(not (isinstance(s, Projected) and s.algorithm.penalty_in_bits) for s in slots):
        return None
    return rate_of(model) / 8 + sum(w.variable.dtype.size * w.spec.size for w in kept_weights(model))


def entries_of(model: tf.keras.Model) -> list[Entry]:
    """What `save` stores: an entry for each weight, computed ones first."""
    slots = slots_of(model)
    if not slots:
        raise FormError(
            f"The model {model.name!r} is plain; compress it first: to_compressed(model, algorithm)."
        )
    entries = []
    for slot in slots:
        tensors = slot.tensors()
        if isinstance(slot, Projected):
            tensors = tensors_of(slot.algorithm, "encode", slot.spec, tensors, slot.spec)
        stored = {name: _to_storage(tensor) for name, tensor in tensors.items()}
        config = config_of(slot.algorithm)
        entries.append(
            Entry(slot.spec.path, slot.spec.shape, slot.spec.dtype, slot.algorithm.name, config, stored)
        )
    for weight in kept_weights(model):
        value = _to_storage(weight.variable.read_value())
        entries.append(
            Entry(weight.spec.path, weight.spec.shape, weight.spec.dtype, None, {}, {"value": value})
        )
    return entries


def config_of(algorithm: Algorithm) -> dict[str, Any]:
    """The hyper-parameters of `algorithm` that are not its class's defaults."""
    values = {field.name: getattr(algorithm, field.name) for field in dataclasses.fields(algorithm)}
    defaults = {field.name: field.default for field in dataclasses.fields(algorithm)}
    return {name: _config(value) for name, value in values.items() if value != defaults[name]}


def _config(value: Any) -> Any:
    """A hyper-parameter as a container holds it: an algorithm in it (a chain's) by name and config."""
    if isinstance(value, Algorithm):
        return [value.name, config_of(value)]
    return [_config(item) for item in value] if isinstance(value, (list, tuple)) else value


def kept_weights(model: tf.keras.Model) -> Iterator[Weight]:
    """The weights of a model that stay in full."""
    computed = {id(v) for slot in slots_of(model) for v in slot.variables().values()}
    computed.add(id(vars(model).get("lmbda")))
    return (weight for weight in weights_of(model) if id(weight.variable) not in computed)


def _to_storage(tensor: Any) -> Tensor:
    value = tf.convert_to_tensor(tensor).numpy()
    if isinstance(value, bytes):
        return value
    return [bytes(item) for item in value] if value.dtype == object else np.asarray(value)


def _put(weight: Weight, entry: Entry, kind: type[Stored]) -> None:
    if entry.algorithm is None:
        weight.variable.assign(tf.constant(entry.tensors["value"]))
        return
    if not weight.places:
        raise ValueError("no layer of the model holds it as an attribute")
    algorithm = algorithms.get(entry.algorithm)(**entry.config)
    slot = put_slot(weight, algorithm, _tensors_of(entry), kind, trainable=False)
    decoded = slot.compute()  # now, so that what cannot be decoded is found at the door
    if decoded.dtype != weight.variable.dtype:
        raise ValueError(f"it decodes to {decoded.dtype.name}")


def _tensors_of(entry: Entry) -> dict[str, tf.Tensor]:
    stored = entry.tensors.items()
    return {name: tf.constant(list(v) if isinstance(v, (list, tuple)) else v) for name, v in stored}


def _check_match(source: str, entries: dict[str, Entry], weights: list[Weight]) -> None:
    specs: dict[str, WeightSpec] = {weight.spec.path: weight.spec for weight in weights}
    missing = [name for name in specs if name not in entries]
    foreign = [name for name in entries if name not in specs]
    if missing or foreign:
        parts = [f"the file lacks {some(missing)}"] if missing else []
        parts += [f"the model lacks {some(foreign)}"] if foreign else []
        raise ContainerError(f"{source!r} is not of this model: {' and '.join(parts)}.")
    for name, spec in specs.items():
        entry = entries[name]
        if tuple(entry.shape) != spec.shape or entry.dtype != spec.dtype:
            raise ContainerError(
                f"{source!r} is not of this model: {name} is {entry.dtype}{list(entry.shape)} in "
                f"the file and {spec.dtype}{list(spec.shape)} in the model."
            )


def _report(contents: container.Contents, estimated: Optional[float]) -> SizeReport:
    sizes = contents.entry_bytes()
    elements = {entry.path: math.prod(entry.shape) for entry in contents.entries}
    rows = tuple(
        Row(
            path=entry.path,
            shape=tuple(entry.shape),
            dtype=entry.dtype,
            algorithm=entry.algorithm,
            bytes=sizes[entry.path],
            bits_per_weight=8 * sizes[entry.path] / max(1, elements[entry.path]),
            share=sizes[entry.path] / contents.size_bytes,
        )
        for entry in contents.entries
    )
    widths = {row.path: 4 if "float" in row.dtype else tf.as_dtype(row.dtype).size for row in rows}
    return SizeReport(
        size_bytes=contents.size_bytes,
        float_bytes=sum(elements[path] * width for path, width in widths.items()),
        num_params=sum(elements.values()),
        overhead_bytes=contents.overhead_bytes,
        estimated_bytes=estimated,
        rows=rows,
    )
