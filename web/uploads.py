"""`POST /uploads?name=…`: a file with rows, kept by id as it comes; with `private=1` for its owner alone.

It is never held in memory as a whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict
from functools import partial
from io import RawIOBase
from typing import IO, Any, cast

import anyio
import anyio.from_thread
import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from core.client import Workbench
from core.errors import BadInput, DiskFull, NotAllowed
from web.access import asker

PATH = "/uploads"
MOST_NAME = 500


def router(client: Workbench) -> APIRouter:
    """The route."""
    made = APIRouter()
    made.add_api_route(PATH, _taker(client), methods=["POST"])
    return made


def _taker(client: Workbench) -> Callable[[Request, str], Coroutine[Any, Any, Response]]:
    async def take(request: Request, name: str = "", private: str = "") -> Response:
        acting = client.acting_for(asker(request))
        body = cast(IO[bytes], _Body(request.stream()))
        try:
            keep = partial(acting.upload, is_private=True if private == "1" else None)
            made = await anyio.to_thread.run_sync(keep, body, name[:MOST_NAME] or "upload")
        except (BadInput, DiskFull, NotAllowed) as error:
            status = 507 if isinstance(error, DiskFull) else 403 if isinstance(error, NotAllowed) else 400
            return PlainTextResponse(error.message, status)
        except ClientDisconnect:
            return PlainTextResponse("The file did not come whole.", 400)
        return JSONResponse(asdict(made), 201)

    return take


class _Body(RawIOBase):
    """A request's body for a thread that reads; the event loop fetches each piece when it is asked for."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - pieces are as large as they come
        """The next piece; b"" at the end."""
        return anyio.from_thread.run(self._next)

    async def _next(self) -> bytes:
        async for piece in self._pieces:
            if piece:
                return piece
        return b""
