"""Rows as TRL's trainer takes them: encoded, cut, without those that leave nothing to learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from datasets import Dataset  # type: ignore[import-untyped]

from core.data.values import Row
from core.errors import BadInput
from core.llm.rows import Encoded, encode_row


@dataclass(frozen=True)
class Prepared:
    """Rows that can be trained on. `n_cut` were cut off at the length, `n_masked` left out because of it.

    Of those that are left, `n_endless` have no label that ends a text.
    """

    rows: tuple[Encoded, ...]
    n_cut: int
    n_masked: int
    n_endless: int = 0

    @property
    def n_tokens(self) -> int:
        """That are learned, once through."""
        return sum(sum(one.trained) for one in self.rows)

    @property
    def dataset(self) -> Dataset:
        """With TRL's own columns."""
        return Dataset.from_dict(
            {
                "input_ids": [list(one.input_ids) for one in self.rows],
                "labels": [list(one.labels) for one in self.rows],
            }
        )


def prepare(
    rows: Iterable[Row],
    tokenizer: Any,
    max_length: int,
    *,
    completion_only: bool | None,
    assistant_only: bool,
    is_needed: bool = True,
    end_ids: frozenset[int] = frozenset(),
) -> Prepared:
    """Encode rows as TRL does; `is_needed`: without any that is left the training makes no sense.

    Raises:
        BadInput: the tokenizer cannot encode them, or nothing is left to learn.
    """
    found: list[Encoded] = []
    n_cut = n_masked = 0
    for row in rows:
        whole = encode_row(row, tokenizer, completion_only, assistant_only)
        cut = whole.cut(max_length)
        n_cut += len(whole.input_ids) > max_length
        if any(cut.trained[1:]):
            found.append(cut)
        else:
            n_masked += 1
    if not found and n_masked and is_needed:
        raise BadInput(
            f"max_length {max_length} leaves nothing to learn: every prompt alone is that long.", "Raise max_length."
        )
    return Prepared(tuple(found), n_cut, n_masked, sum(not one.teaches_end(end_ids) for one in found))
