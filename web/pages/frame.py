"""What every page has: the bar above it, and the way from a request to a client that acts for whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.client import Workbench
from core.modes import Mode
from web.access import asker
from web.assets import ECHARTS
from web.templates import fragment


@dataclass(frozen=True)
class Page:
    """An entry of the bar; `scripts` are those that this page needs beside the ones of every page."""

    title: str
    path: str
    scripts: tuple[str, ...] = ()


CHARTS = (ECHARTS,)  # a megabyte: up front where there is a chart at once, elsewhere when one appears
PAGES = (
    Page("Playground", "/"),
    Page("Compare", "/compare", ("compare.js",)),
    Page("Fine-tune", "/train", ("train.js", "rewards.js")),
    Page("Runs", "/runs", ("compare.js",)),
    Page("Models", "/models", ("models.js",)),
    Page("Cards", "/cards", ("models.js", "cards.js")),
    Page("Will it fit?", "/fit", (*CHARTS, "fit.js")),
)
ASIDE = (  # not in the bar: reached from where they are needed
    Page("What quantization does", "/learn", (*CHARTS, "learn.js")),
    Page("Data", "/data", ("data.js",)),
    Page("Pipelines", "/pipelines", ("pipelines.js",)),
    Page("Artifact", "/artifacts", ("data.js",)),
    Page("Recorded runs", "/recorded", ("recorded.js",)),
    Page("Side by side", "/side-by-side", ("compare.js", "side.js")),
)
SILENT: dict[str, Any] = {
    "queue": False,  # each handler ends at once, so none needs an event stream, and no tab holds a connection
    "show_progress": "hidden",
    "api_visibility": "private",
}


FOR_VISITORS = ("/", "/compare", "/train", "/recorded", "/runs", "/fit", "/learn")
MODE: ContextVar[Mode] = ContextVar("mode", default=Mode.LOCAL)
"""The mode of the application whose pages are being made: its bar names the pages that are open."""


def in_bar(mode: Mode) -> tuple[Page, ...]:
    """The entries of the bar, at most seven."""
    if mode is not Mode.PUBLIC:
        return PAGES
    every = {page.path: page for page in (*PAGES, *ASIDE)}
    return tuple(every[path] for path in FOR_VISITORS)


def bar(path: str) -> None:
    """The bar of the page at `path`."""
    html(fragment("nav", pages=in_bar(MODE.get()), path=path), "wb.bar(element)", elem_classes="wb-host wb-navhost")


def html(template: str, script: str = "", *, value: Any = None, **options: Any) -> gr.HTML:
    """HTML of ours, untouched by Gradio's own style. `template` must hold nothing that comes from a job."""
    options.setdefault("elem_classes", "wb-host")
    return gr.HTML(value, html_template=template, js_on_load=script or None, apply_default_css=False, **options)


@dataclass(frozen=True)
class Asked:
    """What a script of ours sent with its event: words of a stranger, to be looked up or checked like any others."""

    client: Workbench
    job: str
    key: str | None
    index: int
    text: str
    name: str
    note: str


def asked(client: Workbench, event: gr.EventData, request: gr.Request) -> Asked:
    """The event's data, each of the type that it must be, and a client for whoever sent it."""
    data = event._data if isinstance(event._data, dict) else {}
    words = {name: str(data.get(name) or "") for name in ("job", "text", "name", "note")}
    index, key = data.get("index"), str(data.get("key") or "")[:64]
    return Asked(acting_for(client, request), key=key or None, index=index if isinstance(index, int) else -1, **words)


def listen(view: gr.HTML, event: str, handler: Callable[..., Any], inputs: Any, outputs: Any) -> Any:
    """Have `handler` called each time the script of `view` triggers `event`.

    By default Gradio drops without a word what is triggered while the last call is under way: a message would be lost.
    A double click is told apart by its key.
    """
    return getattr(view, event)(handler, inputs, outputs, trigger_mode="multiple", **SILENT)


def acting_for(client: Workbench, request: gr.Request) -> Workbench:
    """The client on behalf of whoever sent this request: from the doors, never from a component."""
    assert request.request is not None
    return client.acting_for(asker(request.request))
