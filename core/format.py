"""Figures and differences for people: the same on pages, in reports and on a terminal."""

from __future__ import annotations

from math import floor, isfinite, isnan, log10

STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MINUS = "\u2212"
LEAST = 1e-4  # smaller figures are written with a power of ten
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def significant(value: float, digits: int = 3) -> str:
    """`value` with that many significant digits, and a comma between thousands."""
    if value == 0:
        return "0"
    if not isfinite(value):
        return "no number" if isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
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
        case "bytes/s":
            return _scaled(value, "B/s")
        case "parameters":
            return _counted(value)
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


def small(value: float) -> str:
    """A small figure: 0.0310, 1.2 · 10⁻⁶."""
    if value == 0 or not abs(value) < LEAST:
        return significant(value).replace("-", MINUS)
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits.replace('-', MINUS)} · 10{str(int(power)).translate(SUPERSCRIPT)}"


def percent(value: float, decimals: int = 1) -> str:
    """A share."""
    return f"{100 * value:.{decimals}f} %"


def change(ratio: float) -> str:
    """A ratio as what it adds or takes: +2.14 %."""
    part = 100 * (ratio - 1)
    sign = MINUS if part < -0.005 else "+"
    return f"{sign}{abs(part):.2f} %"


def first_difference(one: str, other: str) -> int | None:
    """The number, from 1, of the first word that is not the same in both; None where all are. Spaces do not count."""
    before, after = one.split(), other.split()
    if before == after:
        return None
    pairs = enumerate(zip(before, after, strict=False), 1)
    return next((n for n, (was, now) in pairs if was != now), min(len(before), len(after)) + 1)


def _scaled(value: float, unit: str) -> tuple[str, str]:
    for factor, prefix in STEPS:
        if abs(value) >= factor * 0.9995:
            return significant(value / factor), prefix + unit
    return f"{value:,.0f}", unit


def _counted(value: float) -> tuple[str, str]:
    """As one speaks of parameters: 135 M, 6.74 B."""
    for factor, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if value >= factor * 0.9995:
            return significant(value / factor), letter
    return f"{value:,.0f}", ""


def _duration(value: float) -> tuple[str, str]:
    if value < 0.9995:
        return (significant(value * 1e3), "ms") if value >= 0.9995e-3 else (significant(value * 1e6), "µs")
    if value < 60 or not isfinite(value):
        return significant(value), "s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h {minutes}", "min") if hours else (f"{minutes} min {seconds}", "s")


def _plural(value: float, unit: str) -> str:
    return unit.removesuffix("s") if value == 1 else unit
