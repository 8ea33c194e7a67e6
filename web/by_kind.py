"""Lets one address have a page for each kind: `/train?kind=rlhf` is answered by the page at `/train-rlhf`.

The components of a page are made once, when the application starts, and each kind has its own form.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send


class ByKind:
    """A middleware; `pages` has for an address the addresses of its pages, by kind."""

    def __init__(self, app: ASGIApp, pages: Mapping[str, Mapping[str, str]]) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a request on to the page of its kind; one without a kind, or of an unknown one, stays where it is."""
        if scope["type"] == "http" and scope["path"] in self._pages:
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("kind", [""])[0]
            path = self._pages[scope["path"]].get(asked, scope["path"])
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
