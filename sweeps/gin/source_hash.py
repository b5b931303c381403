"""Identifies Python code by a hash."""

from __future__ import annotations

import hashlib
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path


def source_hash(files: Iterable[Path]) -> str:
    """Returns the SHA-256 of Python files' code in hexadecimal digits; ignores comments and blank lines."""
    digest = hashlib.sha256()
    for file in files:
        for token in tokenize.tokenize(io.BytesIO(file.read_bytes()).readline):
            if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING):
                digest.update(f"{tokenize.tok_name[token.type]} {token.string}\0".encode())
    return digest.hexdigest()
