"""What a comparison says in plain words, the most telling first. Figures are those of `core.comparison.judge`."""

from __future__ import annotations

from collections.abc import Iterator

from core.comparison.judge import Loss, contains, find, loss_of, measured
from core.comparison.values import Comparison, Interval, VariantResult, VariantState
from core.memory.formula import size

NOTICED = 0.03
"""Of a speed: what is less is called equal."""
WIDE = 1.3
"""An interval around 1 with ends so far apart says nothing."""


def headlines(comparison: Comparison) -> tuple[str, ...]:
    """One sentence for each variant beside the reference; the one that saves most without a poor loss comes first."""
    reference = find(comparison, comparison.reference)
    if reference is None or reference.state is not VariantState.SUCCEEDED:
        return tuple(_without_reference(comparison))
    others = [one for one in measured(comparison) if one.name != reference.name]
    if not others:
        return tuple(_alone(comparison, reference))
    others.sort(key=lambda one: (loss_of(one, comparison) is Loss.POOR, _memory(one) or float("inf")))
    return (*(_beside(one, reference, comparison) for one in others), *_missing(comparison))


def _beside(one: VariantResult, reference: VariantResult, comparison: Comparison) -> str:
    if _is_alike(one, reference, comparison):
        return f"{one.name} and {reference.name}: no difference beyond noise."
    facts = [*_of_memory(one, reference), *_of_speed(one), *_of_quality(one, comparison)]
    said = f"{', '.join(facts[:-1])}, and {facts[-1]}" if len(facts) > 1 else "".join(facts)
    advice = _when(one, reference, comparison)
    return f"{one.name} {said}{f': {advice}' if advice else ''}."


def _is_alike(one: VariantResult, reference: VariantResult, comparison: Comparison) -> bool:
    own, others = one.weights_bytes.measured, reference.weights_bytes.measured
    if loss_of(one, comparison) is not Loss.NONE or own is None or others is None or abs(own / others - 1) > 0.01:
        return False
    return one.speed_ratio is None or _is_as_fast(one.speed_ratio)


def _is_as_fast(ratio: Interval) -> bool:
    """Within the spread, or by less than anybody would notice: one interval of twenty misses what is equal."""
    return contains(ratio, 1.0) or abs(ratio.value - 1) < NOTICED


def _of_memory(one: VariantResult, reference: VariantResult) -> Iterator[str]:
    own, others = _memory(one), _memory(reference)
    if own and others:
        yield f"takes {100 * own / others:.0f} % of {reference.name}'s memory ({size(own)} against {size(others)})"


def _of_speed(one: VariantResult) -> Iterator[str]:
    ratio = one.speed_ratio
    if ratio is None:
        return
    if contains(ratio, 1.0) and ratio.high > WIDE * ratio.low:
        yield "varied too much to tell its speed"
    elif _is_as_fast(ratio):
        yield "runs as fast within the spread"
    elif ratio.value < 1:
        yield f"runs at {ratio.value:.2f} of its speed"
    else:
        yield f"runs {ratio.value:.2f} times as fast"


def _of_quality(one: VariantResult, comparison: Comparison) -> Iterator[str]:
    quality, loss = one.quality, loss_of(one, comparison)
    ratio = quality.perplexity_ratio if quality else None
    if loss is Loss.NONE:
        yield "loses no quality beyond noise"
    elif ratio is None:
        yield "was not held against the reference's quality"
    elif loss is Loss.OTHER:
        yield f"has {_percent(ratio)} {'more' if ratio.value > 1 else 'less'} perplexity on this text"
    elif contains(ratio, 1.0):
        yield f"costs no perplexity beyond noise, while {_agreement(one)}"
    elif ratio.value > 1:
        yield f"costs {_percent(ratio)} perplexity"
    else:
        yield f"has {_percent(ratio)} less perplexity, while {_agreement(one)}"


def _agreement(one: VariantResult) -> str:
    share = 1 - (one.top1_agreement or 0.0)
    return f"{100 * share:.2g} % of its likeliest tokens are others"


def _percent(ratio: Interval) -> str:
    return f"{100 * abs(ratio.value - 1):.2g} %"


def _when(one: VariantResult, reference: VariantResult, comparison: Comparison) -> str:
    own, others, ratio, loss = _memory(one), _memory(reference), one.speed_ratio, loss_of(one, comparison)
    if own is None or others is None or loss is Loss.UNKNOWN:
        return ""
    if loss is Loss.OTHER:
        return _when_taught(one)
    saves = own < (1 - NOTICED) * others
    is_slower = ratio is not None and ratio.high < 1 and not _is_as_fast(ratio)
    is_faster = ratio is not None and ratio.low > 1 and not _is_as_fast(ratio)
    if loss is Loss.POOR:
        return "take it only where nothing else fits" if saves else "nothing speaks for it here"
    if saves and is_slower:
        return "it saves memory and costs speed, so take it when memory is what is missing"
    if saves:
        return "take it" if loss in (Loss.NONE, Loss.TINY) else "take it where that loss does not matter"
    return "take it for its speed" if is_faster else "nothing speaks for it here"


def _when_taught(one: VariantResult) -> str:
    ratio = one.quality.perplexity_ratio if one.quality else None
    if ratio is None or contains(ratio, 1.0):
        return "on this text it is no better and no worse"
    return "take it for texts like this one" if ratio.value < 1 else "this is not the text that it was taught for"


def _memory(one: VariantResult) -> float | None:
    return one.peak_bytes.measured


def _alone(comparison: Comparison, reference: VariantResult) -> Iterator[str]:
    peak = _memory(reference)
    takes = f" takes {size(peak)} at its peak" if peak else " was measured"
    yield f"{reference.name}{takes}; there is nothing to hold it against."
    yield from _missing(comparison)


def _without_reference(comparison: Comparison) -> Iterator[str]:
    done = measured(comparison)
    if not done:
        yield "No variant was measured."
    elif comparison.reference:
        yield f"The reference {comparison.reference} was not measured: memory and speed stand, quality is not compared."
    yield from _missing(comparison)


def _missing(comparison: Comparison) -> Iterator[str]:
    for one in comparison.variants:
        if one.state is VariantState.SKIPPED:
            yield f"{one.name} was left out: {one.reason}."
        elif one.state is VariantState.FAILED:
            yield f"{one.name} failed: {one.trouble.message if one.trouble else one.reason}"
        elif one.state is VariantState.CANCELLED:
            yield f"{one.name} was not measured: the job was stopped."
