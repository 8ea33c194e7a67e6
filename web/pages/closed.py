"""A page whose work is closed in this mode: it says why, and where the work can be seen all the same."""

from __future__ import annotations

from core.client import Workbench
from core.recording.file import Shelf
from web.pages.frame import bar, html
from web.recorded_view import rows_of
from web.templates import fragment

WHY = {
    "/train": (
        "Fine-tuning",
        "A training holds the card for minutes or hours, and this page is for everybody. "
        "A run of the whole recipe was recorded: its curves, its answers and its figures are as they were.",
    ),
    "/pipelines": (
        "Pipelines",
        "A pipeline trains for a long time, and this page is for everybody. A whole one was recorded.",
    ),
    "/models": (
        "Models",
        "Models are neither brought here nor loaded by name: this page is for everybody, and has the built-in one.",
    ),
    "/data": ("Data", "Data cannot be brought here: this page is for everybody. The recorded runs show theirs."),
}


TRAININGS = frozenset({"pipeline", "sft", "reward", "rlhf"})


class Closed:
    """The page in place of the one at `path`."""

    def __init__(self, client: Workbench, path: str) -> None:
        title, why = WHY[path]
        bar("/train" if path == "/pipelines" else path)
        recorded = [one for one in rows_of(Shelf.of(client.settings.home)) if one.kind in TRAININGS]
        self.view = html(fragment("closed", title=title, why=why, recorded=recorded), elem_id="closed")
