"""The cards that people ask about, with the memory that a program can really use: less than the name says.

`usable_bytes` is the total that torch reports on such a card, as its own error messages print it; what another process
or the CUDA context takes comes off that. The cards of this machine are asked by `core.cards`.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.cards import Card

GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True)
class KnownCard:
    """A card by its name in shops and the bytes that can be used on it."""

    name: str
    usable_bytes: int
    source: str
    is_host: bool = False


def _reported(name: str, gibibytes: float, where: str) -> KnownCard:
    return KnownCard(name, int(gibibytes * GIBIBYTE), f"total capacity {gibibytes} GiB as torch prints it ({where})")


KNOWN_CARDS: tuple[KnownCard, ...] = (
    _reported("T4 16 GB", 14.56, "github.com/Zheng-Chong/CatVTON/issues/133"),
    _reported("L4 24 GB", 22.03, "the figure in many public out-of-memory messages from an L4"),
    _reported("RTX 3090 24 GB", 23.70, "github.com/Lightning-AI/lit-llama/issues/137"),
    _reported("RTX 4090 24 GB", 23.61, "github.com/pinokiofactory/flux-webui/issues/11"),
    _reported("A100 40 GB", 39.45, "github.com/LianjiaTech/BELLE/issues/137"),
    _reported("A100 80 GB", 79.25, "github.com/levihsu/OOTDiffusion/issues/235"),
    _reported("H100 80 GB", 79.11, "github.com/vllm-project/vllm/issues/27508"),
)


def here(cards: list[Card]) -> tuple[KnownCard, ...]:
    """The cards of this machine, by what is free on them now."""
    return tuple(_own(one) for one in cards)


def _own(card: Card) -> KnownCard:
    is_host = card.memory_kind == "host"
    source = "free host memory now" if is_host else "free now, by NVML"
    return KnownCard(f"{card.name} (here)", card.free_bytes, source, is_host)
