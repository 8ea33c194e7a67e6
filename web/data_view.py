"""Data as a preview has found it: what it is, its rows as the model sees them, their lengths, and the first batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

from pydantic import ValidationError

from core.data.preview import Batch, Previewed, ShownRow, learning_notes
from core.data.values import Format
from core.format import percent
from core.values import Job
from web.charts import Axis, Curve, Line, curves, placed
from web.headlines import short
from web.templates import fragment

KIND = "preview"
PARTS = ("preview", "preview_short")
IGNORED = -100  # the label of what is not learned
MOST_CELLS, MOST_FED, SHORT_ROWS, SHORT_PIECES = 64, 8, 2, 120


@dataclass(frozen=True)
class Cell:
    """One place of the batch: the token, what is to be learned there, and whether anything stands there at all."""

    token: int
    is_trained: bool
    is_padding: bool


def previewed(job: Job) -> Previewed | None:
    """What a preview has found; None where it has found nothing yet, or what this version cannot read."""
    if job.kind != KIND or not job.result:
        return None
    known = {name: value for name, value in job.result.items() if name in Previewed.model_fields}
    try:
        return Previewed.model_validate(known)
    except ValidationError:
        return None


def render_parts(job: Job) -> dict[str, str]:
    """The fragments of a preview: whole, and as small as it stands in a form."""
    found = previewed(job)
    if found is None:
        return dict.fromkeys(PARTS, "")
    return _rendered(found.model_dump_json(), str(job.spec.get("data") or found.name), job.id)


@lru_cache(maxsize=16)
def _rendered(text: str, data: str, job_id: str) -> dict[str, str]:
    found = Previewed.model_validate_json(text)
    asked = {"found": found, "share": percent, "short": short}
    whole = fragment(
        "preview",
        **asked,
        chart=_lengths(found),
        lengths=f"{_counted(found)} by tokens, as {short(found.model)} counts them",
        to_mind=learning_notes(found.n_train, found.n_endless, found.n_left_out),
        fed=list(_fed(found.batch)) if found.batch else [],
        most=MOST_CELLS,
        train=f"/train?{urlencode({'data': data, 'model': found.model})}",
    )
    rows = [_shortened(row) for row in found.rows[:SHORT_ROWS]]
    return {
        "preview": whole,
        "preview_short": fragment("preview_short", **asked, rows=rows, link=f"/data?{urlencode({'job': job_id})}"),
    }


def _shortened(row: ShownRow) -> ShownRow:
    return row.model_copy(update={"pieces": row.pieces[:SHORT_PIECES], "rejected": row.rejected[:SHORT_PIECES]})


def _lengths(found: Previewed) -> str:
    """The histogram; "" where there is none to draw."""
    if not found.histogram:
        return ""
    width = found.histogram[0].end - found.histogram[0].begin
    points: list[tuple[float, float | None]] = [(one.begin + width / 2, one.n) for one in found.histogram]
    end = max(found.histogram[-1].end, found.max_length if found.max_length <= 2 * found.longest else 0)
    marks = [Line(f"max_length {found.max_length:,}", found.max_length)] if found.max_length <= end else []
    drawn = Curve(
        "answers" if found.format is Format.PREFERENCE else "rows", points, 0, is_filled=True, is_stepped=True
    )
    title = "Lengths of both answers" if found.format is Format.PREFERENCE else "Lengths of the rows"
    said = f"{title}: the longest has {found.longest:,} tokens; {percent(found.cut_share)} are cut off."
    return placed(title, 240, curves([drawn], Axis("Tokens"), Axis(_counted(found)), said, marks, (0, end)))


def _counted(found: Previewed) -> str:
    return "Answers with their prompts" if found.format is Format.PREFERENCE else "Rows"


def _fed(batch: Batch) -> Iterator[tuple[int, list[Cell], int]]:
    """The first rows of the batch: the number of each, its first places, and how many more there are."""
    rows = zip(batch.numbers, batch.input_ids, batch.attention_mask, batch.labels, strict=True)
    for number, tokens, mask, labels in list(rows)[:MOST_FED]:
        cells = [
            Cell(token, label != IGNORED, not is_there)
            for token, is_there, label in zip(tokens, mask, labels, strict=True)
        ]
        yield number, cells[:MOST_CELLS], max(0, len(cells) - MOST_CELLS)
