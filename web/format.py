"""Figures for people: three significant digits, SI units, and times that a browser can keep fresh."""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor, log10

from markupsafe import Markup

STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def significant(value: float, digits: int = 3) -> str:
    """`value` with that many significant digits, and a comma between thousands."""
    if value == 0:
        return "0"
    decimals = digits - 1 - floor(log10(abs(value)))
    rounded = round(value, decimals)
    if rounded and floor(log10(abs(rounded))) > floor(log10(abs(value))):
        decimals -= 1  # 9.996 became 10.0
    return f"{rounded:,.{max(0, decimals)}f}"


def quantity(value: float, unit: str) -> tuple[str, str]:
    """A figure and its unit as they are shown: 13.5 GB, 118 tok/s, 84 ms."""
    match unit:
        case "bytes":
            return _scaled(value, "B")
        case "s":
            return _duration(value)
        case "tokens/s":
            return significant(value), "tok/s"
        case "jobs" | "tokens":
            return f"{value:,.0f}", _plural(value, unit)
        case _:
            return significant(value), unit


def written(value: float, unit: str) -> str:
    """The same on one line."""
    return " ".join(quantity(value, unit)).strip()


def ago(at: float | None) -> Markup:
    """A moment as the browser shows it: how long ago, kept fresh there, with the date on hover."""
    if at is None:
        return Markup("\u2013")
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" data-ago="{}" title="{}">{}</time>').format(
        stamp, f"{at:.3f}", stamp.replace("T", " ").replace("+00:00", " UTC"), stamp[:10]
    )


def clock(at: float) -> Markup:
    """A moment as a time of day in the browser's own zone."""
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return Markup('<time datetime="{}" data-clock="{}" title="{}">{}</time>').format(
        stamp, f"{at:.3f}", stamp.replace("T", " ").replace("+00:00", " UTC"), stamp[11:19]
    )


def _scaled(value: float, unit: str) -> tuple[str, str]:
    for factor, prefix in STEPS:
        if abs(value) >= factor * 0.9995:
            return significant(value / factor), prefix + unit
    return f"{value:,.0f}", unit


def _duration(value: float) -> tuple[str, str]:
    if value < 0.9995:
        return (significant(value * 1e3), "ms") if value >= 0.9995e-3 else (significant(value * 1e6), "µs")
    if value < 60:
        return significant(value), "s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h {minutes}", "min") if hours else (f"{minutes} min {seconds}", "s")


def _plural(value: float, unit: str) -> str:
    return unit.removesuffix("s") if value == 1 else unit
