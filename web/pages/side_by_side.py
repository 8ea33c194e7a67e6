"""Side by side, `/side-by-side?jobs=A,B`: which is better, and where do they differ? Two to eight jobs of any kind."""

from __future__ import annotations

import gradio as gr

from core.client import Workbench
from core.diff import side_by_side
from core.errors import WorkbenchError
from web import side_view
from web.pages.frame import asked, bar, html, listen
from web.templates import fragment

PATH = "/side-by-side"
MOST_WORDS = 1_000
VIEW = "wb.side(element, watch, trigger, 'opened')"


class SideBySide:
    """The page's components, and what happens when it is opened."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar(PATH)
        self.view = html("${value}", VIEW, value="", elem_id="side")
        listen(self.view, "opened", self.open, None, self.view)

    def open(self, event: gr.EventData, request: gr.Request) -> str:
        """The jobs of the address side by side; else how to choose some, or what is wrong with these."""
        by = asked(self._client, event, request)
        data = event._data if isinstance(event._data, dict) else {}
        jobs = [one for one in str(data.get("jobs") or "")[:MOST_WORDS].split(",") if one.strip()]
        if not jobs:
            return fragment("side_empty", trouble="")
        try:
            return side_view.render(side_by_side(by.client, jobs))
        except WorkbenchError as error:
            return fragment("side_empty", trouble=f"{error.message} {error.hint}".strip())
