"""What follows from the figures of a comparison: which differences are real, which variant to take on a card.

The rule of a recommendation is shown with it. Nothing here measures or loads anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from core.comparison.peaks import peak_at
from core.comparison.values import Comparison, Interval, Recommendation, VariantResult, VariantState
from core.memory.formula import size
from core.precision import Precision


class Goal(StrEnum):
    """What matters to whoever asks for a recommendation."""

    QUALITY = "quality"
    MEMORY = "memory"
    SPEED = "speed"


class Loss(StrEnum):
    """How much quality a variant loses against the reference, in bands of KL divergence and equal top-1 tokens."""

    NONE = "no difference beyond noise"
    TINY = "indistinguishable"
    SMALL = "small"
    VISIBLE = "visible"
    POOR = "poor"
    OTHER = "another model"
    UNKNOWN = "unknown"


BANDS = ((Loss.TINY, 0.01, 0.97), (Loss.SMALL, 0.05, 0.93), (Loss.VISIBLE, 0.15, 0.0))
"""(loss, mean KL in nats a token below, share of equal top-1 tokens above)."""
MARGIN = 1.03  # how far a peak may lie above what was measured once
NOISE_MARGIN = 1.1
RULES = {
    Goal.QUALITY: "Of the variants whose peak fits with 3 % to spare, the one with the least mean KL; among those "
    "whose intervals overlap with it, the one with the fewest bytes.",
    Goal.MEMORY: "Of the variants whose peak fits with 3 % to spare and whose loss is not poor, the one with the "
    "fewest bytes.",
    Goal.SPEED: "Of the variants whose peak fits with 3 % to spare and whose loss is not poor, the fastest at the "
    "smallest batch; among those whose intervals overlap with it, the one with the least mean KL.",
}
RULE_OF_OTHERS = (
    "Of the variants whose peak fits with 3 % to spare, the one with the least perplexity on the text; among those "
    "whose intervals, paired with the reference, overlap with it, the one with the fewest bytes."
)


def find(comparison: Comparison, name: str) -> VariantResult | None:
    """The variant of that name."""
    return next((one for one in comparison.variants if one.name == name), None)


def measured(comparison: Comparison) -> list[VariantResult]:
    """The variants that were measured."""
    return [one for one in comparison.variants if one.state is VariantState.SUCCEEDED]


def ended(variants: Iterable[VariantResult]) -> tuple[VariantResult, ...]:
    """Variants of a job that is over: what was under way, or waited, was cancelled with it."""
    cancelled = {"state": VariantState.CANCELLED}
    return tuple(one if one.state.is_finished else one.model_copy(update=cancelled) for one in variants)


def loss_of(variant: VariantResult, comparison: Comparison) -> Loss:
    """How much quality it loses; the reference loses none. What lies within the noise floor is no difference.

    A model that was taught something, by an adapter or a merge, is meant to say other things: distance is no loss.
    """
    if variant.name == comparison.reference:
        return Loss.NONE
    if variant.quality is None or variant.quality.kl is None or variant.quality.top1 is None:
        return Loss.UNKNOWN
    if is_another_model(variant, comparison):
        return Loss.OTHER
    if _is_noise(variant, comparison):
        return Loss.NONE
    kl, top1 = variant.quality.kl.mean, variant.quality.top1.value
    return next((loss for loss, most, least in BANDS if kl < most and top1 > least), Loss.POOR)


def _is_noise(variant: VariantResult, comparison: Comparison) -> bool:
    quality, noise = variant.quality, comparison.noise
    if noise is None or quality is None or quality.kl is None or quality.perplexity_ratio is None:
        return False
    is_equal = _overlap(quality.perplexity_ratio, noise.perplexity_ratio) or contains(quality.perplexity_ratio, 1.0)
    return is_equal and quality.kl.low <= NOISE_MARGIN * noise.kl_mean


def contains(interval: Interval, value: float) -> bool:
    """Whether a value lies within an interval."""
    return interval.low <= value <= interval.high


def _overlap(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high


def is_another_model(variant: VariantResult, comparison: Comparison) -> bool:
    """Whether it has other weights than the reference beside how they are kept: an adapter, another model."""
    reference = find(comparison, comparison.reference)
    if reference is None or not reference.model or not variant.model:
        return False
    return (variant.model, variant.adapter) != (reference.model, reference.adapter)


def kl_of(variant: VariantResult, comparison: Comparison) -> float | None:
    """Its mean KL from the reference, whose own is 0."""
    return 0.0 if variant.name == comparison.reference else variant.kl_mean


def shrinks(variant: VariantResult, comparison: Comparison) -> bool:
    """Whether quantizing it makes its weights smaller than the reference's; others need not be."""
    reference = find(comparison, comparison.reference)
    is_packed = variant.precision in [str(one) for one in Precision if one.is_quantized]
    if reference is None or variant.name == reference.name or not is_packed:
        return True
    own, others = variant.weights_bytes.measured, reference.weights_bytes.measured
    return own is None or others is None or own < others


def recommend(
    comparison: Comparison, usable_bytes: int, context: int | None = None, goal: Goal = Goal.QUALITY
) -> Recommendation | None:
    """The variant to take on a card with so many usable bytes; None where none fits."""
    fits = [
        one
        for one in measured(comparison)
        if (peak := peak_at(one, context)) is not None and peak * MARGIN <= usable_bytes
    ]
    candidates = [one for one in fits if kl_of(one, comparison) is not None and shrinks(one, comparison)] or fits
    if not candidates:
        return None
    chosen = _CHOOSE[goal](candidates, comparison)
    margin = int(usable_bytes - (peak_at(chosen, context) or 0))
    is_mixed = goal is Goal.QUALITY and any(is_another_model(one, comparison) for one in candidates)
    rule = RULE_OF_OTHERS if is_mixed else RULES[goal]
    return Recommendation(
        variant=chosen.name, margin_bytes=margin, sentence=_sentence(chosen, comparison, margin), rule=rule
    )


def _best_quality(candidates: Sequence[VariantResult], comparison: Comparison) -> VariantResult:
    if any(is_another_model(one, comparison) for one in candidates):
        return _least_perplexity(candidates)
    best = min(candidates, key=lambda one: _kl_or_most(one, comparison))
    within = [one for one in candidates if _kl_low(one, comparison) <= _kl_high(best, comparison)]
    return min(within or candidates, key=_bytes)  # without a reference nothing is known to be worse


def _least_perplexity(candidates: Sequence[VariantResult]) -> VariantResult:
    known = [one for one in candidates if one.perplexity]
    if not known:
        return min(candidates, key=_bytes)
    best = min(known, key=lambda one: one.perplexity.value if one.perplexity else 0.0)
    return min((one for one in known if _paired_high(best) >= _paired_low(one)), key=_bytes)


def _paired_low(one: VariantResult) -> float:
    ratio = one.quality.perplexity_ratio if one.quality else None
    return ratio.low if ratio else 1.0


def _paired_high(one: VariantResult) -> float:
    ratio = one.quality.perplexity_ratio if one.quality else None
    return ratio.high if ratio else 1.0


def _least_memory(candidates: Sequence[VariantResult], comparison: Comparison) -> VariantResult:
    return min(_not_poor(candidates, comparison), key=_bytes)


def _fastest(candidates: Sequence[VariantResult], comparison: Comparison) -> VariantResult:
    good = [one for one in _not_poor(candidates, comparison) if one.tokens_per_s] or list(candidates)
    best = max(good, key=lambda one: one.tokens_per_s or 0.0)
    within = [one for one in good if _is_as_fast(one, best)]
    return min(within, key=lambda one: _kl_or_most(one, comparison))


_CHOOSE: dict[Goal, Callable[[Sequence[VariantResult], Comparison], VariantResult]] = {
    Goal.QUALITY: _best_quality,
    Goal.MEMORY: _least_memory,
    Goal.SPEED: _fastest,
}


def _not_poor(candidates: Sequence[VariantResult], comparison: Comparison) -> Sequence[VariantResult]:
    return [one for one in candidates if loss_of(one, comparison) is not Loss.POOR] or candidates


def _is_as_fast(one: VariantResult, best: VariantResult) -> bool:
    if one.speed_ratio is None or best.speed_ratio is None:
        return one.name == best.name
    return one.speed_ratio.high >= best.speed_ratio.low


def _bytes(one: VariantResult) -> float:
    return one.peak_bytes.measured or float("inf")


def _kl_or_most(one: VariantResult, comparison: Comparison) -> float:
    kl = kl_of(one, comparison)
    return float("inf") if kl is None else kl


def _kl_low(one: VariantResult, comparison: Comparison) -> float:
    if loss_of(one, comparison) is Loss.NONE:
        return 0.0
    kl = one.quality.kl if one.quality else None
    return kl.low if kl else _kl_or_most(one, comparison)


def _kl_high(one: VariantResult, comparison: Comparison) -> float:
    floor = comparison.noise.kl_mean if comparison.noise else 0.0
    kl = one.quality.kl if one.quality else None
    return floor if one.name == comparison.reference or kl is None else max(kl.high, floor)


def _sentence(chosen: VariantResult, comparison: Comparison, margin: int) -> str:
    loss = loss_of(chosen, comparison)
    lost = {
        Loss.NONE: "loses nothing beyond noise",
        Loss.TINY: "cannot be told from the reference",
        Loss.UNKNOWN: "was not held against a reference",
        Loss.OTHER: "predicts the text as its perplexity says",
    }.get(loss, f"loses {'visibly' if loss is Loss.VISIBLE else 'little' if loss is Loss.SMALL else 'much'}")
    if chosen.name == comparison.reference:
        lost = "is the reference itself"
    return f"Take {chosen.name}: it leaves {size(margin)} free and {lost}."


def pareto(comparison: Comparison) -> frozenset[str]:
    """The names of the variants that no other beats or equals in memory, speed and quality together."""
    points = {
        one.name: (_bytes(one), -one.tokens_per_s, kl)
        for one in measured(comparison)
        if one.tokens_per_s is not None and (kl := kl_of(one, comparison)) is not None
    }
    return frozenset(
        name
        for name, point in points.items()
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points.values()
        )
    )
