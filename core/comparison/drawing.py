"""Pictures of a comparison as coordinates: what a report draws as SVG, without a script. Nothing here writes markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from core.comparison.judge import kl_of, measured, pareto
from core.comparison.values import Comparison, Prefill, Said, VariantResult
from core.format import significant, written

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 44
NAMES = 124  # room for names at the ends of curves
LETTER, LINE = 6.6, 15  # of a label
LEAST_RADIUS, MOST_RADIUS = 4.5, 13.0
MOST_TICKS = 6
UNITS = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Label:
    """A word in the picture; `anchor` as SVG has it."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Dot:
    """A variant; hollow where another is as good in everything."""

    x: float
    y: float
    radius: float
    is_hollow: bool
    title: str
    label: Label


@dataclass(frozen=True)
class Curve:
    """Joined points, dashed where they were predicted; `path` as SVG has it."""

    path: str
    tone: int
    is_dashed: bool
    points: tuple[tuple[float, float, str], ...]
    label: Label | None


@dataclass(frozen=True)
class Drawing:
    """One picture with its axes. `note` stands below it."""

    title: str
    note: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    right: float
    dots: tuple[Dot, ...] = ()
    curves: tuple[Curve, ...] = ()

    @property
    def said(self) -> str:
        """It in words."""
        dots = "; ".join(dot.title for dot in self.dots)
        ends = "; ".join(curve.points[-1][2] for curve in self.curves if curve.points)
        return f"{self.title}. {dots or ends}."


@dataclass(frozen=True)
class _Scale:
    """From figures to places, and the ticks between."""

    most: float
    step: float
    start: float
    end: float
    least: float = 0.0

    def at(self, value: float) -> float:
        """Where a figure stands."""
        share = (value - self.least) / (self.most - self.least)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> tuple[Tick, ...]:
        """Marks at round figures."""
        n = round((self.most - self.least) / self.step)
        return tuple(
            Tick(self.at(value), f"{value:,.6g}") for value in (self.least + k * self.step for k in range(n + 1))
        )


def drawings(comparison: Comparison) -> tuple[Drawing, ...]:
    """Those that there are figures for."""
    return tuple(one for one in (trade(comparison), memory(comparison)) if one)


def trade(comparison: Comparison) -> Drawing | None:
    """Memory against quality, the faster the larger; filled are those that no other beats in all three."""
    there = [
        (one, one.peak_bytes.measured, kl)
        for one in measured(comparison)
        if one.peak_bytes.measured is not None and (kl := kl_of(one, comparison)) is not None
    ]
    if len(there) < 2:
        return None
    factor, unit = _unit(max(peak for _, peak, _ in there))
    x = _scale([peak / factor for _, peak, _ in there], LEFT, WIDTH - RIGHT)
    y = _scale([kl for _, _, kl in there], HEIGHT - BOTTOM, TOP)
    fastest = max((one.tokens_per_s or 0.0 for one, _, _ in there), default=0.0)
    front = pareto(comparison)
    placed = [
        (one, x.at(peak / factor), y.at(kl), _radius(one, fastest), one.name not in front if front else False)
        for one, peak, kl in there
    ]
    labels = _beside([(at, up, radius, one.name) for one, at, up, radius, _ in placed])
    dots = tuple(
        Dot(at, up, radius, is_hollow, _sentence(one, comparison), label)
        for (one, at, up, radius, is_hollow), label in zip(placed, labels, strict=True)
    )
    note = "Left and low is better; the larger, the faster. Hollow: another variant is as good in all three."
    kl_title = f"KL to {comparison.reference}, nats a token"
    return Drawing(
        "Memory, speed and quality", note, f"Peak memory, {unit}", kl_title, x.ticks(), y.ticks(), WIDTH - RIGHT, dots
    )


def memory(comparison: Comparison) -> Drawing | None:
    """Peak memory by the length of a prompt: by attention where that was measured, else by variant."""
    by_attention = {one.attention: one.points for one in comparison.curves}
    lines: dict[str, tuple[Prefill, ...]] = by_attention or {one.name: one.prefill for one in measured(comparison)}
    values = [
        (name, word, _known(points, word)) for name, points in lines.items() for word in ("measured", "predicted")
    ]
    values = [(name, word, points) for name, word, points in values if points]
    if not any(len(points) > 1 for _, _, points in values):
        return None
    everything = [point for _, _, points in values for point in points]
    factor, unit = _unit(max(peak for _, peak in everything))
    x = _scale([context for context, _ in everything], LEFT, WIDTH - NAMES)
    y = _scale([peak / factor for _, peak in everything], HEIGHT - BOTTOM, TOP, is_from_zero=False)
    tones = {name: n for n, name in enumerate(lines)}
    drawn = [
        (name, word, [(x.at(at), y.at(peak / factor), f"{name}, {word}: {at:,} tokens, {written(peak, 'bytes')}")
                      for at, peak in points])
        for name, word, points in values
    ]  # fmt: skip
    ends = {name: points[-1][:2] for name, word, points in reversed(drawn) if word == "measured" or name not in tones}
    labels = dict(zip(ends, _apart([(*at, name) for name, at in ends.items()]), strict=True))
    curves = tuple(
        Curve(
            "M" + " L".join(f"{at:g} {up:g}" for at, up, _ in points),
            tones[name],
            word == "predicted",
            tuple(points),
            labels.get(name) if word == "measured" else None,
        )
        for name, word, points in drawn
    )
    what = f"Of {comparison.reference} by attention" if by_attention else "By variant"
    note = (
        f"{what}; dashed: predicted. What a context takes is above what the weights take: the axis need not begin at 0."
    )
    return Drawing(
        "Peak memory while reading a prompt",
        note,
        "Prompt, tokens",
        f"Peak memory, {unit}",
        x.ticks(),
        y.ticks(),
        WIDTH - NAMES,
        curves=curves,
    )


def _known(points: Sequence[Prefill], word: str) -> list[tuple[int, float]]:
    found = [(one.context, _of(one.peak_bytes, word)) for one in points]
    return sorted((context, peak) for context, peak in found if peak is not None)


def _of(said: Said, word: str) -> float | None:
    return said.measured if word == "measured" else said.predicted


def _unit(most: float) -> tuple[float, str]:
    unit = written(most, "bytes").rpartition(" ")[2]
    return UNITS.get(unit, 1.0), unit


def _scale(values: Sequence[float], start: float, end: float, *, is_from_zero: bool = True) -> _Scale:
    most, least = max(values), 0.0 if is_from_zero else min(values)
    if not is_from_zero and least < most / 2:
        least = 0.0
    step = _step((most - least) or most or 1.0)
    low = floor(least / step) * step
    high = max(ceil(most / step - 1e-9) * step, low + step)
    return _Scale(high, step, start, end, low)


def _step(span: float) -> float:
    """A round step that takes at most six for the span."""
    power = 10.0 ** floor(log10(span / MOST_TICKS))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * MOST_TICKS >= span * (1 - 1e-9))


def _radius(one: VariantResult, fastest: float) -> float:
    share = (one.tokens_per_s or 0.0) / fastest if fastest else 0.0
    return round(LEAST_RADIUS + (MOST_RADIUS - LEAST_RADIUS) * float(share**0.5), 1)


def _sentence(one: VariantResult, comparison: Comparison) -> str:
    speed = f", {written(one.tokens_per_s, 'tokens/s')}" if one.tokens_per_s else ""
    kl = kl_of(one, comparison) or 0.0
    return f"{one.name}: {written(one.peak_bytes.measured or 0, 'bytes')}{speed}, KL {significant(kl)}"


def _beside(dots: Sequence[tuple[float, float, float, str]]) -> list[Label]:
    """A place for each name beside its dot where no other name or dot stands, as far as there is one."""
    taken: list[tuple[float, ...]] = [(x - radius, y - radius, x + radius, y + radius) for x, y, radius, _ in dots]
    labels = []
    for x, y, radius, name in dots:
        places = list(_places(x, y, radius, name))
        label, box = next(((one, box) for one, box in places if _is_free(box, taken)), places[0])
        taken.append(box)
        labels.append(label)
    return labels


def _places(x: float, y: float, radius: float, name: str) -> Iterator[tuple[Label, tuple[float, ...]]]:
    wide, gap = len(name) * LETTER, radius + 5
    for down in (0, -LINE, LINE, -2 * LINE, 2 * LINE):
        up = y + 4 + down
        yield Label(x + gap, up, name), (x + gap, up - 11, x + gap + wide, up + 3)
        yield Label(x - gap, up, name, "end"), (x - gap - wide, up - 11, x - gap, up + 3)


def _is_free(box: Sequence[float], taken: Sequence[Sequence[float]]) -> bool:
    inside = box[0] > LEFT and box[2] < WIDTH - 2 and box[1] > 0 and box[3] < HEIGHT - BOTTOM
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )


def _apart(ends: Sequence[tuple[float, float, str]]) -> list[Label]:
    """Names at the ends of curves, pushed apart where they would lie over each other."""
    order = sorted(range(len(ends)), key=lambda n: ends[n][1])
    ups: dict[int, float] = {}
    lowest = float("-inf")
    for n in order:
        ups[n] = max(ends[n][1] + 4, lowest + LINE)
        lowest = ups[n]
    over = max(0.0, lowest - (HEIGHT - BOTTOM))
    return [Label(x + 9, ups[n] - over, name) for n, (x, _, name) in enumerate(ends)]
