"""The models that are watched: what is on disk and in memory, read each second while somebody looks.

Nothing rings when a model is let go or a disk fills, hence the second.
"""

from __future__ import annotations

import json

from core.access import Who
from core.client import Workbench
from web.live.looked import Looked
from web.models_look import look
from web.models_view import render_memory, render_places


class Shelf(Looked):
    """What the viewers of the Models page share."""

    again_s = 1.0

    def __init__(self, who: Who) -> None:
        super().__init__(("models", who))
        self._who = who

    def look(self, client: Workbench) -> dict[str, str]:
        """What there is now, rendered. Reads the store, so it belongs into a thread."""
        seen = look(client.acting_for(self._who))
        return {
            "memory": render_memory(seen, may_manage=self._who.is_administrator),
            "places": render_places(seen),
            "jobs": json.dumps([job.id for job in seen.jobs]),
        }
