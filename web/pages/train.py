"""Fine-tune: teach a model with rows of one's own. A form, and at `/train?job=ID` what it learns while it learns.

`/train?kind=rlhf` is the form of another kind; `/train?like=ID` is the form as that job had it, with `resume` a
checkpoint to go on from; `/train?jobs=A,B` lays the curves of several over each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from core.client import Workbench
from core.errors import WorkbenchError
from core.ids import is_id
from core.jobs.preview import PreviewSpec
from core.spec import as_command, parse_spec
from core.values import Job
from web import forms, offers, train_form
from web.forms import Control
from web.headlines import short
from web.pages.acting import ActsOnJobs, answer, data_of
from web.pages.frame import SILENT, acting_for, asked, bar, html, listen
from web.pages.playground import said
from web.templates import fragment
from web.train_data import title_of_data
from web.train_kinds import BY_KIND, SFT, TRAIN_KINDS, TrainKind
from web.train_over import render_over
from web.train_ready import cannot_run, render_ready

EVENTS = ("stop", "retry", "mend", "pause", "resume", "merge", "clean")
VIEW = f"wb.train(element, props, watch, trigger, {['opened', *EVENTS]})"
PRESET = "wb.presets(element, trigger, 'fill')"
PEEK = "wb.peek(element, props, watch, trigger, ['peek', 'stop', 'retry'])"
SEND = "wb.trainSender(element, trigger, 'send')"
COMMAND = "wb.command(trigger, 'follow')"
OVER = "wb.over(element, props, watch, trigger, 'opened')"
RUNS = "wb.trainRuns(element)"
PREFILLED = ("model", "data", "adapter", "dtype", "resume_from", "judge_data", "judge_label")
NUMBERS = ("judge_share", "min_chars", "max_chars")
Values = dict[Any, Any]


class Train(ActsOnJobs):
    """The page's components, and what happens when one of them is used."""

    def __init__(self, client: Workbench, trained: TrainKind = SFT) -> None:
        self._client, self._trained = client, trained
        bar("/train")
        head = fragment("train_layout", kinds=TRAIN_KINDS, now=trained)
        self.view = html(head, VIEW, value={"job": ""}, elem_id="trained")
        self.trouble = html("${value}", value="", elem_id="trouble")
        self.over = html(fragment("train_over_layout"), OVER, value={}, elem_id="over")
        self.presets = html(fragment("train_presets", presets=trained.presets), PRESET, elem_id="presets")
        with gr.Row(equal_height=False, elem_id="train", elem_classes=f"train-{trained.name}"):
            with gr.Column(scale=7, min_width=320, elem_id="form"):
                below = {"model": self._add_needs, "data": self._add_peek}
                self.form = train_form.controls(trained, below)
            with gr.Column(scale=4, min_width=300, elem_id="readiness"):
                self.ready = html("${value}", value="", elem_id="ready")
                self.sender = html(fragment("train_send"), SEND, elem_id="sender")
                self.command = html("${value}", COMMAND, value="", elem_id="command")
        html(fragment("train_runs", now=trained), RUNS, elem_id="train-runs")
        self._wire()

    def _add_needs(self) -> None:
        self.needs = html("${value}", value="", elem_id="needs")

    def _add_peek(self) -> None:
        self.peeked = html(fragment("train_peek"), PEEK, value={"job": ""}, elem_id="peek")

    def _wire(self) -> None:
        components = [control.component for control in self.form]
        everything = {self.view, *components}
        listen(self.view, "opened", self.open, None, [self.view, self.trouble, *components])
        listen(self.presets, "fill", self.fill, None, [self.trouble, *components])
        listen(self.over, "opened", self.lay_over, None, self.over)
        listen(self.sender, "send", self.send, everything, [self.view, self.trouble])
        listen(self.command, "follow", self.follow, everything, [self.command, self.ready, self.needs])
        listen(self.peeked, "peek", self.peek, everything, [self.peeked, self.trouble])
        for event in ("stop", "retry"):
            listen(self.peeked, event, getattr(self, event), None, [self.peeked, self.trouble])
        for event in EVENTS:
            listen(self.view, event, getattr(self, event), None, [self.view, self.trouble])
        if "adapter" not in self._trained.left_out:
            model, adapter = self._component("model"), self._component("adapter")
            model.change(self.offer_adapters, [model, adapter], adapter, **SILENT)

    def open(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """The form as the job of the address had it, or as the address itself asks."""
        client, data = acting_for(self._client, request), data_of(event)
        spec: dict[str, Any] = {}
        trouble = ""
        try:
            if like := _word(data, "like"):
                job = client.show(like)
                if job.kind != self._trained.name and job.kind in BY_KIND:
                    return [{"go": _elsewhere(job.kind, data)}, "", *(gr.skip() for _ in self.form)]
                spec = self._fields_of(job)
        except WorkbenchError as error:
            trouble = said(error.message, error.hint)
        spec |= {name: word for name in PREFILLED if (word := _word(data, name))}
        spec |= {name: number for name in NUMBERS if (number := _number(data, name)) is not None}
        if reward := _word(data, "reward"):
            spec["rewards"] = [reward]
        return [gr.skip(), trouble, *self._filled(client, spec)]

    def fill(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """The form as a preset has it: each field that it does not name goes back to its default."""
        client, name = acting_for(self._client, request), _word(data_of(event), "name")
        preset = next((one for one in self._trained.presets if one.name == name), None)
        if preset is None:
            return [said("There is no such preset."), *(gr.skip() for _ in self.form)]
        return ["", *self._filled(client, parse_spec(self._trained.spec, preset.fields).model_dump(mode="json"))]

    def offer_adapters(self, model: Any, adapter: Any, request: gr.Request) -> Any:
        """The adapters that were trained on the model that is chosen; one of another model is put down."""
        client, chosen = acting_for(self._client, request), str(model or "")
        cleared = {"value": None} if offers.is_of_another(client, str(adapter or ""), chosen) else {}
        return gr.update(choices=offers.adapters(client, chosen), **cleared)

    def send(self, values: Values, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit what the form holds."""
        by = asked(self._client, event, request)
        fields = self._fields(values)
        return answer(lambda: by.client.submit(self._trained.name, fields, name=_name(by.client, fields), key=by.key))

    def peek(self, values: Values, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Preview the data of the form as its model would learn it."""
        by, fields = asked(self._client, event, request), self._fields(values)
        known = {name: value for name, value in fields.items() if name in PreviewSpec.model_fields}
        known["per_device_train_batch_size"] = _at_most(known.get("per_device_train_batch_size"), 64)
        return answer(lambda: by.client.submit("preview", known, key=by.key))

    def follow(self, values: Values, request: gr.Request) -> list[Any]:
        """The command line that does the same, what it will be, and what the model takes."""
        client, fields = acting_for(self._client, request), self._fields(values)
        needs = offers.render_needs(client, str(fields.get("model") or ""), str(fields.get("dtype") or ""))
        try:
            spec = parse_spec(self._trained.spec, fields)
        except WorkbenchError as error:
            refused = fragment("command", command="", sentence=error.message)
            return [refused, said(error.message, error.hint), needs]
        command = fragment("command", command=as_command(self._trained.name, spec), sentence="")
        return [command, render_ready(client, spec), needs]

    def lay_over(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """The curves of several runs, and what differs between them; to a bad question, what is wrong with it."""
        client, data = acting_for(self._client, request), data_of(event)
        jobs = [one.strip() for one in _word(data, "jobs").split(",") if one.strip()]
        if not jobs:
            return {}
        try:
            return render_over(client, jobs) | {"n": _word(data, "n")[:20]}
        except WorkbenchError as error:
            return {"html": said(error.message, error.hint), "n": _word(data, "n")[:20]}

    def _shows(self, kind: str) -> bool:
        return kind in BY_KIND

    def _filled(self, client: Workbench, spec: Mapping[str, Any]) -> list[Any]:
        return train_form.filled(self._trained, self.form, client, spec, cannot_run(client))

    def _fields_of(self, job: Job) -> dict[str, Any]:
        """The fields of a training, without the checkpoint that it went on from."""
        known = {name: value for name, value in job.spec.items() if name in self._trained.spec.model_fields}
        return known | {"resume_from": ""}

    def _component(self, name: str) -> Any:
        return next(control.component for control in self.form if control.name == name)

    def _fields(self, values: Values) -> dict[str, Any]:
        form: list[Control] = self.form
        return forms.read(form, [values[control.component] for control in form])


def _name(client: Workbench, fields: Mapping[str, Any]) -> str:
    """What a run on an upload is called: by the file's name, since its id says nothing. "" for the usual name."""
    data = str(fields.get("data") or "")
    title = title_of_data(client, data)
    return f"{short(str(fields.get('model') or ''))} on {title}"[:200] if is_id(data) and title != data else ""


def _elsewhere(kind: str, data: Mapping[str, Any]) -> str:
    """The same form where that kind has its own."""
    asked = {"like": _word(data, "like"), "resume": _word(data, "resume_from")}
    return f"{BY_KIND[kind].link}&{urlencode({name: word for name, word in asked.items() if word})}"


def _at_most(value: Any, most: int) -> Any:
    return min(value, most) if isinstance(value, int) else most


def _number(data: Mapping[str, Any], name: str) -> float | None:
    """A number of the address; None where it is none."""
    with suppress(ValueError):
        found = float(_word(data, name))
        return int(found) if found.is_integer() else found
    return None


def _word(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name) or "")[:2_000]
