"""Open sockets, by the session that opened them: they are closed when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.askers import Asker

SIGNED_OUT = 4401
LOOK_S = 3.0
log = logging.getLogger(__name__)


class Lines:
    """The sockets of one application. Who has not signed in any more is cut off within three seconds."""

    def __init__(self, holds: Callable[[Asker], Awaitable[bool]], most_each: int = 0) -> None:
        self._holds = holds
        self._most_each = most_each
        self._open: set[_Line] = set()
        self._n_of: Counter[str] = Counter()
        self._watching: asyncio.Task[None] | None = None

    def is_full(self, asker: Asker) -> bool:
        """Whether whoever asks holds as many sockets as one may."""
        return 0 < self._most_each <= self._n_of[_counted(asker)]

    async def serve(self, app: ASGIApp, asker: Asker, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a socket until it closes or its session ends."""
        line, counted = _Line(asker, receive, send), _counted(asker)
        self._open.add(line)
        self._n_of[counted] += 1
        if asker.token and (self._watching is None or self._watching.done()):
            self._watching = asyncio.create_task(self._watch())
        try:
            await app(scope, line.receive, line.send)
        finally:
            line.leave()
            self._open.discard(line)
            self._n_of[counted] -= 1
            if not self._n_of[counted]:
                del self._n_of[counted]

    async def _watch(self) -> None:
        while self._open:
            await asyncio.sleep(LOOK_S)
            for asker in {line.asker for line in self._open}:
                if not await self._is_good(asker):
                    for line in [one for one in self._open if one.asker == asker]:
                        line.cut()

    async def _is_good(self, asker: Asker) -> bool:
        try:
            return await self._holds(asker)
        except Exception:  # the store does not answer: it is asked again, and the sockets of all others are watched on
            log.exception("whether a session holds could not be read")
            return True


class _Line:
    """One socket, which can be cut from outside of whoever serves it."""

    def __init__(self, asker: Asker, receive: Receive, send: Send) -> None:
        self.asker = asker
        self._receive, self._send = receive, send
        self._cut = asyncio.Event()
        self._next: asyncio.Task[Message] | None = None
        self._bye: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """What the browser says next; that it has left, once the line is cut."""
        self._next = self._next or asyncio.ensure_future(self._receive())
        cut = asyncio.ensure_future(self._cut.wait())
        done, _ = await asyncio.wait({self._next, cut}, return_when=asyncio.FIRST_COMPLETED)
        cut.cancel()
        if self._next in done:
            found, self._next = self._next.result(), None
            return found
        return {"type": "websocket.disconnect", "code": SIGNED_OUT}

    async def send(self, message: Message) -> None:
        """Say something, unless the line is cut."""
        if not self._cut.is_set():
            await self._send(message)

    def cut(self) -> None:
        """Close it, without waiting for whoever does not read."""
        if not self._cut.is_set():
            self._cut.set()
            bye = {"type": "websocket.close", "code": SIGNED_OUT, "reason": "You have been signed out."}
            self._bye = asyncio.ensure_future(_quietly(self._send(bye)))

    def leave(self) -> None:
        """Wait for nothing more."""
        if self._next:
            self._next.cancel()


async def _quietly(said: Awaitable[None]) -> None:
    with suppress(Exception):  # it has gone by itself
        await said


def _counted(asker: Asker) -> str:
    return (asker.who.source or asker.who.name) if asker.who else ""
