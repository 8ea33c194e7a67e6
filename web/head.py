"""Puts our stylesheets and scripts into the head of the pages as they leave the server.

Gradio's own `head=` is carried out by its script, after the first paint and in no certain order: a page would flash
unstyled, and a component could be drawn before the script that it calls is there.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """A middleware that writes what `pages` has for an address behind the <head> of the page there."""

    def __init__(self, app: ASGIApp, pages: Mapping[str, str]) -> None:
        self._app = app
        self._pages = {path: text.encode() for path, text in pages.items()}

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
                    await self._send(send, start[0], b"".join(body), _visitor(scope) + self._pages[scope["path"]])
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


def _visitor(scope: Scope) -> bytes:
    """The name of a visitor who has shown none: where no cookie is kept, as in a frame, the page's script shows it."""
    asker = scope.get("state", {}).get("asker")
    if asker is None or not asker.fresh:
        return b""
    return f'<meta name="wb-visitor" content="{html.escape(asker.fresh)}">'.encode()
