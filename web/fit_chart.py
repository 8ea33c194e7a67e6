"""The picture of “Will it fit?”: a bar for every precision, the rule of thumb beside each, the cards as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from core.memory import Estimate, Part, Precision
from core.memory.cards import KnownCard
from core.memory.weights import rule_of_thumb
from web.charts import Bars, Chart, Line, bars

WEIGHTS, LEFT, STATE, CACHE, PASSING, TRAINED, LOADING = (
    "weights",
    "weights left in 16 bit",
    "quantization state",
    "KV cache",
    "activations and logits",
    "adapter, gradients, optimizer",
    "more while loading",
)
THUMB = "rule of thumb for the weights"
TONES = {WEIGHTS: 0, LEFT: 1, STATE: 2, CACHE: 3, PASSING: 4, TRAINED: 5, LOADING: 6}
NAMES = {
    "KV cache": CACHE,
    "prompt beyond the windows": CACHE,
    "quantization state": STATE,
    "adapter": TRAINED,
    "gradients": TRAINED,
    "optimizer": TRAINED,
}
SAME, NEAR, LEVELS = 0.02, 0.13, 3  # of the axis: lines that are one, labels that would touch, rows of labels


def group(part: Part) -> str:
    """The colour that a part is drawn in."""
    if part.name == "weights" or part.name.startswith("weights in "):
        return WEIGHTS
    return NAMES.get(part.name) or (LEFT if part.name.endswith((" in bfloat16", " in float16")) else PASSING)


def chart(estimates: Mapping[Precision, Estimate], cards: Iterable[KnownCard], description: str) -> Chart:
    """Every precision against the cards."""
    most = max(one.needed_bytes for one in estimates.values())
    factor, unit = (1e9, "GB") if most >= 1e9 else (1e6, "MB")
    parts = [Bars(name, _sizes(estimates, name, factor), tone) for name, tone in TONES.items()]
    thumbs = [rule_of_thumb(one.model.table, precision).n_bytes / factor for precision, one in estimates.items()]
    drawn = [one for one in parts if any(one.values)]
    beside = Bars(THUMB, thumbs, TONES[LOADING], is_beside=True)
    return bars([str(one) for one in estimates], [*drawn, beside], lines(cards, most, factor), unit, description)


def _sizes(estimates: Mapping[Precision, Estimate], name: str, factor: float) -> list[float]:
    return [_size(one, name) / factor for one in estimates.values()]


def _size(one: Estimate, name: str) -> int:
    if name == LOADING:
        return one.needed_bytes - one.total_bytes
    return sum(part.n_bytes for part in one.parts if group(part) == name)


def lines(cards: Iterable[KnownCard], most: int, factor: float) -> list[Line]:
    """The cards that the bars can be compared with: up to the first that holds the largest, unless that is far off."""
    ordered = sorted(cards, key=lambda card: card.usable_bytes)
    beyond = next((card.usable_bytes for card in ordered if card.usable_bytes >= most), most)
    edge = beyond if beyond <= 4 * most else most
    found: list[Line] = []
    for near in _together([card for card in ordered if card.usable_bytes <= edge], SAME * edge):
        at = near[0].usable_bytes
        is_close = found and at - found[-1].at * factor < NEAR * edge
        found.append(Line(_label(near), at / factor, (found[-1].level + 1) % LEVELS if is_close else 0))
    return found


def _together(ordered: Sequence[KnownCard], gap: float) -> list[list[KnownCard]]:
    groups: list[list[KnownCard]] = []
    for card in ordered:
        if groups and card.usable_bytes - groups[-1][0].usable_bytes < gap:
            groups[-1].append(card)
        else:
            groups.append([card])
    return groups


def _label(cards: Sequence[KnownCard]) -> str:
    return " / ".join(card.name.removesuffix(" GB") for card in cards[:3])
