"""Puts our stylesheets and scripts into the head of the pages as they leave the server.

Gradio's own `head=` is carried out by its script, after the first paint and in no certain order: a page would flash
unstyled, and a component could be drawn before the script that it calls is there.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """A middleware that writes what `pages` has for an address behind the <head> of the page there."""

    def __init__(self, app: ASGIApp, pages: Mapping[str, str]) -> None:
        self._app = app
        self._pages = {path: html.encode() for path, html in pages.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as a page with our head where it is one."""
        if scope["type"] != "http" or scope["path"] not in self._pages or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: list[Message] = []
        body: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.append(message)
            elif message["type"] == "http.response.body":
                body.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._send(send, start[0], b"".join(body), self._pages[scope["path"]])
            else:
                await send(message)

        await self._app(scope, receive, keep)

    async def _send(self, send: Send, start: Message, page: bytes, head: bytes) -> None:
        page = page.replace(b"<head>", b"<head>" + head, 1)
        headers = MutableHeaders(scope=start)
        headers["content-length"] = str(len(page))
        headers["cache-control"] = "no-cache"
        await send(start)
        await send({"type": "http.response.body", "body": page})
