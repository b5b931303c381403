"""Finds gin files: the user's, then the package's own."""

from __future__ import annotations

from pathlib import Path

from ...framework.messages import alternatives
from .bindings import ConfigError

GIN_CONFIGS = Path(__file__).resolve().parents[2] / "gin_configs"


def packaged(kind: str) -> dict[str, Path]:
    """Lists the package's own gin files of a kind (`tasks`, `algorithms`, `sweeps`) by name."""
    return {path.stem: path for path in sorted((GIN_CONFIGS / kind).glob("*.gin"))}


def description(path: Path) -> str:
    """Returns the comment in the first line of a gin file, or an empty text."""
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    return line.lstrip("#").strip() if line.startswith("#") else ""


def find(name: str, beside: str | None = None) -> Path:
    """Finds the gin file called `name`: as given, then among the package's own. `.gin` may be left out.

    Args:
      name: of the file.
      beside: path of a file that includes it, in whose folder it is looked for first.

    Raises:
      ConfigError: where there is none; the message lists the package's own.
    """
    first = (Path(beside).parent,) if beside is not None else ()
    for base in (*first, Path(), GIN_CONFIGS, GIN_CONFIGS / "sweeps"):
        for candidate in (base / name, base / f"{name}.gin"):
            if candidate.is_file():
                return candidate
    known = [f"{kind}/{stem}.gin" for kind in ("sweeps", "tasks", "algorithms") for stem in packaged(kind)]
    names = alternatives(name if name.endswith(".gin") else f"{name}.gin", known)
    raise ConfigError(f"There is no gin file {name!r}, here or in the package ({names}).")
