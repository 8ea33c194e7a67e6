"""From what a component of a form holds to a field of a Spec, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


def same(value: Any) -> Any:
    """What a component holds is what the field is."""
    return value


def read_text(value: Any) -> Any:
    """An optional text that is blank is unset."""
    return None if value is None or not str(value).strip() else value


def numbers(value: Collection[int] | None) -> str:
    """Whole numbers on one line; the spec reads such a line itself."""
    return ", ".join(str(each) for each in value or ())


def read_number(kind: type) -> Callable[[Any], Any]:
    """Reads a number of that kind; blank is unset."""

    def read_one(value: Any) -> Any:
        if value is None or value == "":
            return None
        if kind is int and isinstance(value, float) and value.is_integer():
            return int(value)  # JavaScript has one kind of number
        return value

    return read_one


def lines(value: Collection[str] | None) -> str:
    """Texts as lines, in which a line break is written as \\n."""
    return "\n".join(line.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") for line in value or ())


def read_lines(text: Any) -> list[str]:
    """The texts that were written as lines."""
    escapes = {"\\\\": "\\", "\\n": "\n", "\\t": "\t"}
    found = []
    for line in str(text or "").split("\n"):
        parts, rest = [], line
        while rest:
            taken = rest[:2] if rest[:2] in escapes else rest[:1]
            parts.append(escapes.get(taken, taken))
            rest = rest[len(taken) :]
        found.append("".join(parts))
    return [line for line in found if line]
