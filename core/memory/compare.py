"""The same work in every precision against a list of cards: what page and command line show side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.memory.advice import Recommendation, recommend
from core.memory.cards import KnownCard
from core.memory.estimate import Estimate, estimate_work, largest_batch, largest_context
from core.memory.fit import Fit, Verdict
from core.memory.training import is_trainable
from core.precision import Precision

COMPARED = (Precision.FLOAT32, Precision.BFLOAT16, Precision.INT8, Precision.NF4, Precision.NF4_DQ)


@dataclass(frozen=True)
class OnCard:
    """What a card can do: the verdict of each precision, the one to take, and how far the asked one goes."""

    card: KnownCard
    fits: Mapping[Precision, Fit]
    recommended: Recommendation
    largest_context: int
    largest_batch: int

    def as_json(self) -> dict[str, Any]:
        """As a program reads it."""
        return {
            "card": self.card.name,
            "usable_bytes": self.card.usable_bytes,
            "source": self.card.source,
            "recommended": self.recommended.precision,
            "reason": self.recommended.reason,
            "by_precision": {str(one): fit.as_json() for one, fit in self.fits.items()},
            "largest_context": self.largest_context,
            "largest_batch": self.largest_batch,
        }


def in_each_precision(asked: Estimate) -> dict[Precision, Estimate]:
    """The same work in each precision that it can be done in."""
    work = asked.work
    possible = [one for one in COMPARED if work.training is None or is_trainable(work.training, one)]
    return {one: estimate_work(asked.model, replace(work, precision=one)) for one in possible}


def on_cards(asked: Estimate, cards: Iterable[KnownCard]) -> list[OnCard]:
    """The same work on each of these cards."""
    return [_on_card(asked, card) for card in cards]


def _on_card(asked: Estimate, card: KnownCard) -> OnCard:
    there = estimate_work(asked.model, replace(asked.work, on_host=card.is_host))
    fits = {one: other.fit(card.usable_bytes) for one, other in in_each_precision(there).items()}
    verdicts = {one: fit.verdict for one, fit in fits.items()}
    return OnCard(
        card,
        fits,
        recommend(asked.model.table, verdicts, asked.model.packing),
        largest_context(there, card.usable_bytes),
        largest_batch(there, card.usable_bytes),
    )


def smallest_card(asked: Estimate, cards: Iterable[KnownCard]) -> KnownCard | None:
    """The card with the least memory that holds the asked work with room to spare; the host is none."""
    fitting = [one for one in cards if not one.is_host and asked.fit(one.usable_bytes).verdict is Verdict.FITS]
    return min(fitting, key=lambda card: card.usable_bytes, default=None)
