"""A text with the names of columns in braces. It can do nothing but put their values there."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator, Mapping
from typing import Any

from core.data.trouble import Unusable
from core.errors import BadInput

HINT = "Write {column} for the value of a column, and {{ or }} for a brace."
FORBIDDEN = set(".[]")


class Template:
    """`str.format` with plain column names alone: no attributes, no indices, no conversions.

    Raises:
        BadInput: it is not written so.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = tuple(_parts(text))
        self.columns = tuple(dict.fromkeys(name for _, name in self._parts if name))

    def fill(self, record: Mapping[str, Any]) -> str:
        """The text with the values of a record.

        Raises:
            Unusable: a column that it names is missing there, or null, or holds no plain value.
        """
        return "".join(literal + (_shown(name, record) if name else "") for literal, name in self._parts)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise BadInput(f"The template {_short(text)} is not written as it should be: {error}.", HINT) from error
    for literal, name, form, conversion in parsed:
        if name is not None and (not name.strip() or form or conversion or FORBIDDEN & set(name) or name.isdigit()):
            raise BadInput(f"The template {_short(text)} holds {{{name}}}, which is not the name of a column.", HINT)
        yield literal, name or ""


def _shown(name: str, record: Mapping[str, Any]) -> str:
    if name not in record:
        raise Unusable(f"has no {name}")
    value = record[name]
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise Unusable(f"has {'null' if value is None else f'a {type(value).__name__}'} as {name}, which is no text")


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= 60 else f"{text[:57]}…", ensure_ascii=False)
