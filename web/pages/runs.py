"""Runs: what was done, how did it go, do it again. The list, and at `/runs?job=ID` the page of one job.

Both follow their socket; the handlers here only do what is asked of a job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from core.client import Workbench
from core.errors import WorkbenchError
from core.states import State
from core.values import Visibility
from web.mending import mend
from web.pages.acting import answer_clean, merge_of
from web.pages.compare import answer_of_advice
from web.pages.frame import asked, bar, html, listen
from web.pages.playground import said
from web.templates import fragment

EVENTS = ("stop", "retry", "mend", "pause", "resume", "merge", "clean", "describe", "hide", "share", "remove")
JOB = f"wb.jobPage(element, props, watch, trigger, {[*EVENTS, 'advise']})"


class Runs:
    """The page's components, and what happens when one of them is used."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/runs")
        kinds = [kind.name for kind in client.kinds]
        html(fragment("runs_layout", kinds=kinds, states=list(State), me=client.who.name), "wb.runs(element)")
        self.trouble = html("${value}", value="", elem_id="trouble")
        self.view = html(fragment("job_layout"), JOB, value={"job": ""}, elem_id="job")
        for event in EVENTS:
            listen(self.view, event, getattr(self, event), None, [self.view, self.trouble])
        listen(self.view, "advise", self.advise, None, self.view)

    def stop(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Cancel it, or ask it to stop."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.cancel(by.job).id})

    def retry(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit the same again, and go there."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.retry(by.job).id})

    def mend(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit what helps it, and go there."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": mend(by.client, by.job, by.key).id})

    def pause(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Hold it until it is resumed."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.pause(by.job).id})

    def resume(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Let it go on."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.resume(by.job).id})

    def merge(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Merge the adapter that it made into its base, and go there."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": merge_of(by.client, by.job, by.key).id})

    def clean(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Delete its checkpoints."""
        by = asked(self._client, event, request)
        return answer_clean(by.client, by.job)

    def describe(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Give it a name and a note."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.describe(by.job, name=by.name, note=by.note).id, "saved": by.text})

    def hide(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Let nobody but its owner and administrators see it."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.describe(by.job, visibility=Visibility.PRIVATE).id})

    def share(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Let the team see it."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.describe(by.job, visibility=Visibility.TEAM).id})

    def advise(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Which variant of a comparison to take on a card, at a context, for a goal."""
        by = asked(self._client, event, request)
        return answer_of_advice(by.client, by.job, event._data)

    def remove(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Forget it, and go back to the list."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"gone": by.client.delete(by.job)})


def _answer(do: Callable[[], dict[str, str]]) -> list[Any]:
    try:
        return [do(), ""]
    except WorkbenchError as error:
        return [gr.skip(), said(error.message, error.hint)]
