"""What a name can be, and which names are near one that was mistyped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

MOST_NAME = 500
HUB_NAME = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
COMMIT_BEGINNING = re.compile(r"[0-9a-f]{5,40}")


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names that are most like `name`, the likeliest first; the organisation may be left out."""
    by_short: dict[str, list[str]] = {}
    for each in dict.fromkeys(known):
        for short in {each.lower(), each.rpartition("/")[2].lower()}:
            by_short.setdefault(short, []).append(each)
    asked = name[:MOST_NAME].lower()
    found: dict[str, None] = {}
    for words in dict.fromkeys((asked, asked.rpartition("/")[2])):
        for match in get_close_matches(words, by_short, n=n, cutoff=0.75):
            found.update(dict.fromkeys(by_short[match]))
    return list(found)[:n]


def is_hub_name(name: str) -> bool:
    """Whether a repository of the Hub could be called so: `organisation/name`, or the `name` of an early one."""
    if not HUB_NAME.fullmatch(name) or name.endswith((".git", ".ipynb", ".", "-")):
        return False
    return "--" not in name and ".." not in name and len(name) <= 96


def shown(name: str) -> str:
    """A name in a sentence: a stranger may send one of any length and with anything in it."""
    return repr(name if len(name) <= 120 else f"{name[:117]}…")


def did_you_mean(near: Iterable[str]) -> str:
    """The hint that offers near names; "" where there are none."""
    names = list(near)
    return f"Did you mean {' or '.join(names)}?" if names else ""
