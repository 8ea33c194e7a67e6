"""The HTML fragments. What comes from a job is a stranger's words: all is escaped, nothing is marked safe."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from core.markup import environment as made
from web.browsers import browser_of
from web.format import ago, clock, kind_title, quantity, written


@cache
def environment() -> Environment:
    """Jinja with escaping on, for every file of this folder."""
    found = made(Path(__file__).parent, Environment)
    found.filters |= {"ago": ago, "browser": browser_of, "clock": clock, "written": _written, "kind": kind_title}
    found.globals |= {"quantity": quantity}
    return found


def _written(figure: tuple[float, str]) -> str:
    return written(*figure)


def fragment(template: str, /, **values: Any) -> str:
    """The file `template`.html with these values."""
    return environment().get_template(f"{template}.html").render(values).strip()
