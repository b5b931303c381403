"""Sweeps: grids, trials, where they run, their results; the command line.

from lambdapress.sweeps import load_results, run_sweep
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .deployment import benchmark
    from .exports import trial_model
    from .grid import Sweep
    from .results import load_results
    from .run import run_sweep

_HOMES = {
    "Sweep": "grid",
    "benchmark": "deployment",
    "load_results": "results",
    "run_sweep": "run",
    "trial_model": "exports",
}
__all__ = ["Sweep", "benchmark", "load_results", "run_sweep", "trial_model"]


def __getattr__(
    name: str,
) -> Any:  # imports what is used, when it is used
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
