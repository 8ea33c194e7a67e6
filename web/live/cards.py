"""The cards that are watched: what is held, runs and waits, read each second while somebody looks.

Nothing rings when memory comes free or a worker is drained, hence the second.
"""

from __future__ import annotations

from core.access import Who
from core.client import Workbench
from web.cards_view import render_cards, render_lines
from web.live.looked import Looked


class CardsNow(Looked):
    """What the viewers of the Cards page share, each with those who may see and do the same."""

    again_s = 1.0

    def __init__(self, who: Who) -> None:
        super().__init__(("cards", who))
        self._who = who

    def look(self, client: Workbench) -> dict[str, str]:
        """What there is now, rendered. Reads the store, so it belongs into a thread."""
        seen = client.acting_for(self._who).overview()
        return {"cards": render_cards(seen, self._who), "lines": render_lines(seen)}
