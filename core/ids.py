"""Ids that sort by time. They are names, never secrets: whoever may see a job is asked elsewhere."""

from __future__ import annotations

import re

from ulid import ULID

ID_LENGTH = 26
_PATTERN = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new_id() -> str:
    """A ULID: 26 characters of Crockford's base 32, rising within one process."""
    return str(ULID())


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id."""
    return _PATTERN.fullmatch(text) is not None
