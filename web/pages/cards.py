"""Cards: who uses what, what waits and why. Administrators let a worker run dry here, and models go or stay."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from core.client import Workbench
from core.errors import WorkbenchError
from web.cards_view import find_worker
from web.models_look import find_holding
from web.pages.acting import data_of
from web.pages.frame import acting_for, bar, html, listen
from web.pages.playground import said
from web.templates import fragment

EVENTS = ("drain", "admit", "release", "pin", "unpin")
VIEW = f"wb.cards(element, trigger, {list(EVENTS)})"


class Cards:
    """The page's components, and what happens when one of them is used."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/cards")
        self.trouble = html("${value}", "wb.refused(element, watch)", value="", elem_id="trouble")
        self.view = html(fragment("cards_layout"), VIEW, elem_id="cards")
        for event in EVENTS:
            listen(self.view, event, getattr(self, event), None, self.trouble)

    def drain(self, event: gr.EventData, request: gr.Request) -> str:
        """Have a worker finish what it runs and take nothing more."""
        return self._do(event, request, lambda client, ref: client.drain(find_worker(client, ref)))

    def admit(self, event: gr.EventData, request: gr.Request) -> str:
        """Let a worker take jobs again."""
        return self._do(event, request, lambda client, ref: client.drain(find_worker(client, ref), is_draining=False))

    def release(self, event: gr.EventData, request: gr.Request) -> str:
        """Let a model go as soon as no job uses it."""
        return self._do(event, request, lambda client, ref: client.unload(find_holding(client, ref).key))

    def pin(self, event: gr.EventData, request: gr.Request) -> str:
        """Keep a model in memory."""
        return self._do(event, request, lambda client, ref: client.pin(find_holding(client, ref).key))

    def unpin(self, event: gr.EventData, request: gr.Request) -> str:
        """Let a model go when another needs the room."""
        return self._do(event, request, lambda client, ref: client.pin(find_holding(client, ref).key, is_pinned=False))

    def _do(self, event: gr.EventData, request: gr.Request, do: Callable[[Workbench, str], object]) -> str:
        client = acting_for(self._client, request)
        try:
            do(client, str(data_of(event).get("ref") or "")[:64])
        except WorkbenchError as error:
            return said(error.message, error.hint)
        return ""
