"""Importing this package registers every task; `framework.task.tasks` then builds them by name."""

from __future__ import annotations

from . import digits, mnist, text

__all__ = ["digits", "mnist", "text"]
