"""An estimate with all that it is compared with: every precision, every card, and the card to speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from core.cards import read_cards
from core.memory import Estimate, Fit, Precision, Verdict
from core.memory.advice import BEST_FIRST, shrinks
from core.memory.cards import KNOWN_CARDS, KnownCard, here
from core.memory.compare import OnCard, in_each_precision, on_cards
from core.memory.stored import why_not
from core.store.workers import WorkerInfo


@dataclass(frozen=True)
class Answer:
    """The estimate with all that it is compared with."""

    title: str
    wanted: Estimate
    cards: tuple[KnownCard, ...]
    name: str = ""
    """By which a worker has it; "" where none has."""

    @cached_property
    def in_each(self) -> dict[Precision, Estimate]:
        """The same work in each precision that can be had of this checkpoint."""
        asked = self.wanted.work.precision
        return {
            one: each for one, each in in_each_precision(self.wanted).items() if one is asked or not self.why_not(one)
        }

    def why_not(self, precision: Precision) -> str:
        """Why a precision cannot be had of this checkpoint; nothing where it can."""
        return why_not(self.wanted.model.packing, precision)

    @cached_property
    def on_cards(self) -> list[OnCard]:
        """The same work on each card."""
        return on_cards(self.wanted, self.cards)

    @cached_property
    def narrower(self) -> list[Precision]:
        """The precisions that would make this model smaller than the asked one does."""
        table, asked = self.wanted.model.table, self.wanted.work.precision
        later = BEST_FIRST[BEST_FIRST.index(asked) + 1 :] if asked in BEST_FIRST else BEST_FIRST
        possible = [one for one in later if one in self.in_each and not why_not(self.wanted.model.packing, one)]
        return [
            one for one in possible if one is not Precision.NF4_DQ and (not one.is_quantized or shrinks(table, one))
        ]

    @cached_property
    def reference(self) -> OnCard | None:
        """The smallest card that can do it in the asked precision or a narrower one: the one to speak of."""
        wanted = [self.wanted.work.precision, *self.narrower]
        able = [one for one in self.on_cards if not one.card.is_host and any(goes(one.fits[each]) for each in wanted)]
        return min(able, key=lambda one: one.card.usable_bytes, default=None)


def cards_there(workers: Sequence[WorkerInfo]) -> tuple[KnownCard, ...]:
    """The cards that people ask about, and those that the workers run on; without a worker, those of this machine."""
    theirs = {(one.host, one.device): _of_worker(one) for one in workers}
    return (*KNOWN_CARDS, *(theirs.values() or here(read_cards())))


def _of_worker(one: WorkerInfo) -> KnownCard:
    is_host = one.memory_kind == "host"
    name = f"{'Memory' if is_host else one.device} of {one.host}"
    return KnownCard(name, int(one.memory_free), f"free now on {one.device}, as its worker says", is_host)


def goes(fit: Fit) -> bool:
    """Whether it can be done at all."""
    return fit.verdict is not Verdict.EXCEEDS
