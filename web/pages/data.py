"""Data: what there is to learn from, giving more, and at `/data?name=…` one data set as a model will see it.

A preview is a small job; `/data?job=ID` is one that was made, and a name shows the last that was made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import gradio as gr

from core.client import Workbench
from core.data.builtin import BUILTIN_DATA
from core.data.chat_templates import CHAT_TEMPLATES
from core.data.spec import DataFormat
from core.data.uploads import MOST_BYTES
from core.errors import WorkbenchError
from core.jobs.preview import PreviewSpec
from core.modes import Mode
from core.values import Job
from web import offers
from web.data_sets import sets_of
from web.pages.acting import ActsOnJobs, answer, data_of
from web.pages.frame import asked, bar, html, listen
from web.pages.playground import said
from web.templates import fragment
from web.train_data import KIND, last_preview, title_of_data

EVENTS = ("preview", "remove", "stop", "retry", "mend")
VIEW = f"wb.data(element, props, watch, trigger, {['opened', *EVENTS]})"
WORDS = (
    "model",
    "data_format",
    "prompt_template",
    "completion_template",
    "text_template",
    "label_column",
    "chat_template",
)
MOST_WORD = 20_000


class Data(ActsOnJobs):
    """The page's components, and what happens when one of them is used."""

    kind = KIND

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/data")
        layout = fragment("data_layout", most=MOST_BYTES, is_shared=client.settings.mode is Mode.TEAM)
        self.view = html(layout, VIEW, value={}, elem_id="data")
        self.trouble = html("${value}", value="", elem_id="trouble")
        for event in ("opened", *EVENTS):
            handler = self.open if event == "opened" else getattr(self, event)
            listen(self.view, event, handler, None, [self.view, self.trouble])

    def open(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """All data; or one data set with how it is asked for, and what was last found of it."""
        by, name = asked(self._client, event, request), _word(data_of(event), "name")
        try:
            job = by.client.show(by.job) if by.job else last_preview(by.client, name) if name else None
        except WorkbenchError as error:
            return [{"sets": _sets(by.client)}, said(error.message, error.hint)]
        if not name and job is None:
            return [{"sets": _sets(by.client)}, ""]
        name = str(job.spec.get("data") or "") if job and not name else name
        return [{"ask": _ask(by.client, name, job), "job": job.id if job else ""}, ""]

    def preview(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Look at data as the form asks."""
        by, data = asked(self._client, event, request), data_of(event)
        fields: dict[str, Any] = {"data": _word(data, "name")} | {
            word: _word(data, word) for word in WORDS if _word(data, word)
        }
        if length := _word(data, "max_length").replace(",", ""):
            fields["max_length"] = int(length) if length.isdecimal() else length
        return answer(lambda: by.client.submit(KIND, fields, key=by.key))

    def remove(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Forget an upload."""
        by = asked(self._client, event, request)
        try:
            by.client.remove_upload(_word(data_of(event), "upload"))
        except WorkbenchError as error:
            return [gr.skip(), said(error.message, error.hint)]
        return [{"sets": _sets(by.client)}, ""]


def _sets(client: Workbench) -> str:
    return fragment("data_sets", sets=sets_of(client))


def _ask(client: Workbench, name: str, job: Job | None) -> str:
    """The head of one data set, and the form for a preview of it, as the last one was asked."""
    usual = PreviewSpec().model_dump(mode="json")
    known = {one.id for one in client.uploads()}
    return fragment(
        "data_ask",
        name=name,
        title=title_of_data(client, name),
        help=BUILTIN_DATA[name].help if name in BUILTIN_DATA else "",
        is_upload=name in known,
        spec=usual | (job.spec if job else {}),
        fields=PreviewSpec.model_fields,
        models=offers.models(client),
        templates=list(CHAT_TEMPLATES),
        formats=[one for one in get_args(DataFormat) if one],
        has_found=job is not None,
    )


def _word(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name) or "")[:MOST_WORD]
