"""What every algorithm, task and sweep shares.

from lambdapress.framework import to_compressible, to_compressed, to_plain, save, load, size_report
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithm import Algorithm, WeightSpec, algorithms
    from .batch_norm import fold_batch_norm
    from .clone import CloneError
    from .container import ContainerError
    from .exported import load_exported
    from .forms import Compressed, Compressible, FormError, form_of, to_compressed, to_compressible, to_plain
    from .rules import RuleError
    from .saved_model import export_saved_model
    from .serving import ExportError
    from .storage import SizeReport, load, save, size_report
    from .task import Task, tasks
    from .tflite import export_tflite
    from .training import LmbdaWarmup, Updates, set_seeds

# Imported when first used: the command line reaches this room long before it needs TensorFlow.
_HOMES = {
    "Algorithm": "algorithm",
    "WeightSpec": "algorithm",
    "algorithms": "algorithm",
    "fold_batch_norm": "batch_norm",
    "load_exported": "exported",
    "export_saved_model": "saved_model",
    "export_tflite": "tflite",
    "ExportError": "serving",
    "CloneError": "clone",
    "ContainerError": "container",
    "Compressed": "forms",
    "Compressible": "forms",
    "FormError": "forms",
    "form_of": "forms",
    "to_compressed": "forms",
    "to_compressible": "forms",
    "to_plain": "forms",
    "RuleError": "rules",
    "SizeReport": "storage",
    "load": "storage",
    "save": "storage",
    "size_report": "storage",
    "Task": "task",
    "tasks": "task",
    "LmbdaWarmup": "training",
    "Updates": "training",
    "set_seeds": "training",
}
__all__ = [
    "Algorithm",
    "CloneError",
    "ExportError",
    "export_tflite",
    "export_saved_model",
    "load_exported",
    "fold_batch_norm",
    "Compressed",
    "Compressible",
    "ContainerError",
    "FormError",
    "LmbdaWarmup",
    "RuleError",
    "SizeReport",
    "Task",
    "Updates",
    "WeightSpec",
    "algorithms",
    "form_of",
    "load",
    "save",
    "set_seeds",
    "size_report",
    "tasks",
    "to_compressed",
    "to_compressible",
    "to_plain",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
