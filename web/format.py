"""Times that a browser can keep fresh; figures are written by `core.format`."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from core.format import quantity, significant, written

__all__ = ["ago", "clock", "kind_title", "quantity", "significant", "written"]


def kind_title(kind: str) -> str:
    """What jobs of a kind are called on a page."""
    return {"sft": "Fine-tune", "rlhf": "RLHF"}.get(kind, kind.capitalize())


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
