"""A figure together with how it came about: the one value that page, command line and JSON show on demand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """One share of the memory: `formula` is the reckoning in numbers, `source` where its rule is from."""

    name: str
    n_bytes: int
    formula: str
    source: str

    def as_json(self) -> dict[str, Any]:
        """As a program reads it."""
        return asdict(self)


def part(name: str, n_bytes: int, reckoning: str, source: str) -> Part:
    """A part whose formula ends in its own size."""
    return Part(name, n_bytes, f"{reckoning} = {size(n_bytes)}", source)


def size(n_bytes: float) -> str:
    """Bytes in words, with decimal units as cards are sold by: 13.48 GB."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(n_bytes) >= factor:
            return f"{n_bytes / factor:.2f} {unit}"
    return f"{n_bytes:.0f} bytes"


def number(n: float) -> str:
    """A count in words: 6.74 B, 134.52 M, 8,192."""
    for unit, factor in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if abs(n) >= factor:
            return f"{n / factor:.2f} {unit}"
    return f"{n:,.0f}"


def plural(n: int, noun: str) -> str:
    """A counted noun."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
