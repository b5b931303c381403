"""Executes notebooks in fresh kernels and saves them with their outputs.

    python notebooks/run.py                              both
    python notebooks/run.py compress_your_model.ipynb    one

Each runs in an empty folder. A notebook is saved only if its outputs are fit for reading online (see
`problems`). It is saved with the hash of its code, which tells the tests that nobody has edited it since.
"""

from __future__ import annotations

import ast
import base64
import copy
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
CELL_SECONDS = 3600
"""Longest time that one cell may take."""
MAX_PNG_BYTES = 100_000
_ABSOLUTE = re.compile(r"(?:^|[\s'\"(=`])(?:/|[A-Z]:\\)[\w.-]+[/\\]\w", re.MULTILINE)
_HASH = "source_sha256"


def execute(
    notebook: NotebookNode, folder: Path, environment: Mapping[str, str] | None = None
) -> NotebookNode:
    """Returns a copy of `notebook` with the outputs of a fresh kernel of this interpreter.

    Args:
      notebook: the notebook; it is not changed.
      folder: working directory of the kernel.
      environment: variables that the kernel gets on top of this process's.

    Raises:
      CellExecutionError: with the traceback, if a cell raises.
    """
    done = copy.deepcopy(notebook)
    for cell in done.cells:
        cell.metadata = NotebookNode()
    # The kernel gets neither this process's plotting backend nor the user's start-up files and kernels.
    kept = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    with tempfile.TemporaryDirectory() as profile:
        kernel = AsyncKernelManager(
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=os.path.join(profile, "kernel.json"),
            transport="ipc",
        )
        client = NotebookClient(
            done,
            km=kernel,
            timeout=CELL_SECONDS,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(cleanup_kc=True, env={**kept, "IPYTHONDIR": profile, **(environment or {})})
    done.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
            "lambdapress": {_HASH: source_hash(done)},
        }
    )
    return done


def source_hash(notebook: NotebookNode) -> str:
    """Returns the SHA-256 of the code; texts may be edited without running it again."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def problems(notebook: NotebookNode) -> list[str]:
    """Lists the reasons not to commit an executed notebook, one line each; none if all is well."""
    messages = []
    if notebook.metadata.get("lambdapress", {}).get(_HASH) != source_hash(notebook):
        messages.append("its code has changed since it was executed: run notebooks/run.py")
    code = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    if [cell.execution_count for _, cell in code] != list(range(1, len(code) + 1)):
        messages.append("its cells were not executed in order, once each, by a fresh kernel")
    for index, cell in code:
        messages += [f"cell {index}: {problem}" for problem in _cell_problems(cell)]
    for index, cell in enumerate(notebook.cells):
        if cell.metadata:
            messages.append(f"cell {index}: metadata {sorted(cell.metadata)}")
        if _ABSOLUTE.search(cell.source):
            messages.append(f"cell {index}: an absolute path in its source")
    return messages


def _cell_problems(cell: NotebookNode) -> Iterator[str]:
    if _shows(cell.source) and not cell.outputs:
        yield "it should have an output"
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"it raised {output.ename}"
        if output.get("name") == "stderr":
            yield f"it wrote to stderr: {output.text[:200]!r}"
        for text in _texts(output):
            if match := _ABSOLUTE.search(text):
                yield f"an absolute path in its output: {text[match.start() : match.end() + 40]!r}"
            if "\r" in text or "\x1b" in text or "\b" in text:
                yield "control characters of a progress bar or a terminal in its output"
            if re.search(r"\bWARN(ING)?\b|Warning:", text):
                yield f"a warning in its output: {text[:200]!r}"
        png = output.get("data", {}).get("image/png")
        if not png and output.get("data", {}).get("text/plain", "").startswith("<Figure"):
            yield "a figure that is not drawn: %matplotlib inline comes before it"
        if png and len(base64.b64decode(png)) > MAX_PNG_BYTES:
            yield f"a picture of {len(base64.b64decode(png)):,} bytes; {MAX_PNG_BYTES:,} is the most"


def _shows(source: str) -> bool:
    """Tells whether a cell ends in an expression, which Jupyter displays (a call of print is one, too)."""
    lines = [line for line in source.splitlines() if not line.startswith("%")]
    body = ast.parse("\n".join(lines)).body
    return bool(body) and isinstance(body[-1], ast.Expr)


def _texts(output: Any) -> Iterator[str]:
    if output.output_type == "stream":
        yield output.text
    for kind, value in output.get("data", {}).items():
        if kind.startswith("text/"):
            yield value


def main(names: list[str]) -> int:
    unknown = [name for name in names if HERE / name not in NOTEBOOKS]
    if unknown:
        print(f"There is no notebook {unknown[0]!r}; there are {', '.join(p.name for p in NOTEBOOKS)}.")
        return 2
    status = 0
    for path in [path for path in NOTEBOOKS if not names or path.name in names]:
        print(f"{path.name}: executing", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            done = execute(nbformat.read(path, as_version=4), Path(folder))
        messages = problems(done)
        if messages:
            status = 1
            print(f"{path.name}: not saved", *messages, sep="\n  ")
            continue
        nbformat.write(done, path)
        print(f"{path.name}: saved, {path.stat().st_size:,} bytes")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
