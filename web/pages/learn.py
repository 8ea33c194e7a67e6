"""What quantization does: a codeword, and what it loses on the visitor's own model. At `/learn?job=ID` one look at it.

The form submits an `inspect` job; the page follows that, and shows what it found once it has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from core.client import Workbench
from core.comparison.inspected import BLOCK_SIZES
from core.errors import WorkbenchError
from core.jobs.inspect import InspectSpec
from web import learn_view, offers
from web.pages.acting import ActsOnJobs, answer, data_of
from web.pages.frame import asked, bar, html, listen
from web.pages.playground import said
from web.templates import fragment

KIND = "inspect"
FIELDS = ("model", "revision", "module", "prompt", "block_size", "head")
NUMBERS = ("block_size", "head")
MOST_WORDS = 5_000
EVENTS = ("opened", "send", "stop", "retry", "mend")
FORM = f"wb.learn(element, props, watch, trigger, {list(EVENTS)})"
FOUND = "wb.learned(element, watch)"


class Learn(ActsOnJobs):
    """The page's components, and what happens when one of them is used."""

    kind = KIND

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/learn")
        layout = fragment("learn_layout", sizes=BLOCK_SIZES, fields=InspectSpec.model_fields, models=[offers.BUILTIN])
        self.form = html(layout, FORM, value={"n": ""}, elem_id="learn")
        self.trouble = html("${value}", value="", elem_id="trouble")
        self.found = html("${value}", FOUND, value="", elem_id="learned")
        listen(self.form, "opened", self.open, None, [self.form, self.trouble, self.found])
        for event in EVENTS[1:]:
            listen(self.form, event, getattr(self, event), None, [self.form, self.trouble])

    def open(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """What the form offers, and what the job of the address found."""
        by, data = asked(self._client, event, request), data_of(event)
        shown: dict[str, Any] = {"n": _word(data, "n")[:20], "models": [list(one) for one in offers.models(by.client)]}
        if not by.job:
            return [shown, "", fragment("learn_empty")]
        try:
            job = by.client.show(by.job)
        except WorkbenchError as error:
            return [shown, said(error.message, error.hint), fragment("learn_empty")]
        if job.kind != KIND:
            return [shown, said("This job looked at no layer.", "Choose one above."), ""]
        shown |= {"spec": {name: job.spec.get(name) for name in FIELDS}, "ended": job.state.is_finished}
        found = learn_view.read_found(job)
        if found is None:
            return [shown, "", ""]
        modules = [one.model_dump(mode="json") for one in found.modules]
        return [
            shown | {"modules": modules, "module": found.module, "of": found.model},
            "",
            learn_view.render(job, found),
        ]

    def send(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Look at what the form holds."""
        by = asked(self._client, event, request)
        return answer(lambda: by.client.submit(KIND, _fields(data_of(event)), key=by.key))


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen; what was left open is left to the spec."""
    words = {name: _word(data, name).strip() for name in FIELDS}
    return {name: int(word) if name in NUMBERS and word.isdecimal() else word for name, word in words.items() if word}


def _word(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value)[:MOST_WORDS]
