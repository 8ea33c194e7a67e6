"""The pictures of a comparison: memory, speed and quality at once, memory and time by length, errors of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.comparison.judge import find, kl_of, measured, pareto
from core.comparison.values import Comparison, LayerError, Prefill, VariantResult
from web.charts import Axis, Chart, Curve, Dot, Dots, curves, heat, scatter
from web.format import written

MOST_TONES = 7
OUTSIDE = "outside"
Point = tuple[float | None, ...]


@dataclass(frozen=True)
class Picture:
    """A chart with its title and what it says in a sentence."""

    title: str
    chart: Chart
    note: str = ""
    height: int = 300


def pictures(comparison: Comparison) -> list[Picture]:
    """Those that there are figures for."""
    made = (trade(comparison), memory(comparison), latency(comparison), speed(comparison))
    return [one for one in made if one]


def trade(comparison: Comparison) -> Picture | None:
    """Memory against quality, the faster the larger; those that no other beats are filled."""
    there = [one for one in measured(comparison) if one.peak_bytes.measured is not None]
    if len(there) < 2:
        return None
    factor, unit = _scale(one.peak_bytes.measured or 0 for one in there)
    has_quality = sum(kl_of(one, comparison) is not None for one in there) > 1
    shown = [dot for one in there if (dot := _dot(one, comparison, factor, has_quality))]
    best = pareto(comparison) if has_quality else frozenset()
    front = Dots("no other is as good in all three", [one for one in shown if one.name in best], 0)
    rest = Dots("another is as good in all three", [one for one in shown if one.name not in best], 2, is_hollow=True)
    loss = Axis(f"KL to {comparison.reference}", "nats a token") if has_quality else Axis("Speed", "tok/s")
    said = "; ".join(f"{one.name}: {one.x:.3g} {unit}, {one.y:.3g} {loss.unit}" for one in shown)
    groups = [one for one in (front, rest) if one.dots] if best else [Dots("variants", shown, 0)]
    size = Axis("Speed", "tok/s") if has_quality else None
    note = "Left and low is better; the larger the dot, the faster." if has_quality else "Left and high is better."
    title = "Memory, speed and quality" if has_quality else "Memory and speed"
    return Picture(title, scatter(groups, Axis("Peak memory", unit), loss, f"{title}. {said}.", size), note)


def memory(comparison: Comparison) -> Picture | None:
    """Peak memory by the length of a prompt: what attention takes over the weights, else all that a variant takes."""
    reference = find(comparison, comparison.reference)
    weights = (reference.weights_bytes.measured if reference else None) or 0.0
    by_attention = {one.attention: _points(one.points, weights) for one in comparison.curves}
    by_variant = {one.name: _points(one.prefill, 0.0) for one in measured(comparison) if one.prefill}
    lines = by_attention or by_variant
    values = [value for points in lines.values() for point in points for value in point[1:] if value is not None]
    if not values:
        return None
    factor, unit = _scale(values)
    drawn = [curve for n, (name, each) in enumerate(lines.items()) for curve in _memory_curves(name, each, n, factor)]
    over = " over the weights" if by_attention and weights else ""
    what = f"{comparison.reference} by attention" if by_attention else "Each variant"
    title = f"Memory{over} while reading a prompt"
    chart = curves(drawn, Axis("Prompt", "tokens"), Axis(f"Peak{over}", unit), f"{title}: {what}.")
    return Picture(title, chart, f"{what}; dashed: predicted.")


def latency(comparison: Comparison) -> Picture | None:
    """Time to the first token by the length of the prompt."""
    found = {
        one.name: [
            (each.context, each.time_to_first_token_s.value) for each in one.prefill if each.time_to_first_token_s
        ]
        for one in measured(comparison)
    }
    drawn = _by_variant(found, 1e3)
    if not drawn:
        return None
    title = "First token by length of the prompt"
    return Picture(title, curves(drawn, Axis("Prompt", "tokens"), Axis("First token", "ms"), f"{title}, by variant."))


def speed(comparison: Comparison) -> Picture | None:
    """Tokens a second of all rows by the size of the batch."""
    found = {
        one.name: [(each.batch, each.tokens_per_s.value) for each in one.decode if each.tokens_per_s]
        for one in measured(comparison)
    }
    if max((len(points) for points in found.values()), default=0) < 2:
        return None
    title = "Speed by size of the batch"
    shown = curves(
        _by_variant(found, 1), Axis("Batch", "rows"), Axis("Speed of all rows", "tok/s"), f"{title}, by variant."
    )
    return Picture(title, shown)


@dataclass(frozen=True)
class Layers:
    """The errors of one variant's weights, or the columns that it kept apart."""

    name: str
    picture: Picture


def layer_maps(comparison: Comparison) -> list[Layers]:
    """A map for each quantized variant, each on a scale of its own: int8 would look like nothing beside nf4."""
    there = [one for one in measured(comparison) if one.layers]
    return [layers for one in there for layers in _maps(one)]


def _maps(one: VariantResult) -> Iterator[Layers]:
    worst = max(one.layers, key=lambda each: each.relative)
    where = f"layer {worst.layer}" if worst.layer is not None else "outside of the layers"
    note = f"Largest: {worst.module}, {where}, {100 * worst.relative:.3g} % of its weights' norm."
    shown = Axis("Relative error", "%")
    yield Layers(one.name, _map(f"Error of {one.name}'s weights", one, lambda each: 100 * each.relative, shown, note))
    if any(each.outlier_columns for each in one.layers):
        kept = sum(each.outlier_columns or 0 for each in one.layers)
        note = f"{kept:,} of {sum(each.columns for each in one.layers):,} input columns were multiplied in 16 bit."
        shown = Axis("Columns in 16 bit")
        yield Layers(f"{one.name}: outliers", _map(f"Outlier columns of {one.name}", one, _outliers, shown, note))


def _map(
    title: str,
    one: VariantResult,
    of: Callable[[LayerError], float | None],
    shown: Axis,
    note: str,
) -> Picture:
    modules = list(dict.fromkeys(each.module for each in one.layers))
    numbers = sorted({each.layer for each in one.layers if each.layer is not None})
    has_outside = any(each.layer is None for each in one.layers)
    columns: list[int | None] = [*numbers, *([None] if has_outside else [])]
    values = {(each.module, each.layer): of(each) for each in one.layers}
    chart = heat(
        modules,
        [OUTSIDE if number is None else str(number) for number in columns],
        [[values.get((module, number)) for number in columns] for module in modules],
        Axis("layer"),
        shown,
        f"{title}, by layer and kind of module. {note}",
        least=min((value for value in values.values() if value is not None), default=0.0),
    )
    return Picture(title, chart, note, 110 + 22 * len(modules))


def _outliers(each: LayerError) -> float | None:
    return each.outlier_columns


def _dot(one: VariantResult, comparison: Comparison, factor: float, has_quality: bool) -> Dot | None:
    peak, kl = (one.peak_bytes.measured or 0) / factor, kl_of(one, comparison)
    if has_quality:
        return None if kl is None else Dot(one.name, peak, kl, one.tokens_per_s)
    return None if one.tokens_per_s is None else Dot(one.name, peak, one.tokens_per_s)


def _points(points: Sequence[Prefill], less: float) -> list[Point]:
    """(length, measured, predicted) of each, in bytes."""
    told = [(each.context, each.peak_bytes.measured, each.peak_bytes.predicted) for each in points]
    return [(at, *(None if value is None else value - less for value in values)) for at, *values in told]


def _memory_curves(name: str, points: Sequence[Point], n: int, factor: float) -> Iterator[Curve]:
    for word, at, is_dashed in (("measured", 1, False), ("predicted", 2, True)):
        drawn = [(float(point[0] or 0), value / factor) for point in points if (value := point[at]) is not None]
        if drawn:
            yield Curve(f"{name}, {word}", drawn, _tone(n), is_dashed)


def _by_variant(found: dict[str, list[tuple[int, float]]], factor: float) -> list[Curve]:
    return [
        Curve(name, [(at, value * factor) for at, value in points], _tone(n))
        for n, (name, points) in enumerate(found.items())
        if points
    ]


def _tone(n: int) -> int:
    """Tones that lie next to each other in the palette are alike: every second one first."""
    order = (0, 2, 3, 4, 5, 1, 6)
    return order[n % MOST_TONES]


def _scale(values: Iterable[float]) -> tuple[float, str]:
    unit = written(max(values), "bytes").rpartition(" ")[2]
    return {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}.get(unit, 1.0), unit
