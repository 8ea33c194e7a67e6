"""What a preview says of data: what it is, how long its rows are as tokens, and what a model will be given of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from core.data.values import Format
from core.format import percent
from core.values import Value


class Listed(Value):
    """A row that cannot be used, by its number in the file, and why: the reason goes on where `line 7` stops."""

    number: int
    reason: str


class Piece(Value):
    """A few letters of a row: one token, or the several that a character needs."""

    tokens: tuple[int, ...]
    text: str
    is_trained: bool
    is_special: bool


class ShownRow(Value):
    """A row as the model will see it. `n_tokens` counts all of it, before it is cut; the pieces may end earlier.

    Of a preference the pieces are the prompt with the chosen answer, and `rejected` the same with the other one.
    """

    number: int
    is_evaluation: bool
    n_tokens: int
    n_trained: int
    is_cut: bool
    pieces: tuple[Piece, ...]
    warnings: tuple[str, ...]
    rejected: tuple[Piece, ...] = ()
    n_rejected_tokens: int = 0


class Bin(Value):
    """How many rows (of preferences, answers with their prompts) have at least `begin` and fewer than `end` tokens."""

    begin: int
    end: int
    n: int


class Batch(Value):
    """Rows as they are fed, padded to one length: (rows, tokens) each; `labels` are -100 where nothing is trained."""

    numbers: tuple[int, ...]
    input_ids: tuple[tuple[int, ...], ...]
    attention_mask: tuple[tuple[int, ...], ...]
    labels: tuple[tuple[int, ...], ...]


class Noted(Value):
    """Something worth knowing before training, of how many rows it holds, and the first of them."""

    what: str
    n_rows: int
    first: int


class Previewed(BaseModel):
    """A data set before it is trained on.

    Attributes:
        format: None where it was stopped before the data was here.
        bad: the first rows that cannot be used; `n_bad` counts all.
        n_empty, n_duplicates, n_short, n_long, is_cut: as `core.data.values.Data` has them.
        chat_template: the built-in one that conversations were written by; "": the model's own.
        n_counted: rows that were made into tokens: all, unless it was stopped.
        n_tokens: of those rows, before they are cut to `max_length`; of a preference both answers with their prompt.
        n_endless: rows to train on without an end of text among what is trained.
        n_trained_tokens: of the rows to train on, what counts in the loss.
        n_cut, n_lost_tokens: rows that are cut at `max_length`, and the tokens behind it.
        n_left_out: rows to train on that the trainer leaves out, since nothing before `max_length` is trained.
        n_refused: rows that the model's template refuses; training would stop there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model: str
    max_length: int
    chat_template: str = ""
    text: str = ""
    source: str = ""
    licence: str = ""
    format: Format | None = None
    why: str = ""
    counted: str = "row"
    columns: tuple[str, ...] = ()
    fingerprint: str = ""
    n_rows: int = 0
    n_train: int = 0
    n_evaluation: int = 0
    n_bad: int = 0
    n_empty: int = 0
    n_duplicates: int = 0
    n_short: int = 0
    n_long: int = 0
    is_cut: bool = False
    bad: tuple[Listed, ...] = ()
    n_counted: int = 0
    n_tokens: int = 0
    n_trained_tokens: int = 0
    longest: int = 0
    n_cut: int = 0
    n_lost_tokens: int = 0
    n_left_out: int = 0
    n_endless: int = 0
    n_refused: int = 0
    histogram: tuple[Bin, ...] = ()
    warnings: tuple[Noted, ...] = ()
    rows: tuple[ShownRow, ...] = ()
    batch: Batch | None = None

    @property
    def cut_share(self) -> float:
        """Which share of the rows is cut at `max_length`."""
        return self.n_cut / self.n_counted if self.n_counted else 0.0


def learning_notes(n_rows: int, n_endless: int, n_masked: int) -> tuple[str, ...]:
    """What is to be minded of rows that are trained on: those whose labels end no text, and those without any label.

    Args:
        n_rows: all that there are to train on, the masked ones with them.
        n_endless: of those that have labels.
    """
    n_learned = n_rows - n_masked
    found = []
    if n_endless and n_endless == n_learned:
        found.append("No label ends a text: the model will not learn to stop.")
    elif n_endless:
        found.append(f"In {percent(n_endless / n_learned)} of the rows no label ends a text.")
    if n_masked:
        found.append(f"{percent(n_masked / n_rows)} of the rows are left out: all of their labels are masked.")
    return tuple(found)


def bins_of(lengths: list[int], most: int = 20) -> tuple[Bin, ...]:
    """At most so many bins of one round width, from 0 to the longest."""
    if not lengths:
        return ()
    longest = max(lengths)
    width = next(each for each in _round_widths() if longest // each < most)
    counts = [0] * (longest // width + 1)
    for length in lengths:
        counts[length // width] += 1
    return tuple(Bin(begin=nth * width, end=(nth + 1) * width, n=n) for nth, n in enumerate(counts))


def _round_widths() -> list[int]:
    return [step * 10**power for power in range(8) for step in (1, 2, 5)]
