"""Trainings, merges and previews of data on a terminal: what came of them, in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from core.cli_format import clean, table
from core.comparison.merged import Distance, MergeReport
from core.data.preview import Piece, Previewed
from core.format import percent, significant, small, written
from core.training.headline import headline
from core.training.values import TrainResult, Try

if TYPE_CHECKING:
    from core.values import Job

Found = TypeVar("Found", bound=BaseModel)
MOST_BAD = 20
DASH = "-"


@dataclass(frozen=True)
class ResultPrinter(Generic[Found]):
    """See `core.cli_printers.Printer`: the lines of a result that is read as `kind`, and news of it meanwhile."""

    kind: type[Found]
    lines: Callable[[Found, int], Iterator[str]]
    tell: Callable[[Found | None, Found], Iterator[str]] = lambda before, now: iter(())

    def result(self, job: Job, indent: int = 0) -> str | None:
        """All of it; "" for nothing yet, None where this version cannot read it."""
        if not job.result:
            return ""
        found = _read(self.kind, job)
        return None if found is None else "\n".join(clean(line) for line in self.lines(found, indent) if line)

    def news(self, before: Job | None, now: Job) -> Iterator[str]:
        """What has come since."""
        then, found = (_read(self.kind, job) if job else None for job in (before, now))
        yield from (self.tell(then, found) if found else ())


def _read(kind: type[Found], job: Job) -> Found | None:
    known = {name: value for name, value in (job.result or {}).items() if name in kind.model_fields}
    try:
        return kind.model_validate(known)
    except ValidationError:
        return None


def _training(found: TrainResult, indent: int) -> Iterator[str]:
    yield found.text or headline(found)
    data = found.data
    if data:
        yield f"{data.name}: {data.n_train:,} rows learned, {data.n_eval:,} held out (sha256 {data.fingerprint[:12]})"
    yield f"{found.base} in {found.base_dtype}, trained in {found.trained_dtype}" if found.base else ""
    if found.preflight:
        predicted = found.preflight.predicted_bytes
        said = f", predicted {written(predicted, 'bytes')}" if predicted else ""
        yield f"pre-flight: {written(found.preflight.peak_bytes, 'bytes')} at its peak{said}"
    last = [one for one in found.tries if one.step == found.tries[-1].step] if found.tries else []
    if last:
        yield table(("PROMPT", f"ANSWER AT STEP {last[0].step:,}"), map(_answer, last), (), indent)
    yield from found.notes


def _evaluated(before: TrainResult | None, now: TrainResult) -> Iterator[str]:
    if now.eval_loss is None or (before and before.eval_loss == now.eval_loss):
        return
    perplexity = f", perplexity {significant(now.perplexity)}" if now.perplexity else ""
    yield f"step {now.step:,}: held-out loss {significant(now.eval_loss, 4)}{perplexity}"


def _answer(one: Try) -> tuple[str, str]:
    return one.prompt, one.completion + ("" if one.has_ended else " …")


def _merge(found: MergeReport, indent: int) -> Iterator[str]:
    yield f"{found.verdict}: {found.text}" if found.verdict else found.text
    yield found.rule
    measured = (("merged", found.found), ("rounding alone", found.floor), ("twice the same", found.noise))
    rows = [(name, *_distance(one)) for name, one in measured if one]
    if rows:
        heads = ("AGAINST BASE + ADAPTER", "KL", "SAME TOKEN", "LARGEST LOGIT CHANGE")
        yield table(heads, rows, heads[1:], indent)
    if found.samples:
        equal = sum(pair.is_equal for pair in found.samples)
        yield f"{equal} of {len(found.samples)} greedy answers are equal."
    yield from found.notes


def _distance(one: Distance) -> tuple[str, str, str]:
    return small(one.kl), percent(one.top1, 2), small(one.logit_difference)


def _preview(found: Previewed, _indent: int) -> Iterator[str]:
    yield found.text
    yield f"{found.format}: {found.why}. Columns: {', '.join(found.columns) or DASH}."
    if found.n_cut:
        yield f"{found.n_cut:,} rows ({percent(found.cut_share)}) are cut off at {found.max_length:,} tokens."
    for noted in found.warnings:
        yield f"! {noted.what} ({noted.n_rows:,} rows, first {found.counted} {noted.first:,})"
    for bad in found.bad[:MOST_BAD]:
        yield f"{found.counted} {bad.number:,} {bad.reason}"
    for row in found.rows:
        if not row.rejected:
            yield f"{found.counted} {row.number:,}: {_bracketed(row.pieces)}"
            continue
        yield f"{found.counted} {row.number:,}, chosen, {row.n_tokens:,} tokens: {_bracketed(row.pieces)}"
        yield f"{found.counted} {row.number:,}, rejected, {row.n_rejected_tokens:,} tokens: {_bracketed(row.rejected)}"
    yield "What is learned stands in brackets." if found.rows else ""


def _bracketed(pieces: Sequence[Piece]) -> str:
    return "".join(f"[{piece.text}]" if piece.is_trained else piece.text for piece in pieces)


TRAINING = ResultPrinter(TrainResult, _training, _evaluated)
MERGE = ResultPrinter(MergeReport, _merge)
PREVIEW = ResultPrinter(Previewed, _preview)
