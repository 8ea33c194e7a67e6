"""What an optimizer keeps for each weight that is trained, by the name that Trainer has for it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from core.memory.formula import Part, number, part

PAGED_FROM = 100_000  # elements: smaller tensors of a paged optimizer stay on the card
SMALL = 4096  # elements: smaller tensors keep float32 states in an 8-bit optimizer
OPTIMIZER_SOURCE = "the states that the optimizer of that name keeps (torch 2.13, bitsandbytes 0.50)"


class Optimizer(StrEnum):
    """The optimizers of Trainer whose states are known here."""

    ADAMW = "adamw_torch"
    ADAMW_FUSED = "adamw_torch_fused"
    ADAMW_8BIT = "adamw_8bit"
    PAGED_ADAMW_8BIT = "paged_adamw_8bit"
    SGD = "sgd"

    @property
    def is_8bit(self) -> bool:
        """Whether its states are packed to a byte each."""
        return self in (Optimizer.ADAMW_8BIT, Optimizer.PAGED_ADAMW_8BIT)


class Trained(NamedTuple):
    """One tensor that is trained; Trainer keeps the states of embeddings in float32 whatever the optimizer."""

    n_elements: int
    is_embedding: bool = False


def states_part(trained: list[Trained], each: int, optimizer: Optimizer) -> Part:
    """The states of an optimizer, as far as they lie on the card."""
    n = sum(one.n_elements for one in trained)
    if optimizer is Optimizer.SGD:
        return Part("optimizer", 0, "sgd without momentum keeps no state", OPTIMIZER_SOURCE)
    if not optimizer.is_8bit:
        words = f"{number(n)} trained weights × 2 states × {each} bytes"
        return part("optimizer", 2 * each * n, words, OPTIMIZER_SOURCE)
    is_paged = optimizer is Optimizer.PAGED_ADAMW_8BIT
    here = [one for one in trained if not (is_paged and one.n_elements >= PAGED_FROM)]
    on_card = sum(one.n_elements for one in here)
    words = f"{number(on_card)} trained weights × 2 states × 1 byte and a scale for each 256, small ones in float32"
    words += f"; {number(n - on_card)} weights more are paged to the host" if is_paged else ""
    return part("optimizer", sum(map(_packed_states, here)), words, OPTIMIZER_SOURCE)


def _packed_states(one: Trained) -> int:
    if one.is_embedding or one.n_elements < SMALL:
        return 8 * one.n_elements
    return 2 * (one.n_elements + 4 * -(-one.n_elements // 256))
