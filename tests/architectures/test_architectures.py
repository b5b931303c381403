"""Takes every architecture of the zoo through all forms, files and exports, and compares the outputs.

`lossless` keeps each weight exactly, and `uniform` rounds it by a fixed step. With each, a model is saved,
loaded into one that the same code builds anew, written to Keras's own file, and exported. The exports are
shared out between the two (`EXPORTS`), since both decode in graphs that are made in the same way. Keras's
applications, which cost the most, go through forms and files with `lossless`, and through exports with
`uniform`. `make test` exports nothing here.

What Keras or TensorFlow Lite itself cannot hold stands in an architecture's `limits`; that both refuse it is
checked. A fault of ours that is known stands in `KNOWN`, and the test fails once it is mended.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import tensorflow as tf

from lambdapress.framework import algorithms
from lambdapress.framework.export import tflite_constants

sys.path.insert(0, str(Path(__file__).parent))
import zoo_applications  # noqa: E402, F401
import zoo_layers  # noqa: E402, F401
import zoo_preprocessing  # noqa: E402, F401
import zoo_wirings  # noqa: E402, F401
from architecture_steps import Case, Step, exports, forms, plain_problem  # noqa: E402
from architecture_zoo import ZOO, Architecture  # noqa: E402

# With integers of 6 bits a step is 1/31 of the greatest magnitude; its code is a little off.
ALGORITHMS = {"lossless": ({"codec": "zlib"}, 0.0), "uniform": ({"bits": 6}, 0.018)}
EXPORTS = {
    "lossless": ("saved_model-once", "saved_model-before-folded", "tflite-select-during"),
    "uniform": (
        "saved_model-before",
        "saved_model-during",
        "saved_model-during-folded",
        "tflite-builtin-before",
        "tflite-builtin-during",
        "tflite-builtin-during-folded",
    ),
}
# Faults that are known: (architecture, step) → a regular expression found in the error.
KNOWN: dict[tuple[str, str], str] = {}


def made(architecture: Architecture, algorithm: str, folder: Path) -> Case:
    options, error = ALGORITHMS[algorithm]
    return Case(architecture, algorithms.get(algorithm)(**options), error, folder)


def check(case: Case, steps: Iterable[tuple[str, Step]]) -> None:
    """Runs all steps, and fails with the problems of those that did not end as the tables say."""
    problems, first, plain = [], None, {}
    for name, step in steps:
        limit = re.match("keras|tflite-[a-z]+|", name)[0]
        known = KNOWN.get((case.architecture.name, name))
        refusal = case.architecture.limits.get(limit) if limit else None
        if refusal is not None and limit not in plain:
            plain[limit] = plain_problem(case, limit)
            if not re.search(refusal, plain[limit] or ""):
                problems.append(f"{limit} holds the plain model, or says otherwise: {plain[limit]}")
        try:
            step()
        except Exception as error:
            if not re.search(known or refusal or "^$", f"{type(error).__name__}: {error}"):
                problems.append(f"{name}: {type(error).__name__}: {error}")
                first = first or error
        else:
            if known or refusal:
                problems.append(f"{name} works now: take its entry out of the table")
    if problems:
        raise AssertionError("\n".join(problems)) from first


def cases(of_slow: str) -> pytest.MarkDecorator:
    """Each architecture with each algorithm; the slow ones, whose cost is tracing, with `of_slow` alone."""
    return pytest.mark.parametrize(
        "architecture, algorithm",
        [
            pytest.param(one, name, id=f"{one.name}-{name}", marks=[pytest.mark.slow] if one.slow else [])
            for one in ZOO.values()
            for name in ALGORITHMS
            if not one.slow or name == of_slow
        ],
    )


@cases(of_slow="lossless")
def test_forms_and_files(architecture: Architecture, algorithm: str, tmp_path: Path):
    case = made(architecture, algorithm, tmp_path)
    check(case, forms(case))


@pytest.mark.slow
@cases(of_slow="uniform")
def test_exports(architecture: Architecture, algorithm: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tflite_constants, "SMALL", 8)  # so that the zoo's small weights are decoded, too
    case = made(architecture, algorithm, tmp_path)
    check(case, exports(case, EXPORTS[algorithm]))


# Classes that have no place in a model of their own.
NO_LAYERS = {
    "AbstractRNNCell": "a base class; zoo_wirings.MinimalCell is one",
    "InputSpec": "describes inputs",
    "Layer": "a base class",
    "PreprocessingLayer": "a base class",
    "Wrapper": "a base class; zoo_wirings.Scaled is one",
}


def test_every_layer_of_keras_is_in_the_zoo():
    layers = tf.keras.layers
    modules = (layers, layers.experimental, layers.experimental.preprocessing)
    classes = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    found = {kind for kind in classes if kind.__name__ not in NO_LAYERS}
    assert NO_LAYERS.keys() == {kind.__name__ for kind in classes - found}
    for architecture in ZOO.values():
        if not architecture.slow:
            model, _ = architecture.build()
            found -= {type(layer) for layer in model._flatten_layers()}
    assert not {kind.__name__ for kind in found}
