"""Replaces objects that a function holds in its closure or arguments."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Mapping
from typing import Any, cast


def rebind(function: Any, replacements: Mapping[int, Any]) -> Any:
    """Returns `function` with the objects that it holds in closures, partials and bound methods replaced.

    Keras keeps a kernel's regularisation loss as a function that closes over the kernel. In a copy of the
    layer that function must use the copied kernel.

    Args:
      function: any callable. A function that holds no object to replace is returned as it is. Any other
        object with `__call__` rebinds itself if it has a `rebind` method, and is deep-copied if not.
      replacements: new objects, by `id` of the object to replace.
    """
    return _rebind(function, replacements, set())


def _rebind(function: Any, replacements: Mapping[int, Any], seen: set[int]) -> Any:
    if id(function) in replacements:
        return replacements[id(function)]
    if id(function) in seen:  # functions that refer to each other
        return function
    if hasattr(type(function), "rebind"):
        return function.rebind(replacements)
    seen = seen | {id(function)}
    if isinstance(function, functools.partial):
        arguments = [_rebound(argument, replacements, seen) for argument in function.args]
        keywords = {key: _rebound(value, replacements, seen) for key, value in function.keywords.items()}
        inner = _rebind(function.func, replacements, seen)
        before = [function.func, *function.args, *function.keywords.values()]
        after = [inner, *arguments, *keywords.values()]
        if all(x is y for x, y in zip(before, after, strict=True)):
            return function
        return functools.partial(inner, *arguments, **keywords)
    if isinstance(function, types.MethodType):
        owner = _rebound(function.__self__, replacements, seen)
        return function if owner is function.__self__ else types.MethodType(function.__func__, owner)
    if isinstance(function, types.FunctionType):
        return _rebind_closure(function, replacements, seen) if function.__closure__ else function
    if isinstance(function, (types.BuiltinFunctionType, type)):
        return function
    return copy.deepcopy(function, cast(dict[int, Any], replacements))


def _rebound(value: Any, replacements: Mapping[int, Any], seen: set[int]) -> Any:
    if id(value) in replacements:
        return replacements[id(value)]
    functions = (functools.partial, types.FunctionType, types.MethodType)
    if isinstance(value, functions) or hasattr(type(value), "rebind"):
        return _rebind(value, replacements, seen)
    return value


def _rebind_closure(function: types.FunctionType, replacements: Mapping[int, Any], seen: set[int]) -> Any:
    cells, changed = [], False
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # an empty cell: its name is assigned later
            cells.append(cell)
            continue
        replaced = _rebound(content, replacements, seen)
        changed |= replaced is not content
        cells.append(cell if replaced is content else types.CellType(replaced))
    if not changed:
        return function
    rebound = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, tuple(cells)
    )
    rebound.__kwdefaults__ = function.__kwdefaults__
    rebound.__dict__.update(function.__dict__)
    return rebound
