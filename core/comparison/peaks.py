"""Peaks that can be held against each other: of the same work, and at a length that somebody asks for."""

from __future__ import annotations

from collections.abc import Sequence

from core.comparison.values import Said, VariantResult, VariantState


def alike(variants: Sequence[VariantResult]) -> tuple[VariantResult, ...]:
    """The same with `peak_bytes` taken over the sizes that every measured variant did.

    One that could not read the longest prompt would otherwise look smaller for it.
    """
    done = [one for one in variants if one.state is VariantState.SUCCEEDED and one.prefill]
    contexts = _common([{each.context for each in one.prefill if each.peak_bytes.measured} for one in done])
    batches = _common([{each.batch for each in one.decode if each.peak_bytes.measured} for one in done])
    return tuple(_with_peak(one, contexts, batches) if one in done else one for one in variants)


def _common(sets: Sequence[set[int]]) -> set[int]:
    return set.intersection(*sets) if sets else set()


def _with_peak(one: VariantResult, contexts: set[int], batches: set[int]) -> VariantResult:
    peaks = [one.load_peak_bytes]
    peaks += [each.peak_bytes for each in one.prefill if each.context in contexts]
    peaks += [each.peak_bytes for each in one.decode if each.batch in batches]
    measured = [each.measured for each in peaks if each.measured is not None]
    predicted = [each.predicted for each in peaks if each.predicted is not None]
    return one.model_copy(
        update={"peak_bytes": Said(predicted=max(predicted, default=None), measured=max(measured, default=None))}
    )


def peak_at(variant: VariantResult, context: int | None) -> float | None:
    """Its peak in bytes with prompts of that length; what it was measured with where none is named.

    Between measured lengths on a line; beyond them on a parabola for eager attention, whose scores grow with the
    square, and on a line for all others.
    """
    peak = variant.peak_bytes.measured
    if peak is None or context is None:
        return peak
    points = [(one.context, one.peak_bytes.measured) for one in variant.prefill if one.peak_bytes.measured is not None]
    if not points:
        return peak
    return max(variant.load_peak_bytes.measured or 0.0, _through(sorted(points), context, variant.attention == "eager"))


def _through(points: Sequence[tuple[int, float]], context: int, is_square: bool) -> float:
    if len(points) == 1:
        return points[0][1]
    if is_square and len(points) > 2 and context > points[-1][0]:
        return _lagrange(points[-3:], context)
    after = next((n for n, (at, _) in enumerate(points) if at >= context), len(points) - 1)
    return _lagrange(points[max(after, 1) - 1 : max(after, 1) + 1], context)


def _lagrange(points: Sequence[tuple[int, float]], at: int) -> float:
    total = 0.0
    for n, (x, y) in enumerate(points):
        for m, (other, _) in enumerate(points):
            y *= (at - other) / (x - other) if m != n else 1.0
        total += y
    return total
