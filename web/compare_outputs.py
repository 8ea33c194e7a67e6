"""Outputs in columns: one prompt, what each made of it, and where it differs from the first column.

It knows nothing of comparisons: whoever shows texts side by side gives it texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from web.differences import Change, Differences, Piece, differences


@dataclass(frozen=True)
class Said:
    """A text of one column; `why_not` says why there is none."""

    name: str
    text: str
    why_not: str = ""


@dataclass(frozen=True)
class Shown:
    """A column as it is shown, held against the first."""

    name: str
    word: str
    pieces: tuple[Piece, ...]
    why_not: str = ""
    is_reference: bool = False


def side_by_side(said: Sequence[Said], reference: str) -> tuple[Shown, ...]:
    """The columns; the one that the others are held against comes first, where it has a text."""
    base = next((one for one in said if one.name == reference and not one.why_not), None)
    ordered = sorted(said, key=lambda one: one is not base)
    return tuple(_shown(one, base) for one in ordered)


def _shown(one: Said, base: Said | None) -> Shown:
    if one.why_not:
        return Shown(one.name, "", (), one.why_not)
    plain = (Piece(one.text, Change.SAME),)
    if base is None:
        return Shown(one.name, "", plain)
    if one is base:
        return Shown(one.name, "reference", plain, is_reference=True)
    found = differences(base.text, one.text)
    return Shown(one.name, _word(found, base.name), found.pieces)


def _word(found: Differences, base: str) -> str:
    return f"the same words as {base}" if found.first is None else f"differs from word {found.first:,}"
