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
from web.pages.frame import asked, bar, html, listen
from web.pages.playground import said
from web.templates import fragment

JOB = "wb.jobPage(element, props, watch, trigger, ['stop', 'retry', 'describe', 'remove'])"


class Runs:
    """The page's components, and what happens when one of them is used."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        bar("/runs")
        kinds = [kind.name for kind in client.kinds]
        html(fragment("runs_layout", kinds=kinds, states=list(State), me=client.who.name), "wb.runs(element)")
        self.trouble = html("${value}", value="", elem_id="trouble")
        self.view = html(fragment("job_layout"), JOB, value={"job": ""}, elem_id="job")
        for event in ("stop", "retry", "describe", "remove"):
            listen(self.view, event, getattr(self, event), None, [self.view, self.trouble])

    def stop(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Cancel it, or ask it to stop."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.cancel(by.job).id})

    def retry(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Submit the same again, and go there."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.retry(by.job).id})

    def describe(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Give it a name and a note."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"job": by.client.describe(by.job, name=by.name, note=by.note).id, "saved": by.text})

    def remove(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Forget it, and go back to the list."""
        by = asked(self._client, event, request)
        return _answer(lambda: {"gone": by.client.delete(by.job)})


def _answer(do: Callable[[], dict[str, str]]) -> list[Any]:
    try:
        return [do(), ""]
    except WorkbenchError as error:
        return [gr.skip(), said(error.message, error.hint)]
