"""`workbench diff`: two to eight jobs side by side on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from core.cli_common import client

if TYPE_CHECKING:
    from core.diff import Answer, Cell, Diff, Row

MOST_SHOWN = 60  # characters of a value of the specs
WIDEST = 160  # characters of one answer; the page and --json have all of it
NOTHING = "-"


@click.command()
@click.argument("jobs", metavar="ID ID [ID …]", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else")
def diff(jobs: tuple[str, ...], as_json: bool) -> None:
    """Set two to eight jobs side by side: their specs, their figures and what they wrote, against the first one.

    For two comparisons it says which figures of which variant moved beyond their spread. An exact figure moves with any
    change; one that was measured once has no spread, so it is not known whether it moved.
    """
    with client() as workbench:
        from core.diff import side_by_side

        found = side_by_side(workbench, jobs)
    click.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else "\n\n".join(_page(found)))


def _page(found: Diff) -> Iterator[str]:
    from core.cli_format import clean, line_of

    letters = [side.letter for side in found.sides]
    yield "\n".join(f"{side.letter}  {line_of(side.job)}" for side in found.sides)
    if found.warnings:
        yield "\n".join(clean(sentence) for sentence in found.warnings)
    yield _spec(found, letters)
    for of, rows in groupby(found.figures, lambda row: row.of):
        yield _figures(of, list(rows), letters)
    yield _moved(found)
    yield from _answers(found, letters)


def _spec(found: Diff, letters: Sequence[str]) -> str:
    from core.cli_format import table

    if not found.spec:
        return "The specs are the same."
    rows = [(one.path, *map(_value, one.values)) for one in found.spec]
    return table(("SPEC", *letters), rows)


def _figures(of: str, rows: Sequence[Row], letters: Sequence[str]) -> str:
    from core.cli_format import table

    return table(
        (of or "MEASURED", *letters), [(row.title or row.name, *map(_cell, row.cells)) for row in rows], set(letters)
    )


def _cell(cell: Cell | None) -> str:
    from core.diff import Moved

    if cell is None:
        return NOTHING
    one = cell.figure
    sign = (
        {Moved.SAME: "=", Moved.WITHIN: "≈", Moved.MOVED: "≠", Moved.UNKNOWN: "?"}.get(cell.moved) if cell.moved else ""
    )
    notes = f" ({one.note})" if one.note else ""
    return f"{one.text}{notes}{' ▴' if cell.is_best else ''}{f' {sign}' if sign else ''}"


def _moved(found: Diff) -> str:
    """Which figures moved, in words."""
    if not found.figures:
        return "Nothing was measured that could be set side by side."
    signs = "= the same, ≈ within the spread, ≠ beyond the spread, ? measured once, so its spread is not known; ▴ best"
    if not found.moved:
        return f"No figure moved beyond its spread.\n{signs}"
    named = [f"{row.of + ': ' if row.of else ''}{row.title or row.name}" for row in found.moved]
    return f"Beyond their spread: {', '.join(named)}.\n{signs}"


def _answers(found: Diff, letters: Sequence[str]) -> Iterator[str]:
    """Those that are not the same words; of comparisons, those that two have."""
    n_same = 0
    for one in found.answers:
        texts = [text for text in one.texts if text is not None]
        is_same = len(texts) > 1 and all(text.split() == texts[0].split() for text in texts)
        n_same += is_same
        if not is_same and (len(texts) > 1 or not one.of):
            yield _answer(one, letters)
    if n_same:
        yield (
            "1 answer has the same words in all." if n_same == 1 else f"{n_same:,} answers have the same words in all."
        )


def _answer(one: Answer, letters: Sequence[str]) -> str:
    from core.cli_format import clean

    head = f"{_short(one.prompt, WIDEST)}{f'  [{one.of}]' if one.of else ''}"
    base = one.texts[0]
    lines = [
        f"  {letter}  {NOTHING if text is None else _short(text, WIDEST)}{_word(base, text) if n else ''}"
        for n, (letter, text) in enumerate(zip(letters, one.texts, strict=True))
    ]
    return clean("\n".join([head, *lines]))


def _word(base: str | None, text: str | None) -> str:
    """Where it differs from the first."""
    from core.format import first_difference

    if base is None or text is None:
        return ""
    first = first_difference(base, text)
    return "  [the same words]" if first is None else f"  [differs from word {first:,}]"


def _value(value: Any) -> str:
    from core.diff import ABSENT

    return NOTHING if value is ABSENT else _short(json.dumps(value, ensure_ascii=False), MOST_SHOWN)


def _short(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
