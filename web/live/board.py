"""A list of jobs that is watched: one page of rows, their order, and the figures in the bar above every page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from core.access import Who
from core.client import Workbench
from core.modes import Mode
from core.store.queries import JobFilter
from web import runs_view
from web.live.looked import Looked

PAGE = 50


@dataclass(frozen=True)
class Query:
    """Whose list it is and what is on it. One that is only for the bar holds no rows."""

    who: Who
    is_bar_only: bool = False
    wanted: JobFilter = field(default_factory=JobFilter)
    before: str = ""


class Board(Looked):
    """What the viewers of one list share."""

    def __init__(self, query: Query) -> None:
        super().__init__(query)
        self.query = query

    def look(self, client: Workbench) -> dict[str, str]:
        """The list as it is now, rendered. Reads the store, so it belongs into a thread."""
        client = client.acting_for(self.query.who)
        parts = {"bar": runs_view.render_bar(client)}
        if self.query.is_bar_only:
            return parts | {"ended": runs_view.render_ended(client)}
        is_shared = client.settings.mode is Mode.TEAM
        jobs = client.list(self.query.wanted, before=self.query.before, limit=PAGE + 1)
        rows = {job.id: runs_view.render_row(job, is_shared=is_shared) for job in jobs[:PAGE]}
        foot = runs_view.render_foot(client, self.query.wanted, jobs[:PAGE], has_older=len(jobs) > PAGE)
        return parts | {f"row:{job_id}": html for job_id, html in rows.items()} | {
            "order": json.dumps(list(rows)),
            "foot": foot,
            "models": json.dumps(client.store.models_used(client.who)),
        }  # fmt: skip
