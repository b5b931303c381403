"""Runs TensorFlow Lite files on zeros, in a process of its own, since native code can abort its process.

    python -m lambdapress.framework.export.tflite_runner

Reads from standard input: a line of JSON with `length` (bytes of the file that follows it), `size` (of
unknown axes), `samples` (values and shape of inputs that zeros do not suit, by name) and `select` (whether
the file needs TensorFlow Compression's operations). Answers with a line of JSON: `problem`, a text or null.
Ends when standard input does, or after a minute without a request.
"""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any

_IDLE_SECONDS = 60.0


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints is no answer
    requests = sys.stdin.buffer
    import numpy as np
    import tensorflow as tf

    while select.select([requests], [], [], _IDLE_SECONDS)[0] and (line := requests.readline()):
        request = json.loads(line)
        content = requests.read(request["length"])
        if request["select"]:
            from .. import entropy  # noqa: F401  registers the operations
        print(json.dumps({"problem": _problem(np, tf, content, request)}), file=answers, flush=True)


def _problem(np: Any, tf: Any, content: bytes, request: Any) -> str | None:
    """Runs a file on a batch of two zeros; returns the runtime's error, or None."""
    try:
        interpreter = tf.lite.Interpreter(model_content=content)
        inputs = {}
        for detail in interpreter.get_input_details():
            name = detail["name"].removeprefix("serving_default_").removesuffix(":0")
            if name in request["samples"]:
                values, shape = request["samples"][name]
                value = np.array(values, detail["dtype"]).reshape(shape)
            else:
                signature = enumerate(detail["shape_signature"])
                value = np.zeros([_known(axis, n, request["size"]) for axis, n in signature], detail["dtype"])
            interpreter.resize_tensor_input(detail["index"], value.shape)
            inputs[detail["index"]] = value
        interpreter.allocate_tensors()
        for index, value in inputs.items():
            interpreter.set_tensor(index, value)
        interpreter.invoke()
    except Exception as error:  # whatever the runtime raises is its answer
        return f"{error}" or "its runtime refuses it, and gives no reason"
    return None


def _known(axis: int, length: int, size: int) -> int:
    """Returns a length that is known: an unknown batch has two examples, an unknown axis `size`."""
    return int(length) if length >= 0 else 2 if axis == 0 else size


if __name__ == "__main__":
    main()
