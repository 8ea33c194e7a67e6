"""The table of a comparison on a page: a row for each variant, a column for each figure, the best of a column marked.

The figures and what is best are `core.comparison.columns`; here is what only the page says of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.comparison.columns import COLUMNS, Figure, best_of, row_of, sentence_of
from core.comparison.judge import Loss, loss_of
from core.comparison.values import Comparison, VariantResult, VariantState
from web.words import Chip

CHIPS = {
    VariantState.QUEUED: Chip("◌", "queued", ""),
    VariantState.RUNNING: Chip("◐", "measuring", "live"),
    VariantState.SUCCEEDED: Chip("✓", "measured", "good"),
    VariantState.FAILED: Chip("✕", "failed", "bad"),
    VariantState.SKIPPED: Chip("■", "skipped", "warn"),
    VariantState.CANCELLED: Chip("■", "cancelled", ""),
}


@dataclass(frozen=True)
class Cell:
    """A figure in its place; None where it was not taken."""

    figure: Figure | None
    is_best: bool


@dataclass(frozen=True)
class Row:
    """One variant; `sentence` says what it lacks and why."""

    variant: VariantResult
    chip: Chip
    is_reference: bool
    cells: tuple[Cell, ...]
    loss: str
    sentence: str

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show but the sentence."""
        return not any(cell.figure for cell in self.cells)


def rows_of(comparison: Comparison) -> tuple[Row, ...]:
    """The table."""
    best = [best_of(column, comparison) for column in COLUMNS]
    return tuple(_row(one, comparison, best) for one in comparison.variants)


def _row(one: VariantResult, comparison: Comparison, best: Sequence[frozenset[str]]) -> Row:
    figures = row_of(one, comparison, COLUMNS)
    is_reference = one.name == comparison.reference
    loss = loss_of(one, comparison) if one.state is VariantState.SUCCEEDED and not is_reference else Loss.UNKNOWN
    return Row(
        variant=one,
        chip=CHIPS[one.state],
        is_reference=is_reference,
        cells=tuple(Cell(figure, one.name in names) for figure, names in zip(figures, best, strict=True)),
        loss="" if loss is Loss.UNKNOWN else str(loss),
        sentence=sentence_of(one),
    )
