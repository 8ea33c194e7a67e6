"""Looks at data as a model will: counts tokens, shows rows with what is trained of them, and makes the first batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from core.data.preview import Batch, Listed, Noted, Previewed, ShownRow, bins_of, learning_notes
from core.data.values import Data, Format, Row
from core.errors import BadInput
from core.llm.rows import IGNORED, Encoded, encode_row, warnings_of
from core.llm.tokenizer import pieces_of

MOST_LISTED = 50
MOST_PIECES = 2_000  # of a row that is shown
MOST_IN_BATCH = 65_536  # tokens that are kept of a batch
SAID_EVERY = 500


@dataclass(frozen=True, slots=True)
class Question:
    """How rows will be trained on, in TRL's words, and how many are to be shown."""

    max_length: int
    completion_only_loss: bool | None
    assistant_only_loss: bool
    per_device_train_batch_size: int
    seed: int
    n_shown: int


def preview(
    data: Data,
    tokenizer: Any,
    end_ids: frozenset[int],
    question: Question,
    model: str,
    tell: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> Previewed:
    """What there is to know of `data` before `model` is trained on it.

    Args:
        tell: hears how many rows are done, and how many there are.
        should_stop: what is counted by then is given.
    """
    look = _Look(data, tokenizer, end_ids, question, held=frozenset(row.number for row in data.evaluation))
    look.count(tell, should_stop)
    batch = look.batch() if look.n_counted == len(data.rows) else None
    return Previewed(
        text=_summary(data, look),
        **{name: getattr(data, name) for name in AS_READ},
        n_rows=len(data.rows),
        n_train=len(data.train),
        n_evaluation=len(data.evaluation),
        n_bad=len(data.bad),
        bad=tuple(Listed(number=one.number, reason=one.reason) for one in data.bad[:MOST_LISTED]),
        model=model,
        max_length=question.max_length,
        n_counted=look.n_counted,
        n_tokens=sum(look.lengths),
        n_trained_tokens=look.n_trained_tokens,
        longest=max(look.lengths, default=0),
        n_cut=look.n_cut,
        n_lost_tokens=look.n_lost_tokens,
        n_left_out=len(look.left_out),
        n_endless=look.n_endless,
        n_refused=look.n_refused,
        histogram=bins_of(look.lengths),
        warnings=tuple(look.noted.values()),
        rows=tuple(look.shown()),
        batch=batch,
    )


AS_READ = (
    "name", "source", "licence", "format", "why", "counted", "columns", "fingerprint",
    "n_empty", "n_duplicates", "n_short", "n_long", "is_cut",
)  # fmt: skip


@dataclass
class _Look:
    data: Data
    tokenizer: Any
    end_ids: frozenset[int]
    question: Question
    lengths: list[int] = field(default_factory=list)
    """Tokens of each text: of a preference there are two."""
    noted: dict[str, Noted] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    held: frozenset[int] = frozenset()
    n_counted: int = 0
    n_refused: int = 0
    n_trained_tokens: int = 0
    n_endless: int = 0
    n_cut: int = 0

    @property
    def n_lost_tokens(self) -> int:
        return sum(max(0, length - self.question.max_length) for length in self.lengths)

    def count(self, tell: Callable[[int, int], None], should_stop: Callable[[], bool]) -> None:
        """Encode every row once."""
        for row in self.data.rows:
            if self.n_counted % SAID_EVERY == 0:
                tell(self.n_counted, len(self.data.rows))
                if should_stop():
                    return
            self._count(row, row.number in self.held)
            self.n_counted += 1

    def _count(self, row: Row, is_held: bool) -> None:
        try:
            sides = self._sides(row)
        except BadInput as error:
            self.n_refused += 1
            self._note(f"{error.message} {error.hint}".strip(), row)
            return
        self.lengths += (len(side.input_ids) for side in sides)
        self.n_cut += any(len(side.input_ids) > self.question.max_length for side in sides)
        for warning in self._warnings(sides):
            self._note(warning, row)
        if not is_held:
            self._count_learned(row, sides)

    def _count_learned(self, row: Row, sides: Sequence[Encoded]) -> None:
        kept = [side.cut(self.question.max_length) for side in sides]
        self.n_trained_tokens += sum(sum(side.trained) for side in kept)
        if not any(kept[0].trained):
            self.left_out.add(row.number)
        else:
            self.n_endless += not kept[0].teaches_end(self.end_ids)

    def _warnings(self, sides: Sequence[Encoded]) -> tuple[str, ...]:
        found = (warnings_of(side, self.end_ids, self.question.max_length) for side in sides)
        return tuple(dict.fromkeys(warning for each in found for warning in each))

    def _sides(self, row: Row) -> list[Encoded]:
        """All of a row; of a preference its prompt with the chosen answer and its prompt with the rejected one."""
        if "rejected" not in row.fields:
            return [self._encoded(row)]
        other = Row(row.number, row.fields | {"chosen": row.fields["rejected"]})
        return [self._encoded(row), self._encoded(other)]

    def _encoded(self, row: Row) -> Encoded:
        asked = self.question
        return encode_row(row, self.tokenizer, asked.completion_only_loss, asked.assistant_only_loss)

    def _note(self, what: str, row: Row) -> None:
        known = self.noted.get(what)
        if known or len(self.noted) < MOST_LISTED:
            first, n_rows = (known.first, known.n_rows) if known else (row.number, 0)
            self.noted[what] = Noted(what=what, n_rows=n_rows + 1, first=first)

    def shown(self) -> Iterator[ShownRow]:
        """The first rows, as the model sees them."""
        if self.n_refused == self.n_counted:
            return
        for row in self.data.rows[: self.question.n_shown]:
            try:
                sides = self._sides(row)
            except BadInput:
                continue
            kept = [side.cut(self.question.max_length) for side in sides]
            pieces = [pieces_of(side.cut(MOST_PIECES), self.tokenizer) for side in kept]
            yield ShownRow(
                number=row.number,
                is_evaluation=row.number in self.held,
                n_tokens=len(sides[0].input_ids),
                n_trained=sum(kept[0].trained),
                is_cut=any(len(one.input_ids) < len(side.input_ids) for one, side in zip(kept, sides, strict=True)),
                pieces=pieces[0],
                warnings=self._warnings(sides),
                rejected=pieces[1] if len(sides) > 1 else (),
                n_rejected_tokens=len(sides[1].input_ids) if len(sides) > 1 else 0,
            )

    def batch(self) -> Batch | None:
        """The first that the trainer is fed, as its sampler draws it and its collator pads it.

        None where the template refuses a row, since then there is no training; fewer rows where it would be too large
        to keep.
        """
        rows = [row for row in self.data.train if row.number not in self.left_out]
        if self.n_refused or not rows:
            return None
        drawn = [rows[at] for at in first_drawn(len(rows), self.question)]
        encoded = [self._encoded(row).cut(self.question.max_length) for row in drawn]
        width = max(len(one.input_ids) for one in encoded)
        n_kept = max(1, MOST_IN_BATCH // width)
        return _padded(drawn[:n_kept], encoded[:n_kept], width, self._pad_id())

    def _pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)


def first_drawn(n_rows: int, question: Question) -> list[int]:
    """Which rows make the first batch: as the Trainer's sampler draws them from its seed, in one process."""
    drawn = torch.randperm(n_rows, generator=torch.Generator().manual_seed(question.seed)).tolist()
    return drawn[: question.per_device_train_batch_size]


def _padded(rows: Sequence[Row], encoded: Sequence[Encoded], width: int, pad_id: int) -> Batch:
    def filled(values: Sequence[int], filler: int) -> tuple[int, ...]:
        return (*values, *[filler] * (width - len(values)))

    return Batch(
        numbers=tuple(row.number for row in rows),
        input_ids=tuple(filled(one.input_ids, pad_id) for one in encoded),
        attention_mask=tuple(filled([1] * len(one.input_ids), 0) for one in encoded),
        labels=tuple(filled(one.labels, IGNORED) for one in encoded),
    )


def _summary(data: Data, look: _Look) -> str:
    """A few sentences for a terminal."""
    noun = data.counted
    said = [
        f"{data.name}: {data.format}, {data.why}. {len(data.rows):,} rows ({len(data.train):,} to train on, "
        f"{len(data.evaluation):,} set aside), {data.n_duplicates:,} duplicates, {data.n_empty:,} empty, "
        f"{len(data.bad):,} left out.",
        *(f"  {noun} {one.number:,} {one.reason}" for one in data.bad[:5]),
    ]
    text = "prompt with its answer" if data.format is Format.PREFERENCE else "row"
    if look.lengths:
        share = look.n_cut / max(look.n_counted - look.n_refused, 1)
        said.append(
            f"{sum(look.lengths):,} tokens, at most {max(look.lengths):,} a {text}; {share:.1%} of the rows are cut "
            f"at {look.question.max_length:,} and lose {look.n_lost_tokens:,} tokens."
        )
    said += learning_notes(len(data.train), look.n_endless, len(look.left_out))
    said += [f"{one.what} ({one.n_rows:,} rows, first {noun} {one.first:,})" for one in look.noted.values()]
    return "\n".join(said)
