"""The Playground: what does this model say? A conversation, or one job of it at `/?job=ID`.

Its state is the address: the handlers get the id of the job that is shown and look everything else up in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from markupsafe import escape

from core.catalog import BUILTIN_NAME
from core.client import Workbench
from core.errors import WorkbenchError
from core.jobs.generate import GenerateSpec
from core.recording.file import Shelf
from core.spec import as_command, parse_spec
from core.store.queries import JobFilter
from core.values import Job
from web import forms, offers, turns
from web.mending import mend
from web.pages.frame import SILENT, acting_for, asked, bar, html, listen
from web.templates import fragment

FIRST_PROMPT = "Why is the sky blue? Answer in two sentences."
OWN_FIELDS = ("prompt", "messages")  # the page itself asks for these
TALK = "wb.talk(element, props, watch, trigger, ['stop', 'retry', 'mend', 'regenerate', 'edit'])"
SEND = "wb.sender(element, trigger, 'send')"
COMMAND = "wb.command(trigger, 'follow')"
PREFILLED = ("model", "adapter", "dtype")  # what an address may ask to begin with
Values = dict[Any, Any]


class Playground:
    """The page's components, and what happens when one of them is used."""

    def __init__(self, client: Workbench, page: gr.Blocks) -> None:
        self._client = client
        bar("/")
        with gr.Row(equal_height=False, elem_id="playground"):
            with gr.Column(scale=7, min_width=320):
                self.view = html(fragment("talk_layout"), TALK, value={"job": ""}, elem_id="talk")
                self.trouble = html("${value}", value="", elem_id="trouble")
                self.prompt = gr.Textbox(
                    label="Message", placeholder="Write a message", lines=3, max_lines=12, elem_id="prompt"
                )
                self.sender = html(fragment("send"), SEND, elem_id="sender")
            with gr.Column(scale=3, min_width=280, elem_id="form"):
                first = {"model": [offers.BUILTIN], "adapter": []}
                self.form = forms.controls(GenerateSpec, OWN_FIELDS, first, {"dtype": self._add_needs})
                self.command = html("${value}", COMMAND, value="", elem_id="command")
        self._wire(page)

    def _add_needs(self) -> None:
        self.needs = html("${value}", value="", elem_id="needs")

    def _wire(self, page: gr.Blocks) -> None:
        components = [control.component for control in self.form]
        everything = {self.view, self.prompt, *components}
        shown = [self.view, self.prompt, self.trouble]
        listen(self.sender, "send", self.send, everything, shown)
        listen(self.view, "edit", self.edit, everything, shown)
        listen(self.view, "regenerate", self.regenerate, everything, shown)
        listen(self.view, "stop", self.stop, None, shown)
        listen(self.view, "retry", self.retry, None, shown)
        listen(self.view, "mend", self.mend, None, shown)
        listen(self.command, "follow", self.follow, everything, [self.command, self.needs])
        model, adapter = (self._component(name) for name in ("model", "adapter"))
        model.change(self.offer_adapters, [model, adapter], adapter, **SILENT)
        opened = [self.prompt, self.trouble, *components]
        page.load(self.open, self.view, opened, js="() => [wb.opened()]", **SILENT)

    def open(self, opened: Any, request: gr.Request) -> list[Any]:
        """The form as the job of the address had it; on the very first start, a prompt that can be sent at once.

        What needs no change is skipped: somebody may be typing there already.
        """
        client = acting_for(self._client, request)
        said_by_page = opened if isinstance(opened, dict) else {}
        job_id, gone = str(said_by_page.get("job") or ""), str(said_by_page.get("gone") or "")
        asked_for = {name: str(said_by_page[name]) for name in PREFILLED if said_by_page.get(name)}
        if gone:
            return [gr.skip(), said(f"There is no job {gone}."), *self._offered(client, {})]
        if name := str(said_by_page.get("recorded") or ""):
            return self._as_recorded(client, name)
        if not job_id:
            is_first_start = not client.count(JobFilter(owner=client.who.name))
            return [FIRST_PROMPT if is_first_start else gr.skip(), "", *self._offered(client, asked_for)]
        try:
            return [gr.skip(), "", *self._offered(client, client.show(job_id).spec)]
        except WorkbenchError as error:
            return [gr.skip(), said(error.message, error.hint), *self._offered(client, {})]

    def _as_recorded(self, client: Workbench, name: str) -> list[Any]:
        try:
            spec = Shelf.of(client.settings.home).job(name, "generate").spec
        except WorkbenchError as error:
            return [gr.skip(), said(error.message, error.hint), *self._offered(client, {})]
        return [spec["prompt"], "", *self._offered(client, spec)]

    def offer_adapters(self, model: Any, adapter: Any, request: gr.Request) -> Any:
        """The adapters that were trained on the model that is chosen; one of another model is put down."""
        client, chosen = acting_for(self._client, request), str(model or "")
        cleared = {"value": None} if offers.is_of_another(client, str(adapter or ""), chosen) else {}
        return gr.update(choices=offers.adapters(client, chosen), **cleared)

    def send(self, values: Values, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Ask what stands in the prompt."""
        by, prompt = asked(self._client, event, request), values[self.prompt] or ""
        return self._answer(lambda: turns.send(by.client, by.job, prompt, self._fields(values), by.key), prompt="")

    def edit(self, values: Values, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Ask something else in the place of an earlier message."""
        by = asked(self._client, event, request)
        return self._answer(lambda: turns.edit(by.client, by.job, by.index, by.text, self._fields(values), by.key))

    def regenerate(self, values: Values, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Ask the same once more."""
        by = asked(self._client, event, request)
        return self._answer(lambda: turns.regenerate(by.client, by.job, self._fields(values), by.key))

    def retry(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit what failed again."""
        by = asked(self._client, event, request)
        return self._answer(lambda: by.client.retry(by.job))

    def mend(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit what helps the answer that failed; another answer is shown here, any other job on its own page."""
        by = asked(self._client, event, request)
        try:
            job = mend(by.client, by.job, by.key)
        except WorkbenchError as error:
            return [gr.skip(), gr.skip(), said(error.message, error.hint)]
        return [{"job": job.id} if job.kind == turns.KIND else {"go": f"/runs?job={job.id}"}, gr.skip(), ""]

    def stop(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """End the answer that is being written; what is written stays."""
        by = asked(self._client, event, request)
        return self._answer(lambda: by.client.cancel(by.job))

    def follow(self, values: Values, request: gr.Request) -> list[str]:
        """The command line that does what the form would do, and what the chosen model would take."""
        client, fields = acting_for(self._client, request), self._fields(values)
        needs = offers.render_needs(client, str(fields.get("model") or ""), str(fields.get("dtype") or ""))
        return [self._command(client, values, fields), needs]

    def _command(self, client: Workbench, values: Values, fields: dict[str, Any]) -> str:
        job_id, prompt = str((values[self.view] or {}).get("job", "")), values[self.prompt] or ""
        try:
            spec = parse_spec(GenerateSpec, turns.spec_fields(turns.after(client, job_id), prompt, fields))
        except WorkbenchError as error:
            sentence = error.message if prompt.strip() else "Write a message to see it."
            return fragment("command", command="", sentence=sentence)
        return fragment("command", command=as_command(turns.KIND, spec), sentence="")

    def _offered(self, client: Workbench, spec: Mapping[str, Any]) -> list[Any]:
        known = {"model": offers.models(client), "adapter": offers.adapters(client, spec.get("model") or BUILTIN_NAME)}
        return forms.offered(self.form, known, offers.why_not(client), spec)

    def _component(self, name: str) -> Any:
        return next(control.component for control in self.form if control.name == name)

    def _fields(self, values: Values) -> dict[str, Any]:
        return forms.read(self.form, [values[control.component] for control in self.form])

    def _answer(self, do: Callable[[], Job], **cleared: str) -> list[Any]:
        """What view, prompt and trouble show afterwards; a refusal leaves all that was typed."""
        try:
            job = do()
        except WorkbenchError as error:
            return [gr.skip(), gr.skip(), said(error.message, error.hint)]
        return [{"job": job.id}, cleared.get("prompt", gr.skip()), ""]


def said(message: str, hint: str = "") -> str:
    """A sentence near the prompt that says what was refused."""
    return f'<div class="wb"><p class="refused" role="alert">{escape(message)} {escape(hint)}</p></div>'
