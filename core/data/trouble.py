"""What is raised of a single row, and listed beside the others. It leaves this package as a `BadRow`."""

from __future__ import annotations


class Unusable(ValueError):
    """The row cannot be used; the reason goes on where `line 7` stops."""


class Empty(Unusable):
    """It holds not a word."""
