"""What viewers of one thing share: its fragments of HTML, each with the version in which it last changed.

A viewer is a cursor and holds no queue: a slow one costs nothing, misses nothing and gets nothing twice. Whoever comes
from an older version gets the fragments that have changed since, encoded once for all that stand at the same place.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(eq=False)
class Viewer:
    """One socket's place in a channel: the version of the fragments that it has, and of the text how much."""

    may_change: bool = False
    version: int = 0
    attempt: int = 0
    position: int = 0
    epoch: int = 0
    has_ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Fragments:
    """Named pieces of HTML and when each last changed."""

    def __init__(self) -> None:
        self.version = 0
        self._held: dict[str, tuple[int, str]] = {}

    def update(self, fragments: Mapping[str, str]) -> bool:
        """Take the pieces as they are now; whether any has changed."""
        new = {name: html for name, html in fragments.items() if self._held.get(name, (0, None))[1] != html}
        gone = self._held.keys() - fragments.keys()
        if not new and not gone:
            return False
        self.version += 1
        self._held |= {name: (self.version, html) for name, html in new.items()}
        for name in gone:
            del self._held[name]
        return True

    def since(self, version: int) -> dict[str, str]:
        """The pieces that have changed after `version`."""
        return {name: html for name, (changed, html) in self._held.items() if changed > version}


class Channel(ABC):
    """Something that is watched. `again_s`: how often it is read though nobody rang, where that is more than usual."""

    again_s = float("inf")

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self.is_stale = True  # what the store knows of it has to be read
        self.is_loading = False
        self.has_news = False  # somebody has to be woken
        self.read_at = float("-inf")
        self._encoded: dict[tuple[object, ...], str] = {}

    @abstractmethod
    def news(self, viewer: Viewer) -> list[str]:
        """The messages that bring `viewer` up to date; it counts as having got them."""

    def changed(self) -> None:
        """There is something new: what was encoded no longer leads up to date."""
        self._encoded.clear()
        self.has_news = True

    def encoded(self, key: tuple[object, ...], message: Mapping[str, object]) -> str:
        """`message` as JSON, made once for all viewers with the same `key`."""
        if key not in self._encoded:
            self._encoded[key] = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        return self._encoded[key]
