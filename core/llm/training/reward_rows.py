"""Rows that a reward learns from as tokens: texts with the number of their label, or pairs of answers.

Pairs are those of TRL 1.16's RewardTrainer (`_prepare_dataset`); tests hold the two together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset  # type: ignore[import-untyped]

from core.data.values import Data, Format, Row
from core.errors import BadInput
from core.llm.classifier import encode_texts
from core.llm.rows import encode_answers
from core.training.reward_values import LabelShare, Task

MOST_LABELS = 1_000
AT_ONCE = 1_000
HINT = "Rows need a text and a label (another column by label_column), or prompt, chosen and rejected."


@dataclass(frozen=True)
class Learned:
    """Rows as they are fed: of a pair, chosen and rejected stand one after the other.

    Attributes:
        rows: tokens of each text.
        labels: the number of each text's label; None for pairs.
        n_cut: texts that were cut at the length.
        n_left_out: rows that were left out because of it, or hold no token.
    """

    rows: tuple[list[int], ...]
    labels: tuple[int, ...] | None
    n_cut: int = 0
    n_left_out: int = 0

    def __len__(self) -> int:
        """Rows of the data: a pair is one."""
        return len(self.rows) if self.labels is not None else len(self.rows) // 2

    @property
    def n_tokens(self) -> int:
        """That are read, once through."""
        return sum(map(len, self.rows))

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(map(len, self.rows), default=0)

    @property
    def dataset(self) -> Dataset:
        """With the columns that the trainers take."""
        if self.labels is not None:
            return Dataset.from_dict({"input_ids": list(self.rows), "labels": list(self.labels)})
        return Dataset.from_dict({"chosen_ids": list(self.rows[::2]), "rejected_ids": list(self.rows[1::2])})

    def first(self, n_rows: int) -> Learned:
        """The first rows of the data."""
        if self.labels is not None:
            return Learned(self.rows[:n_rows], self.labels[:n_rows])
        return Learned(self.rows[: 2 * n_rows], None)


def task_of(asked: str, data: Data) -> Task:
    """What is learned from the data.

    Raises:
        BadInput: they are not what the task takes.
    """
    found: dict[Format, Task] = {Format.LABELLED: "labels", Format.PREFERENCE: "preferences"}
    task = found.get(data.format)
    if task is None or asked not in ("auto", task):
        wanted = {"labels": "rows with a label", "preferences": "preferences"}.get(asked, "labels or preferences")
        raise BadInput(f"{data.name} holds {data.format} rows, and a reward of {wanted} is asked for.", HINT)
    return task


def labels_of(data: Data) -> tuple[str, ...]:
    """The labels of all rows, numbers in their order.

    Raises:
        BadInput: there is one, or far too many.
    """
    values = {row.fields["label"] for row in data.rows}
    if len(values) > MOST_LABELS:
        raise BadInput(
            f"{data.name} has {len(values):,} different labels, and a classifier at most {MOST_LABELS:,}.",
            "Name the column of a class by label_column, not one of figures.",
        )
    is_number = all(isinstance(value, int | float) for value in values)
    names = tuple(str(value) for value in (sorted(values) if is_number else sorted(values, key=str)))
    if len(set(names)) < 2:
        raise BadInput(f"All rows of {data.name} have the label {names[0]}: there is nothing to tell it from.")
    return names


def shares_of(labels: Sequence[str], train: Learned, held_out: Learned) -> tuple[LabelShare, ...]:
    """How many rows have each label."""
    learned, aside = Counter(train.labels or ()), Counter(held_out.labels or ())
    return tuple(
        LabelShare(label=label, n_train=learned[index], n_eval=aside[index]) for index, label in enumerate(labels)
    )


def labelled(rows: Sequence[Row], labels: Sequence[str], tokenizer: Any, max_length: int) -> Learned:
    """Texts with the numbers of their labels; of those that are too long the end."""
    number_of = {label: index for index, label in enumerate(labels)}
    found, numbers, n_cut = [], [], 0
    for row, ids, is_cut in _encoded(rows, tokenizer, max_length):
        if ids:
            found.append(ids)
            numbers.append(number_of[str(row.fields["label"])])
            n_cut += is_cut
    return Learned(tuple(found), tuple(numbers), n_cut, len(rows) - len(found))


def paired(rows: Sequence[Row], tokenizer: Any, max_length: int) -> Learned:
    """Prompts with the chosen and with the rejected answer; pairs with one that is too long are left out, as in TRL."""
    found: list[list[int]] = []
    for row in rows:
        chosen, rejected = encode_answers(row, tokenizer)
        if chosen and rejected and len(chosen) <= max_length and len(rejected) <= max_length:
            found += [list(chosen), list(rejected)]
    return Learned(tuple(found), None, 0, len(rows) - len(found) // 2)


def _encoded(rows: Sequence[Row], tokenizer: Any, max_length: int) -> Iterator[tuple[Row, list[int], bool]]:
    for begin in range(0, len(rows), AT_ONCE):
        batch = rows[begin : begin + AT_ONCE]
        texts = [row.fields["text"] for row in batch]
        lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        for row, ids, length in zip(batch, encode_texts(texts, tokenizer, max_length), lengths, strict=True):
            yield row, ids, length > max_length
