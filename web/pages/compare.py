"""Compare: what does precision (attention, an adapter) cost and give? A form, and at `/compare?job=ID` what was found.

The form's fields are those of the spec; `/compare?job=ID&change=1` is the form as that job had it. What a comparison
found is shown by the same fragments here and on the job's own page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from core.client import Workbench
from core.comparison.variants import BEFORE_AFTER
from core.errors import WorkbenchError
from core.jobs.compare import CompareSpec
from core.recording.file import Shelf
from core.spec import as_command, parse_spec
from web import compare_variants, forms, offers
from web.compare_advice import advise
from web.compare_needs import cannot_run, render_ready
from web.forms import Control
from web.pages.acting import ActsOnJobs, answer, data_of
from web.pages.frame import SILENT, acting_for, asked, bar, html, listen
from web.pages.playground import said
from web.templates import fragment

KIND = "compare"
OWN_FIELDS = ("variants", "adapter", "merged", "eval_own")  # controls of the page's own
TEXTS = [("editorials · sentences of newspapers", "editorials"), ("reviews · sentences on films", "reviews")]
EVENTS = ("stop", "retry", "mend", "describe", "remove")
VIEW = f"wb.compare(element, props, watch, trigger, {['opened', 'advise', *EVENTS]})"
SEND = "wb.compareSender(element, trigger, 'send')"
OWN = "wb.ownText(element, props, watch)"
COMMAND = "wb.command(trigger, 'follow')"
MOST_OWN = 400_000
Values = dict[Any, Any]


class Compare(ActsOnJobs):
    """The page's components, and what happens when one of them is used."""

    kind = KIND

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/compare")
        self.view = html(fragment("compare_layout"), VIEW, value={"job": ""}, elem_id="compared")
        self.trouble = html("${value}", value="", elem_id="trouble")
        with gr.Row(equal_height=False, elem_id="compare"):
            with gr.Column(scale=7, min_width=320, elem_id="form"):
                first = {"model": [offers.BUILTIN], "eval_text": TEXTS, "reference": [("", "")]}
                below = {"model": self._add_variants, "eval_text": self._add_own_text}
                self.form = forms.controls(CompareSpec, OWN_FIELDS, first, below)
            with gr.Column(scale=4, min_width=300, elem_id="readiness"):
                self.ready = html("${value}", value="", elem_id="ready")
                self.sender = html(fragment("compare_send"), SEND, elem_id="sender")
                self.command = html("${value}", COMMAND, value="", elem_id="command")
        self._wire()

    def _add_variants(self) -> None:
        self.variants = compare_variants.component()

    def _add_own_text(self) -> None:
        help = CompareSpec.model_fields["eval_own"].description or ""
        self.own = html(fragment("compare_own", help=help, most=MOST_OWN), OWN, value={"n": 0}, elem_id="own")

    def _wire(self) -> None:
        components = [control.component for control in self.form]
        everything = {self.view, self.variants, self.own, *components}
        listen(self.view, "opened", self.open, None, [self.trouble, self.variants, self.own, *components])
        listen(self.view, "advise", self.advise, None, self.view)
        listen(self.sender, "send", self.send, everything, [self.view, self.trouble])
        listen(
            self.command, "follow", self.follow, everything, [self.command, self.ready, self._component("reference")]
        )
        for event in EVENTS:
            listen(self.view, event, getattr(self, event), None, [self.view, self.trouble])
        self._component("model").change(self.offer, [self._component("model"), self.variants], self.variants, **SILENT)

    def open(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """The form as the job of the address had it, or as the address itself asks."""
        client, data = acting_for(self._client, request), data_of(event)
        try:
            spec = _spec_of(client, data)
            trouble = ""
        except WorkbenchError as error:
            spec, trouble = {}, said(error.message, error.hint)
        why = cannot_run(client)
        model = str(spec.get("model") or CompareSpec.model_fields["model"].default)
        held = compare_variants.shown(
            spec.get("variants") or CompareSpec.model_fields["variants"].default, spec, why, _offers(client, model)
        )
        own = str(spec.get("eval_own") or "")
        known = {"model": offers.models(client), "eval_text": TEXTS}
        plain = {name: value for name, value in spec.items() if name not in OWN_FIELDS and value is not None}
        return [trouble, held, {"n": len(own), "text": own}, *forms.offered(self.form, known, why, plain)]

    def offer(self, model: Any, variants: Any, request: gr.Request) -> Any:
        """The adapters that were trained on the model that is chosen."""
        client, held = acting_for(self._client, request), variants if isinstance(variants, dict) else {}
        return held | {"why": cannot_run(client), "offers": _offers(client, str(model or ""))}

    def send(self, values: Values, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit what the form holds; the text of one's own comes with the event, and never while one only chooses."""
        by, own = asked(self._client, event, request), str(data_of(event).get("own") or "")
        fields = self._fields(values) | ({"eval_own": own} if own else {})
        return answer(lambda: by.client.submit(KIND, fields, key=by.key))

    def follow(self, values: Values, request: gr.Request) -> list[Any]:
        """The command line that does the same, what it will take, and which variants can be the reference."""
        client, fields = acting_for(self._client, request), self._fields(values)
        try:
            spec = parse_spec(CompareSpec, fields)
        except WorkbenchError as error:
            refused = fragment("command", command="", sentence=error.message)
            return [refused, said(error.message, error.hint), gr.skip()]
        n_own = _size((values[self.own] or {}).get("n"))
        command = "" if n_own else as_command(KIND, spec)
        sentence = "A text of your own goes with the form only: name a file to have a command line." if n_own else ""
        names = [("the most precise one that runs here", ""), *((name, name) for name in spec.names)]
        shown = fragment("command", command=command, sentence=sentence)
        return [shown, render_ready(client, spec, n_own), gr.update(choices=names)]

    def advise(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Which variant to take on a card, at a context, for a goal; to a bad question, what is wrong with it."""
        by = asked(self._client, event, request)
        return answer_of_advice(by.client, by.job, event._data)

    def describe(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Give it a name and a note."""
        by = asked(self._client, event, request)
        return answer(lambda: by.client.describe(by.job, name=by.name, note=by.note))

    def remove(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Forget it, and go to the list of runs."""
        by = asked(self._client, event, request)
        try:
            by.client.delete(by.job)
        except WorkbenchError as error:
            return [gr.skip(), said(error.message, error.hint)]
        return [{"go": "/runs?kind=compare"}, ""]

    def _component(self, name: str) -> Any:
        return next(control.component for control in self.form if control.name == name)

    def _fields(self, values: Values) -> dict[str, Any]:
        form: list[Control] = self.form
        fields = forms.read(form, [values[control.component] for control in form])
        return fields | compare_variants.read(values[self.variants])


def answer_of_advice(client: Workbench, job: str, sent: Any) -> dict[str, Any]:
    """What the view of a job shows for a question about a card: a value of its own each time, or it would not hear."""
    data = sent if isinstance(sent, dict) else {}
    try:
        answer = advise(client, job, data)
    except WorkbenchError as error:
        answer = said(error.message, error.hint)
    return {"job": job, "advice": answer, "n": str(data.get("n"))[:20]}


def _spec_of(client: Workbench, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the form begins with: as a job or a recording had it, or as the address asks."""
    if job := _word(data, "job"):
        return client.show(job).spec
    if recorded := _word(data, "recorded"):
        return Shelf.of(client.settings.home).job(recorded, KIND).spec
    return _asked_by(data)


def _asked_by(data: Mapping[str, Any]) -> dict[str, Any]:
    """What an address asks to begin with."""
    words = {name: _word(data, name) for name in ("model", "adapter", "merged", "eval_text")}
    variants = [one for one in _word(data, "variants").split(",") if one.strip()]
    asked_for: dict[str, Any] = {name: word for name, word in words.items() if word}
    if variants and variants != [BEFORE_AFTER]:
        asked_for |= {"variants": variants}
    if not asked_for:
        return {}
    return CompareSpec.understand(asked_for)[0]


def _offers(client: Workbench, model: str) -> dict[str, list[str]]:
    return {
        "adapter": [value for _, value in offers.adapters(client, model)],
        "merged": [value for _, value in offers.models(client) if value != model],
    }


def _size(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= MOST_OWN else 0


def _word(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name) or "")[:2_000]
