"""The small values of a data set: a row in TRL's words, a row that cannot be used, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """What the rows of a data set are, and so which fields each has."""

    TEXT = "text"
    """`text`: language modelling."""
    PROMPT_COMPLETION = "prompt-completion"
    """`prompt` and `completion`, both texts or both lists of messages."""
    MESSAGES = "messages"
    """`messages`: a list of `{"role": …, "content": …}`."""
    PREFERENCE = "preference"
    """`prompt`, `chosen` and `rejected`, all texts or all lists of messages."""
    LABELLED = "labelled"
    """`text`, its `label`, and its `rating` where there is one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands in its file, counted from 1, and its fields by TRL's column names."""

    number: int
    fields: dict[str, Any]

    @property
    def is_conversational(self) -> bool:
        """Whether it is made of messages, so that a chat template makes its text."""
        return any(isinstance(value, list) for value in self.fields.values())


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is left out, and why: the reason goes on where `line 7` stops."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Data:
    """A data set as it was read.

    Attributes:
        why: by what its format was recognised.
        counted: what the numbers of rows count in its file: `line` or `row`.
        columns: those of the file, before they became the fields of a row.
        rows: all that can be used, in the order of the file; `train` and `evaluation` share them.
        bad: all that cannot, the empty ones too.
        fingerprint: SHA-256 over the format and the rows, in hexadecimal.
        n_duplicates: rows that equal an earlier one. They are kept, on the same side of the split.
        n_empty: rows without a word, among `bad`; blank lines of a text file, which are not.
        n_short, n_long: rows left out by `min_chars` and `max_chars`.
        is_cut: whether `max_rows` ended the reading.
    """

    name: str
    format: Format
    why: str
    counted: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bad: tuple[BadRow, ...]
    train: tuple[Row, ...]
    evaluation: tuple[Row, ...]
    fingerprint: str
    licence: str
    source: str
    n_duplicates: int
    n_empty: int
    n_short: int
    n_long: int
    is_cut: bool
