"""Stylesheets and scripts, as files of our own: each under an address that holds a hash of what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from markupsafe import Markup
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "ui"
STYLES = (
    "workbench.css",
    "parts.css",
    "models.css",
    "fit.css",
    "compare.css",
    "learn.css",
    "side.css",
    "train.css",
    "data.css",
    "pipeline.css",
    "recorded.css",
    "cards.css",
    "gradio.css",
)
# in this order: a later one uses the ones before it
SCRIPTS = (
    "visitor.js", "vendor/marked.umd.js", "vendor/purify.min.js", "base.js", "markdown.js", "socket.js", "charts.js",
    "notices.js",
    "curves.js", "live.js",
    "talk.js", "runs.js", "form.js",
)  # fmt: skip
PLAIN_STYLES = ("workbench.css", "parts.css", "account.css")
ECHARTS = "vendor/echarts.min.js"


def address(name: str) -> str:
    """Where a browser finds a file; it changes with the file, so that it may be kept for ever."""
    digest = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
    return f"/ui/{name}?v={digest}"


def head(more: Collection[str] = (), sign_in: str = "") -> str:
    """What the head of a page needs before the first paint, and the scripts that it needs before Gradio's run.

    `sign_in` is where people sign in, if they do.
    """
    icon = f'<link rel="icon" type="image/svg+xml" href="{address("icon.svg")}">'
    styles = "".join(f'<link rel="stylesheet" href="{address(name)}">' for name in STYLES)
    scripts = "".join(f'<script src="{address(name)}"></script>' for name in SCRIPTS)
    deferred = "".join(f'<script defer src="{address(name)}"></script>' for name in more)
    charts = f'<meta name="wb-echarts" content="{address(ECHARTS)}">'  # fetched when a chart appears
    door = f'<meta name="wb-sign-in" content="{sign_in}">' if sign_in else ""
    return f'<meta name="color-scheme" content="light dark">{door}{charts}{icon}{styles}{scripts}{deferred}'


def plain_head() -> Markup:
    """What the head of a page needs that is a plain document, without Gradio."""
    styles = "".join(f'<link rel="stylesheet" href="{address(name)}">' for name in PLAIN_STYLES)
    icon = f'<link rel="icon" type="image/svg+xml" href="{address("icon.svg")}">'
    scheme = '<meta name="color-scheme" content="light dark">'
    return Markup(f'{scheme}{icon}{styles}<script src="{address("plain.js")}"></script>')  # noqa: S704 - all of it is ours


class Files(StaticFiles):
    """The files, kept by browsers for a year where the address holds their hash."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or the 404."""
        response = await super().get_response(path, scope)
        hashed = b"v=" in scope.get("query_string", b"")
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return response
