"""An artifact, `/artifacts?id=ID`: where does it come from, what is in it, where can I use it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from core.client import Workbench
from core.errors import WorkbenchError
from web.artifact_view import render
from web.pages.acting import answer_merge, data_of
from web.pages.frame import asked, bar, html, listen
from web.templates import fragment

VIEW = "wb.artifact(element, props, watch, trigger, ['opened', 'merge'])"


class Artifacts:
    """The page's components, and what happens when it is opened."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/artifacts")
        self.view = html('<div class="wb artifact" data-artifact></div>', VIEW, value={}, elem_id="artifact")
        self.trouble = html("${value}", value="", elem_id="trouble")
        listen(self.view, "opened", self.open, None, self.view)
        listen(self.view, "merge", self.merge, None, [self.view, self.trouble])

    def open(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """The artifact of the address, or what is wrong with it."""
        by = asked(self._client, event, request)
        try:
            return {"html": render(by.client, _id(data_of(event)))}
        except WorkbenchError as error:
            return {"html": fragment("artifact_missing", sentence=error.message)}

    def merge(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Merge this adapter into its base, and go there."""
        by = asked(self._client, event, request)
        return answer_merge(by.client, _id(data_of(event)), by.key)


def _id(data: Mapping[str, Any]) -> str:
    return str(data.get("id") or "")[:64]
