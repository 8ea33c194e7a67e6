"""Jobs side by side as they are shown: who is who, where their specs differ, figures as a table, texts in columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from core.diff import ABSENT, Answer, Diff, Moved, Row
from web import words
from web.compare_outputs import Said, Shown, side_by_side
from web.figures import FIGURES
from web.job_view import made_by
from web.templates import fragment

MOST_VALUE = 600  # characters of a value of the specs
NOT_ASKED = "Was not asked this."
SIGNS = {  # what is the same has none
    Moved.WITHIN: "≈",
    Moved.MOVED: "≠",
    Moved.UNKNOWN: "?",
}


@dataclass(frozen=True)
class Way:
    """Answers of one variant, chosen in one way; of jobs that are no comparisons there is one, without a title."""

    title: str
    shown: tuple[tuple[str, tuple[Shown, ...]], ...]


def render(found: Diff) -> str:
    """The page."""
    return fragment(
        "side_by_side",
        found=found,
        words=words,
        made_by=made_by,
        value=shown_value,
        groups=[(of, list(rows)) for of, rows in groupby(found.figures, lambda row: row.of)],
        title_of=_title,
        signs=SIGNS,
        moved=[f"{row.of}: {_title(row).lower()}" if row.of else _title(row).lower() for row in found.moved],
        ways=_ways(found),
    )


def _ways(found: Diff) -> list[Way]:
    """The answers, by what they are of."""
    letters = [side.letter for side in found.sides]
    several = [one for one in found.answers if not one.of or sum(text is not None for text in one.texts) > 1]
    return [
        Way(of, tuple((one.prompt, _columns(one, letters)) for one in several if one.of == of))
        for of in dict.fromkeys(one.of for one in several)
    ]


def _columns(one: Answer, letters: Sequence[str]) -> tuple[Shown, ...]:
    said = [
        Said(letter, text or "", "" if text is not None else NOT_ASKED)
        for letter, text in zip(letters, one.texts, strict=True)
    ]
    first = next(one for one in said if not one.why_not)
    shown = {one.name: one for one in side_by_side(said, first.name)}
    return tuple(shown[letter] for letter in letters)  # in the order of the jobs, whoever is the first with a text


def _title(row: Row) -> str:
    if row.title:
        return row.title
    known = FIGURES.get(row.name)
    return known[0] if known else row.name.replace("_", " ").capitalize()


def shown_value(value: Any) -> str:
    """A value of a spec: texts as they are, all else as JSON."""
    if value is ABSENT or value is None or value == "":
        return "\u2013"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        text = ", ".join(value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]}…"
