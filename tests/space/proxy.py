"""A small proxy between a browser and the page, as one stands before a Space: it says whose request it is.

It can also take every cookie away, which is what a browser does that keeps none for a frame on another site.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from urllib.parse import urlsplit


class Proxy(threading.Thread):
    """Serves on a free port until stopped."""

    def __init__(self, target: str, *, takes_cookies: bool = False) -> None:
        super().__init__(daemon=True)
        parts = urlsplit(target)
        self._target = parts.hostname or "", parts.port or 80
        self._takes_cookies = takes_cookies
        self._loop = asyncio.new_event_loop()
        self._has_begun = threading.Event()
        self.port = 0

    def start(self) -> None:
        super().start()
        assert self._has_begun.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(10)

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._has_begun.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            there, to_there = await asyncio.open_connection(*self._target)
            head = await reader.readuntil(b"\r\n\r\n")
            to_there.write(self._asked(head))
            answered = asyncio.create_task(self._back(there, writer))
            await _pump(reader, to_there)
            await answered
        writer.close()

    def _asked(self, head: bytes) -> bytes:
        """The request with what a proxy adds; each connection carries one, unless it becomes a socket."""
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        dropped = {b"x-forwarded-for"} | ({b"cookie"} if self._takes_cookies else set())
        is_socket = any(line.lower().startswith(b"upgrade:") for line in lines)
        dropped |= set() if is_socket else {b"connection"}
        kept = [line for line in lines if line.partition(b":")[0].lower() not in dropped]
        kept += [b"X-Forwarded-For: 1.2.3.4, 203.0.113.7"] + ([] if is_socket else [b"Connection: close"])
        return b"\r\n".join([first, *kept]) + b"\r\n\r\n"

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await there.readuntil(b"\r\n\r\n")
        lines = head.rstrip(b"\r\n").split(b"\r\n")
        if self._takes_cookies:
            lines = [line for line in lines if not line.lower().startswith(b"set-cookie:")]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
        await _pump(there, writer)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()
