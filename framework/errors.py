"""Defines the base class of this project's errors."""

from __future__ import annotations


class LambdapressError(Exception):
    """The base of errors that a user can act on; the message says what to change.

    Each subclass also derives from the built-in error that fits it, mostly `ValueError`.
    """
