"""Whether an estimate fits a card, by how much, and how far context and batch can go.

Judged by bytes that can be used, not by a card's name. What the allocator takes lies above what tensors ask for, so
there is a band between "fits" and "exceeds".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ROOMY, LEAST = 110, 103  # reserved over requested memory in percent: with room to spare, and the least that is sure


class Verdict(StrEnum):
    """Whether it fits."""

    FITS = "fits"
    TIGHT = "tight"
    EXCEEDS = "exceeds"


@dataclass(frozen=True, slots=True)
class Fit:
    """A verdict with its numbers; `spare_bytes` is below zero where it does not fit."""

    verdict: Verdict
    needed_bytes: int
    usable_bytes: int

    @property
    def spare_bytes(self) -> int:
        """What is left over."""
        return self.usable_bytes - self.needed_bytes

    def as_json(self) -> dict[str, Any]:
        """As a program reads it."""
        return {
            "verdict": str(self.verdict),
            "needed_bytes": self.needed_bytes,
            "usable_bytes": self.usable_bytes,
            "spare_bytes": self.spare_bytes,
        }


def judge(needed_bytes: int, usable_bytes: int, framework_bytes: int = 0) -> Fit:
    """Compare; the framework's own share, which no allocator rounds, counts as it is."""
    free = usable_bytes - framework_bytes
    rounded = needed_bytes - framework_bytes
    if 100 * free >= ROOMY * rounded:
        verdict = Verdict.FITS
    elif 100 * free >= LEAST * rounded:
        verdict = Verdict.TIGHT
    else:
        verdict = Verdict.EXCEEDS
    return Fit(verdict, needed_bytes, usable_bytes)


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number from 1 to `most` that fits; 0 where not even 1 does. What fits must fit when smaller, too."""
    if not fits(1):
        return 0
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
