"""Registers every task when it is imported; `framework.task.tasks` then builds them by name."""

from __future__ import annotations

from . import cifar, digits, imagenet, language, mnist, official, text, text_bert

__all__ = ["cifar", "digits", "imagenet", "language", "mnist", "official", "text", "text_bert"]
