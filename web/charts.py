"""Charts: a chart is data here, and one component of the page draws it (`ui/charts.js`, with Apache ECharts).

What stands here is an ECharts option without looks: colours, patterns, type and spacing are the component's, so that
every chart follows the theme. The component shows `table`, the same figures, for keyboards and screen readers.
A chart stands in a component of its own (`component`), or in a fragment that comes over a socket (`placed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any, Literal

import gradio as gr
from markupsafe import Markup

from web.pages.frame import html
from web.templates import fragment

DRAW = "wb.chart(element, props, watch)"
MOST_STEPS = 6
Chart = dict[str, Any]


@dataclass(frozen=True)
class Bars:
    """One part of every bar, stacked; or a thin bar beside them. `tone` is its colour in the palette."""

    name: str
    values: Sequence[float]
    tone: int
    is_beside: bool = False


@dataclass(frozen=True)
class Line:
    """A limit across all bars or curves; `level` lifts its label over a neighbour's."""

    name: str
    at: float
    level: int = 0


@dataclass(frozen=True)
class Axis:
    """What is counted along an edge. One that does not begin at 0 begins near its first value."""

    name: str
    unit: str = ""
    scale: Literal["value", "log"] = "value"
    is_from_zero: bool = True

    @property
    def title(self) -> str:
        """Its name with its unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


@dataclass(frozen=True)
class Curve:
    """Points that are joined. Dashed is what was predicted; filled and stepped together make a histogram."""

    name: str
    points: Sequence[tuple[float, float | None]]
    tone: int
    is_dashed: bool = False
    is_filled: bool = False
    is_stepped: bool = False


@dataclass(frozen=True)
class Dot:
    """One thing by two figures, and by a third that makes it larger."""

    name: str
    x: float
    y: float
    size: float | None = None


@dataclass(frozen=True)
class Dots:
    """Dots that are drawn alike; hollow ones are those of less interest."""

    name: str
    dots: Sequence[Dot]
    tone: int
    is_hollow: bool = False


def component(title: str, height: int, elem_id: str) -> gr.HTML:
    """A place for a chart; its value is the chart, or None for none."""
    return html(fragment("chart", title=title, height=height, chart=None), DRAW, value=None, elem_id=elem_id)


def placed(title: str, height: int, chart: Chart) -> Markup:
    """A chart with its place, for a fragment: it is drawn as soon as the fragment is on the page."""
    return Markup(fragment("chart", title=title, height=height, chart=chart))  # noqa: S704 - escaped when it was made


def bars(rows: Sequence[str], parts: Sequence[Bars], lines: Sequence[Line], unit: str, description: str) -> Chart:
    """Lying bars, one for each row, put together from parts, with limits drawn across them."""
    series = [_series(one) for one in parts]
    series[0]["markLine"] = {"data": [{"xAxis": one.at, "name": one.name, "level": one.level} for one in lines]}
    stacked = zip(*(one.values for one in parts if not one.is_beside), strict=True)
    edge = max(*map(sum, stacked), *(one.at for one in lines), *(max(one.values) for one in parts))
    step, end = steps(edge)
    return {
        "kind": "bars",
        "description": description,
        "unit": unit,
        "xAxis": {"type": "value", "name": unit, "min": 0, "max": end, "interval": step},
        "yAxis": {"type": "category", "data": list(rows), "inverse": True},
        "series": series,
        "table": _table([unit, *(one.name for one in parts)], zip(rows, *(one["data"] for one in series), strict=True)),
    }


def curves(
    drawn: Sequence[Curve], x: Axis, y: Axis, description: str, lines: Sequence[Line] = (), ends: Sequence[float] = ()
) -> Chart:
    """Curves over one axis, with upright lines where something is to be marked.

    Args:
        ends: where the axis of x begins and ends, if not where the points do.
    """
    series = [_curve(one) for one in drawn]
    if lines and series:
        series[0]["markLine"] = {"data": [{"xAxis": one.at, "name": one.name, "level": one.level} for one in lines]}
    values = [dict(one.points) for one in drawn]
    along = sorted({point[0] for one in drawn for point in one.points})
    rows = ([at, *(each.get(at) for each in values)] for at in along)
    whole = {"minInterval": 1} if all(float(at).is_integer() for at in along) else {}  # no half rows or tokens
    ends = ends or ((along[0], along[-1]) if along and not x.is_from_zero else ())
    return {
        "kind": "curves",
        "description": description,
        "unit": y.unit,
        "xAxis": _axis(x) | whole | ({"min": ends[0], "max": ends[1]} if ends else {}),
        "yAxis": _axis(y),
        "series": series,
        "table": _table([x.title, *(f"{one.name}, {y.unit}" if y.unit else one.name for one in drawn)], rows),
    }


def scatter(groups: Sequence[Dots], x: Axis, y: Axis, description: str, size: Axis | None = None) -> Chart:
    """Dots by two figures, their names beside them; by `size`, a third one makes them larger."""
    most = max((dot.size or 0 for group in groups for dot in group.dots), default=0) or 1
    head = ["", x.title, y.title, *([size.title] if size else []), "group"]
    rows = (
        [dot.name, dot.x, dot.y, *([dot.size] if size else []), group.name] for group in groups for dot in group.dots
    )
    return {
        "kind": "scatter",
        "description": description,
        "unit": y.unit,
        "units": [x.unit, y.unit, size.unit if size else ""],
        "names": [x.name, y.name, size.name if size else ""],
        "xAxis": _axis(x),
        "yAxis": _axis(y),
        "series": [_dots(one, most) for one in groups],
        "table": _table(head, rows),
    }


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    along: Axis,
    shown: Axis,
    description: str,
    most: float | None = None,
    least: float = 0.0,
) -> Chart:
    """A field for each row and column, the darker the larger; where there is no figure it stays empty.

    Args:
        values: by row, then by column.
        along: what the columns are.
        shown: what a figure is.
        most: the end of the scale, where several charts are to share one.
        least: its beginning.
    """
    there = [(n, m, value) for m, row in enumerate(values) for n, value in enumerate(row) if value is not None]
    table = ([name, *row] for name, row in zip(rows, values, strict=True))
    return {
        "kind": "heat",
        "description": description,
        "unit": shown.unit,
        "name": shown.title,
        "least": least,
        "most": most or max((value for *_, value in there), default=1) or 1,
        "xAxis": {"type": "category", "name": along.title, "data": list(columns)},
        "yAxis": {"type": "category", "data": list(rows), "inverse": True},
        "series": [{"type": "heatmap", "name": shown.name, "data": [[n, m, float(value)] for n, m, value in there]}],
        "table": _table([along.title, *columns], table),
    }


def steps(edge: float) -> tuple[float, float]:
    """(step, end) of an axis that holds `edge`: whole steps of 1, 2 or 5, since the library ends it at the last bar."""
    unit = 10.0 ** floor(log10(edge / 4)) if edge > 0 else 1.0
    step = unit * next(factor for factor in (1, 2, 5, 10) if edge / (unit * factor) <= MOST_STEPS)
    return step, round(step * max(1, ceil(edge / step)), 6)


def _axis(one: Axis) -> dict[str, Any]:
    begins = {"min": 0} if one.is_from_zero and one.scale == "value" else {"scale": True}
    return {"type": one.scale, "name": one.title, **begins}


def _series(one: Bars) -> dict[str, Any]:
    values = [round(value, 3) for value in one.values]
    series = {"type": "bar", "name": one.name, "data": values, "tone": one.tone}
    return series | ({"barWidth": 5} if one.is_beside else {"stack": "parts", "barWidth": 18})


def _curve(one: Curve) -> dict[str, Any]:
    ways = {"dashed": one.is_dashed, "filled": one.is_filled, "stepped": one.is_stepped}
    return {
        "type": "line",
        "name": one.name,
        "data": [list(point) for point in one.points],
        "tone": one.tone,
        **{name: True for name, holds in ways.items() if holds},
    }


def _dots(one: Dots, most: float) -> dict[str, Any]:
    data = [{"name": dot.name, "value": [dot.x, dot.y, dot.size], "share": (dot.size or 0) / most} for dot in one.dots]
    return {"type": "scatter", "name": one.name, "data": data, "tone": one.tone, "hollow": one.is_hollow}


def _table(head: Sequence[str], rows: Iterable[Iterable[Any]]) -> dict[str, Any]:
    return {"head": list(head), "rows": [list(row) for row in rows]}
