"""Pipelines: a form of steps, and at `/pipelines?job=ID` the pipeline while it goes on.

`/pipelines?like=ID` is the form as that pipeline had it: what is unchanged is taken over when it is started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from core.client import Workbench
from core.errors import WorkbenchError
from core.jobs.pipeline import KIND, NAME
from core.pipeline.presets import BY_NAME, DEMO
from core.recording.file import Shelf
from web.pages.acting import ActsOnJobs, answer, data_of
from web.pages.frame import acting_for, asked, bar, html, listen
from web.pages.playground import said
from web.step_form import STEPS_OFFERED, render_steps
from web.templates import fragment
from web.train_kinds import TRAIN_KINDS

ACTIONS = ("stop", "retry", "mend", "pause", "resume", "merge", "clean")
VIEW = f"wb.pipelines(element, props, watch, trigger, {['opened', 'fill', 'more', 'ask', 'send', *ACTIONS]})"


class Pipelines(ActsOnJobs):
    """The page's components, and what happens when one of them is used."""

    kind = NAME

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/train")
        layout = fragment("pipelines_layout", presets=KIND.presets, kinds=TRAIN_KINDS, offered=STEPS_OFFERED)
        self.trouble = html("${value}", value="", elem_id="trouble")
        self.view = html(layout, VIEW, value={}, elem_id="pipelines")
        for event in ("opened", "fill", "more", "send", *ACTIONS):
            listen(self.view, event, getattr(self, event), None, [self.view, self.trouble])
        listen(self.view, "ask", self.ask, None, self.view)

    def opened(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """The form as the pipeline of the address had it, else as the first preset has it."""
        client, like = acting_for(self._client, request), str(data_of(event).get("like") or "")
        recorded = str(data_of(event).get("recorded") or "")
        if not like and not recorded:
            return [_form(event, client, DEMO.fields["steps"], DEMO.title), ""]
        try:
            job = client.show(like) if like else Shelf.of(client.settings.home).job(recorded, NAME)
        except WorkbenchError as error:
            return [_form(event, client, []), said(error.message, error.hint)]
        return [_form(event, client, job.spec.get("steps", []) if job.kind == NAME else [], job.name), ""]

    def fill(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """The form as a preset has it."""
        preset = BY_NAME.get(str(data_of(event).get("name") or ""))
        if preset is None:
            return [gr.skip(), said("There is no such preset.")]
        return [_form(event, acting_for(self._client, request), preset.fields["steps"], preset.title), ""]

    def more(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """The form with one more step."""
        steps, kind = _steps(event), str(data_of(event).get("kind") or "")
        names = {str(step.get("name")) for step in steps}
        name = next(one for one in (kind, *(f"{kind}_{n}" for n in range(2, len(steps) + 3))) if one not in names)
        return [
            _form(event, acting_for(self._client, request), [*steps, {"name": name, "kind": kind, "fields": {}}]),
            "",
        ]

    def ask(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Whether the steps could be started as they are; else what is wrong with them."""
        client, at = acting_for(self._client, request), data_of(event).get("n")
        try:
            client.check_pipeline({"steps": _steps(event)})
        except WorkbenchError as error:
            return {"sentence": f"{error.message} {error.hint}".strip(), "n": at}
        return {"sentence": "Ready. What was done before with the same fields is taken over.", "n": at}

    def send(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit the steps."""
        by, steps = asked(self._client, event, request), _steps(event)
        return answer(lambda: by.client.submit(NAME, {"steps": steps}, name=by.name[:200], key=by.key))


def _form(event: gr.EventData, client: Workbench, steps: Any, title: str = "") -> dict[str, Any]:
    return {"steps": render_steps(client, steps), "title": title, "drawing": data_of(event).get("drawing")}


def _steps(event: gr.EventData) -> list[Mapping[str, Any]]:
    """What the script sent as steps; a stranger's words, which their Specs check."""
    steps = data_of(event).get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
