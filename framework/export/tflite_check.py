"""Tries a TensorFlow Lite file before it is handed out: a runtime must take it.

It runs in another process, which lives on for the next file: a runtime that aborts then ends as an error.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

_SIZES = (8, 32, 128, 512)  # of unknown axes, in the order in which they are tried


class RuntimeProblem(RuntimeError):
    """The runtime refuses a file or dies of it; the message is its own."""


def check(content: bytes, predict: Any, samples: Mapping[str, np.ndarray], select: bool) -> None:
    """Runs a file on zeros.

    Axes of unknown length, other than the batch, get a length that TensorFlow runs the same function with.
    If the runtime takes none of these, its problem is raised; if TensorFlow takes none, a warning says that
    the file was not tried.

    Args:
      content: of the file.
      predict: the concrete function that the file was made from.
      samples: the tensors in ragged and sparse inputs, by name, for which zeros mean nothing.
      select: whether the file needs TensorFlow Compression's operations.

    Raises:
      RuntimeProblem: if the runtime refuses the file, or dies of it.
    """
    specs = tf.nest.flatten(predict.structured_input_signature)
    if not any(length is None for spec in specs for length in spec.shape[1:]):
        return _runner.run(content, 0, samples, select)
    problem: RuntimeProblem | None = None
    for size in _SIZES:
        if samples or _makes_sense(predict, specs, size):
            try:
                return _runner.run(content, size, samples, select)
            except RuntimeProblem as error:
                problem = error
    if problem is not None:
        raise problem
    warnings.warn(
        f"The TensorFlow Lite file was not tried: no length of {', '.join(map(str, _SIZES))} fits the axes "
        "of unknown length. Give the export lengths that do: shapes=….",
        stacklevel=4,
    )


def start() -> None:
    """Starts the other process, if none is there, without waiting for it."""
    _runner.start()


def _makes_sense(predict: Any, specs: list[Any], size: int) -> bool:
    """Tells whether TensorFlow runs the function on zeros of this size, and makes numbers of them."""
    shapes = [
        [2 if i == 0 and n is None else size if n is None else n for i, n in enumerate(s.shape)]
        for s in specs
    ]
    zeros = [tf.zeros(shape, spec.dtype) for shape, spec in zip(shapes, specs, strict=True)]
    try:
        outputs = tf.nest.flatten(predict(*zeros))
    except (tf.errors.OpError, ValueError):
        return False
    floats = [output.numpy() for output in outputs if output.dtype.is_floating]
    return all(map(np.size, outputs)) and all(np.all(np.isfinite(value)) for value in floats)


class _Runner:
    """Talks to the process; one for all exports, started anew when it is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._parent: int | None = None
        self._errors: Any = None
        self._lock = threading.Lock()

    def start(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None or self._parent != os.getpid():
            self.stop()
            self._parent = os.getpid()
            self._errors = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.tflite_runner"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._parent == os.getpid():  # and not a fork of the one that started it
            with contextlib.suppress(BrokenPipeError):
                process.communicate()
            self._errors.close()

    def run(self, content: bytes, size: int, samples: Mapping[str, np.ndarray], select: bool) -> None:
        request = {"length": len(content), "size": size, "select": select}
        inputs = {name: [_text(value.ravel()), value.shape] for name, value in samples.items()}
        header = json.dumps({**request, "samples": inputs}).encode() + b"\n"
        with self._lock:
            answer = self._ask(header, content)
            if not answer and self._process is not None and self._process.wait() == 0:
                answer = self._ask(header, content)  # it had just ended for want of requests
            if not answer:
                raise RuntimeProblem(self._death())
        problem = json.loads(answer)["problem"]
        if problem is not None:
            raise RuntimeProblem(problem)

    def _ask(self, header: bytes, content: bytes) -> bytes:
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(header)
            process.stdin.write(content)
            process.stdin.flush()
        return process.stdout.readline()

    def _death(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"its runtime died of the file ({how}{': ' + lines[-1][:200] if lines else ''})"


def _text(values: np.ndarray) -> list[Any]:
    return ["" if isinstance(value, bytes) else value for value in values.tolist()]


_runner = _Runner()
atexit.register(_runner.stop)
