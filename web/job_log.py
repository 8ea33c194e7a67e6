"""What happened to a training, line by line: its events and its evaluations, in the order of time.

All of it comes from the store, so that each viewer and each reload sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.values import Event, Metric
from web import words
from web.templates import fragment

MOST_LINES = 400
PARTS = ("log", "log_last")


@dataclass(frozen=True)
class Line:
    """One line, at Unix seconds."""

    at: float
    text: str


def lines_of(events: Sequence[Event], evaluations: Sequence[Metric]) -> list[Line]:
    """Both told in words; what happened at one moment stays in the order that it had."""
    told = [Line(event.at, words.happened(event)) for event in events]
    told += [Line(one.at, words.evaluated(one)) for one in evaluations]
    return sorted(told, key=lambda line: line.at)


def render_log(events: Sequence[Event], evaluations: Sequence[Metric]) -> dict[str, str]:
    """The log, and its last line to be shown while it is folded."""
    lines = lines_of(events, evaluations)
    shown = lines[-MOST_LINES:]
    return {
        "log": fragment("log", lines=shown, n_left_out=len(lines) - len(shown)),
        "log_last": fragment("log_last", line=lines[-1]) if lines else "",
    }
