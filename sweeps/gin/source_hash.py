"""Identifies Python code by a hash."""

from __future__ import annotations

import hashlib
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING)
_STARTS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


def source_hash(files: Iterable[Path], docstrings: bool = True) -> str:
    """Returns the SHA-256 of Python files' code in hexadecimal digits; ignores comments and blank lines.

    Args:
      files: of source code, in UTF-8.
      docstrings: whether strings that are statements of their own count.
    """
    digest = hashlib.sha256()
    for file in files:
        tokens = [
            token
            for token in tokenize.tokenize(io.BytesIO(file.read_bytes()).readline)
            if token.type not in _LAYOUT
        ]
        before = tokenize.NEWLINE
        for token, after in zip(tokens, [*tokens[1:], None], strict=True):
            alone = before in _STARTS and after is not None and after.type == tokenize.NEWLINE
            if docstrings or not (token.type == tokenize.STRING and alone):
                digest.update(f"{tokenize.tok_name[token.type]} {token.string}\0".encode())
            before = token.type
    return digest.hexdigest()
