"""A view of the store that is watched: read anew as a whole, sent in the pieces that have changed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping

from core.client import Workbench
from web.live.channel import Channel, Fragments, Viewer


class Looked(Channel):
    """What the viewers of one view share; the same `key` is the same view."""

    def __init__(self, key: Hashable) -> None:
        super().__init__()
        self.key = key
        self._fragments = Fragments()

    @abstractmethod
    def look(self, client: Workbench) -> dict[str, str]:
        """The view as it is now, rendered. Reads the store, so it belongs into a thread."""

    def take(self, fragments: Mapping[str, str]) -> None:
        """Take the view as it is now."""
        if self._fragments.update(fragments):
            self.changed()

    def news(self, viewer: Viewer) -> list[str]:
        """The pieces that have changed since the viewer last got some."""
        if viewer.version == self._fragments.version:
            return []
        seen, viewer.version = viewer.version, self._fragments.version
        return [self.encoded((seen,), {"type": "parts", "parts": self._fragments.since(seen)})]
