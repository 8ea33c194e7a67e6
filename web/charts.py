"""Charts: a chart is data here, and one component of the page draws it (`ui/charts.js`, with Apache ECharts).

What stands here is an ECharts option without looks: colours, patterns, type and spacing are the component's, so that
every chart follows the theme. The component shows the same figures as a table, for keyboards and screen readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

import gradio as gr

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
    """A limit across all bars; `level` lifts its label over a neighbour's."""

    name: str
    at: float
    level: int = 0


def component(title: str, height: int, elem_id: str) -> gr.HTML:
    """A place for a chart; its value is the chart, or None for none."""
    return html(fragment("chart", title=title, height=height), DRAW, value=None, elem_id=elem_id)


def bars(rows: Sequence[str], parts: Sequence[Bars], lines: Sequence[Line], unit: str, description: str) -> Chart:
    """Lying bars, one for each row, put together from parts, with limits drawn across them."""
    series = [_series(one) for one in parts]
    series[0]["markLine"] = {"data": [{"xAxis": one.at, "name": one.name, "level": one.level} for one in lines]}
    stacked = zip(*(one.values for one in parts if not one.is_beside), strict=True)
    edge = max(*map(sum, stacked), *(one.at for one in lines), *(max(one.values) for one in parts))
    step, end = steps(edge)
    return {
        "description": description,
        "unit": unit,
        "xAxis": {"type": "value", "name": unit, "min": 0, "max": end, "interval": step},
        "yAxis": {"type": "category", "data": list(rows), "inverse": True},
        "series": series,
    }


def steps(edge: float) -> tuple[float, float]:
    """(step, end) of an axis that holds `edge`: whole steps of 1, 2 or 5, since the library ends it at the last bar."""
    unit = 10.0 ** floor(log10(edge / 4)) if edge > 0 else 1.0
    step = unit * next(factor for factor in (1, 2, 5, 10) if edge / (unit * factor) <= MOST_STEPS)
    return step, round(step * max(1, ceil(edge / step)), 6)


def _series(one: Bars) -> dict[str, Any]:
    values = [round(value, 3) for value in one.values]
    series = {"type": "bar", "name": one.name, "data": values, "tone": one.tone}
    return series | ({"barWidth": 5} if one.is_beside else {"stack": "parts", "barWidth": 18})
