"""Models: what is here, what is in memory, and how to get more. At `/models?load=NAME` with the form to load one open.

The page follows its socket; the handlers submit the jobs that are asked for, or say what a row's model may do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from core.client import Workbench
from core.errors import WorkbenchError
from core.variant import AUTO
from web.load_form import render_form, spec_of
from web.models_look import find_holding, find_model
from web.pages.acting import ActsOnJobs, answer, data_of
from web.pages.frame import acting_for, asked, bar, html, listen
from web.pages.playground import said
from web.templates import fragment

# “load” and “unload” are events of Gradio's own, which come when a page opens and closes
EVENTS = ("bring", "download", "convert", "remove", "stop", "retry", "mend", "release", "pin", "unpin")
SHELF = f"wb.models(element, props, watch, trigger, {['open', *EVENTS]})"
FORM = "wb.loadForm(element, props, watch)"


class Models(ActsOnJobs):
    """The page's components, and what happens when one of them is used."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/models")
        self.trouble = html("${value}", "wb.refused(element, watch)", value="", elem_id="trouble")
        self.view = html(fragment("models_layout"), SHELF, value={"job": ""}, elem_id="models")
        self.form = html("${value}", FORM, value="", elem_id="load-form")
        listen(self.view, "open", self.open, None, [self.form, self.trouble])
        for event in EVENTS:
            listen(self.view, event, getattr(self, event), None, [self.view, self.trouble])

    def open(self, event: gr.EventData, request: gr.Request) -> list[str]:
        """The form to load the model of a row, or of the address."""
        client, data = acting_for(self._client, request), data_of(event)
        try:
            return [render_form(client, find_model(client, _word(data, "ref")), _word(data, "dtype")), ""]
        except WorkbenchError as error:
            return ["", said(error.message, error.hint)]

    def bring(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Bring a model into memory."""
        data = data_of(event)
        dtype, attention = _word(data, "dtype") or AUTO, _word(data, "attention") or AUTO

        def spec(client: Workbench) -> dict[str, object]:
            return spec_of(find_model(client, _word(data, "ref")), dtype, attention, data.get("pin") is True)

        return self._submit("load", spec, event, request)

    def download(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Bring a model from the Hub."""
        words = {name: _word(data_of(event), name).strip() for name in ("model", "revision", "file")}
        fields = {name: word for name, word in words.items() if word}
        return self._submit("download", lambda client: fields, event, request)

    def convert(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Make safetensors of pickled weights."""
        return self._submit("convert", lambda client: _named(client, event), event, request)

    def remove(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Delete a model from the disk."""
        return self._submit("remove", lambda client: _named(client, event), event, request)

    def release(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Let a model go as soon as no job uses it."""
        return self._wish(event, request, lambda client, key: client.unload(key))

    def pin(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Keep a model in memory."""
        return self._wish(event, request, lambda client, key: client.pin(key))

    def unpin(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Let a model go when another needs the room."""
        return self._wish(event, request, lambda client, key: client.pin(key, is_pinned=False))

    def _submit(
        self, kind: str, spec: Callable[[Workbench], Mapping[str, Any]], event: gr.EventData, request: gr.Request
    ) -> list[Any]:
        by = asked(self._client, event, request)
        return answer(lambda: by.client.submit(kind, spec(by.client), key=by.key))

    def _wish(self, event: gr.EventData, request: gr.Request, do: Callable[[Workbench, str], object]) -> list[Any]:
        client = acting_for(self._client, request)
        try:
            do(client, find_holding(client, _word(data_of(event), "ref")).key)
        except WorkbenchError as error:
            return [gr.skip(), said(error.message, error.hint)]
        return [gr.skip(), ""]


def _named(client: Workbench, event: gr.EventData) -> dict[str, str]:
    info = find_model(client, _word(data_of(event), "ref")).info
    return {"model": info.name, "revision": info.revision} if info.revision else {"model": info.name}


def _word(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name) or "")[:1_000]
