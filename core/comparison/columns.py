"""The figures of a variant as columns: each written, with what stands below it and what may well be true instead.

The page, the report and the command line show these. Best is only what is better beyond its interval: where intervals
overlap, all of them are marked or none is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import TypeVar

from core.comparison.judge import measured
from core.comparison.values import Comparison, Interval, Said, VariantResult
from core.format import change, percent, significant, small, written

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Figure:
    """A figure as it is shown; `note` stands below it, `low` and `high` say what may well be true instead."""

    text: str
    value: float
    note: str = ""
    low: float | None = None
    high: float | None = None
    is_predicted: bool = False
    predicted: float | None = None


@dataclass(frozen=True)
class Column:
    """One figure of every variant. `is_less_better` None: no best; `is_exact`: counted, or the same each time."""

    name: str
    title: str
    help: str
    of: Callable[[VariantResult, Comparison], Figure | None]
    is_less_better: bool | None
    is_exact: bool = True


def row_of(one: VariantResult, comparison: Comparison, columns: Sequence[Column]) -> tuple[Figure | None, ...]:
    """The figures of a variant."""
    return tuple(column.of(one, comparison) for column in columns)


def best_of(column: Column, comparison: Comparison) -> frozenset[str]:
    """The names of the variants that are best in a column."""
    return best({one.name: column.of(one, comparison) for one in measured(comparison)}, column.is_less_better)


def sentence_of(one: VariantResult) -> str:
    """Why it was not measured, or what of it was not."""
    if one.trouble:
        return f"{one.trouble.message} {one.trouble.hint}".strip()
    return one.reason


def without_quality(comparison: Comparison) -> dict[str, list[str]]:
    """Why quality was not measured, and of which variants: said once for all that share a reason."""
    found: dict[str, list[str]] = {}
    for one in comparison.variants:
        if one.quality_why_not:
            found.setdefault(one.quality_why_not, []).append(one.name)
    return found


def best(figures: Mapping[K, Figure | None], is_less_better: bool | None) -> frozenset[K]:
    """Which of several figures are best; none where nothing is better, or where all are alike."""
    if is_less_better is None:
        return frozenset()
    sign = 1.0 if is_less_better else -1.0
    found = {name: figure for name, figure in figures.items() if figure and not figure.is_predicted}
    if len(found) < 2:
        return frozenset()
    best = min(found.values(), key=lambda figure: sign * figure.value)
    edge = best.high if is_less_better else best.low
    edge = best.value if edge is None else edge
    named = frozenset(name for name, one in found.items() if one.text == best.text or _reaches(one, edge, sign))
    return named if len(named) < len(found) else frozenset()


def _reaches(one: Figure, edge: float, sign: float) -> bool:
    near = one.low if sign > 0 else one.high
    return near is not None and sign * near <= sign * edge


def _of_bytes(said: Said) -> Figure | None:
    if said.measured is not None:
        note = f"pred. {written(said.predicted, 'bytes')}" if said.predicted is not None else ""
        return Figure(written(said.measured, "bytes"), said.measured, note, predicted=said.predicted)
    if said.predicted is not None:
        return Figure(written(said.predicted, "bytes"), said.predicted, "predicted", is_predicted=True)
    return None


def _load(one: VariantResult, _: Comparison) -> Figure | None:
    return None if one.load_s is None else Figure(written(one.load_s, "s"), one.load_s)


def _first_token(one: VariantResult, _: Comparison) -> Figure | None:
    if one.time_to_first_token_s is None:
        return None
    times = [each.time_to_first_token_s for each in one.prefill if each.time_to_first_token_s]
    spread = next((each.spread for each in times if each.value == one.time_to_first_token_s and each.n > 1), None)
    value = one.time_to_first_token_s
    note = f"± {written(spread, 's')}" if spread is not None else ""
    low, high = (value - spread, value + spread) if spread is not None else (None, None)
    return Figure(written(value, "s"), value, note, low, high)


def _speed(one: VariantResult, comparison: Comparison) -> Figure | None:
    value = one.tokens_per_s
    if value is None:
        return None
    speeds = [each.tokens_per_s for each in one.decode if each.tokens_per_s]
    spread = next((each.spread for each in speeds if each.value == value and each.n > 1), None)
    notes = [f"± {significant(spread, 2)}"] if spread else []
    if one.speed_ratio and one.name != comparison.reference:
        notes.append(f"{significant(one.speed_ratio.value, 2)} ×")
    low, high = (value - spread, value + spread) if spread else (None, None)
    return Figure(written(value, "tokens/s"), value, ", ".join(notes), low, high)


def _roofline(one: VariantResult, _: Comparison) -> Figure | None:
    most = one.roofline_tokens_per_s
    if not most:
        return None
    note = f"reaches {100 * one.tokens_per_s / most:.0f} %" if one.tokens_per_s else ""
    return Figure(written(most, "tokens/s"), most, note)


def _perplexity(one: VariantResult, _: Comparison) -> Figure | None:
    return _interval(one.perplexity, lambda value: significant(value, 4))


def _ratio(one: VariantResult, comparison: Comparison) -> Figure | None:
    if one.quality is None or one.name == comparison.reference:
        return None
    return _interval(one.quality.perplexity_ratio, change)


def _bits(one: VariantResult, _: Comparison) -> Figure | None:
    """Its interval is that of perplexity, whose logarithm it is, over the bytes of a token."""
    if one.quality is None:
        return None
    bits, told = one.quality.bits_per_byte, one.quality.perplexity
    if min(told.low, told.value) <= 1:
        return Figure(significant(bits, 4), bits)
    low, high = (bits * log(end) / log(told.value) for end in (told.low, told.high))
    return Figure(significant(bits, 4), bits, low=low, high=high)


def _kl(one: VariantResult, comparison: Comparison) -> Figure | None:
    if one.kl_mean is None or one.name == comparison.reference:
        return None
    kl = one.quality.kl if one.quality else None
    note = f"99 %: {small(kl.p99)}" if kl else ""
    return Figure(small(one.kl_mean), one.kl_mean, note, kl.low if kl else None, kl.high if kl else None)


def _top1(one: VariantResult, comparison: Comparison) -> Figure | None:
    share = one.quality.top1 if one.quality else None
    if share is None or one.name == comparison.reference:
        return None
    return _interval(share, percent)


def _interval(one: Interval | None, shown: Callable[[float], str]) -> Figure | None:
    if one is None:
        return None
    return Figure(
        shown(one.value), one.value, f"{shown(one.low).removesuffix(' %')} to {shown(one.high)}", one.low, one.high
    )


COLUMNS = (
    Column(
        "weights_bytes",
        "Weights",
        "Counted in memory, tensor by tensor; below as predicted",
        lambda one, _: _of_bytes(one.weights_bytes),
        True,
    ),
    Column(
        "peak_bytes",
        "Peak",
        "The largest of its peaks: load, prompts, answers; below as predicted",
        lambda one, _: _of_bytes(one.peak_bytes),
        True,
        is_exact=False,
    ),
    Column("load_s", "Load", "From the first byte until the weights were in place", _load, True, is_exact=False),
    Column(
        "time_to_first_token_s",
        "First token",
        "Reading a prompt of the shortest length, mean and standard deviation",
        _first_token,
        True,
        is_exact=False,
    ),
    Column(
        "tokens_per_s",
        "Speed",
        "Tokens a second at the smallest batch; × is its ratio to the reference",
        _speed,
        False,
        is_exact=False,
    ),
    Column(
        "roofline_tokens_per_s",
        "Roofline",
        "Copy bandwidth over the bytes that a token reads: one row is never faster",
        _roofline,
        None,
        is_exact=False,
    ),
    Column("perplexity", "Perplexity", "On the evaluation text, with its 95 % interval", _perplexity, True),
    Column(
        "perplexity_ratio",
        "Against ref.",
        "Perplexity against the reference's, paired by token, with its 95 % interval",
        _ratio,
        True,
    ),
    Column("bits_per_byte", "Bits a byte", "Bits to write a byte of the text: compares across tokenizers", _bits, True),
    Column("kl_mean", "KL", "Mean divergence from the reference, nats a token; 99 % of tokens lie below", _kl, True),
    Column("top1_agreement", "Same token", "Tokens for which both hold the same one for the likeliest", _top1, False),
)
