"""Where two texts differ, by words: what stays, what is new, what is gone, and the first word that is another.

Spaces and line breaks count for nothing. Writing without spaces (Chinese, Japanese) is taken sign by sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from functools import lru_cache

UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"\s*(?:[{UNSPACED}]|[^\s{UNSPACED}]+)")
MOST_WORDS = 3_000  # more take the square of the time: beyond the first difference all is new then


class Change(StrEnum):
    """What became of some words."""

    SAME = "same"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Piece:
    """Words in a row with one fate, the spaces before each kept."""

    text: str
    change: Change


@dataclass(frozen=True, slots=True)
class Differences:
    """A text against a reference; `first` is the number, from 1, of the first word that differs, None where none."""

    pieces: tuple[Piece, ...]
    first: int | None


@lru_cache(maxsize=4096)  # a live view asks for the same again and again
def differences(reference: str, text: str) -> Differences:
    """`text` in pieces, those of the reference that it lacks among them."""
    before, after = WORD.findall(reference), WORD.findall(text)
    bare_before, bare_after = [one.strip() for one in before], [one.strip() for one in after]
    first = _first(bare_before, bare_after)
    if first is None:
        return Differences((Piece(text, Change.SAME),) if text else (), None)
    if max(len(before), len(after)) > MOST_WORDS:
        rest = (*_piece(before[first:], Change.GONE), *_piece(after[first:], Change.NEW))
        return Differences((*_piece(after[:first], Change.SAME), *rest), first + 1)
    return Differences(tuple(_pieces(before, after, bare_before, bare_after)), first + 1)


def _first(before: Sequence[str], after: Sequence[str]) -> int | None:
    for n, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return n
    shorter = min(len(before), len(after))
    return None if len(before) == len(after) else shorter


def _pieces(
    before: Sequence[str], after: Sequence[str], bare_before: Sequence[str], bare_after: Sequence[str]
) -> Iterator[Piece]:
    for tag, i, j, m, n in SequenceMatcher(None, bare_before, bare_after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from _piece(after[m:n], Change.SAME)
        else:
            yield from _piece(before[i:j], Change.GONE)
            yield from _piece(after[m:n], Change.NEW)


def _piece(words: Sequence[str], change: Change) -> Iterator[Piece]:
    if words:
        yield Piece("".join(words), change)
