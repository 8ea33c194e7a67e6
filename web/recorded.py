"""`/recordings`: the list of recordings as a fragment, and `/recordings/NAME` with `?step=` the score of one.

Each is made once, compressed once, and then costs a visitor's request a look at a file's date.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from core.client import Workbench
from core.errors import NotFound, WorkbenchError
from core.recording.file import Shelf, read
from web import recorded_view

MOST_KEPT = 64


@dataclass(frozen=True)
class _Made:
    """What is sent, compressed, and by which word a browser asks whether it is still that."""

    stamp: tuple[object, ...]
    packed: bytes
    tag: str


class Recordings:
    """What was made of the recordings of this installation."""

    def __init__(self, client: Workbench) -> None:
        self._client = client
        self._shelf = Shelf.of(client.settings.home)
        self._made: dict[tuple[str, str], _Made] = {}
        self._turn = threading.Lock()

    def list(self) -> _Made:
        """The list as a fragment."""
        stamps = tuple((name, _stamp(path)) for name, path in self._shelf.paths().items())
        return self._once(("", ""), stamps, lambda: recorded_view.render_list(self._shelf))

    def score(self, name: str, step: str) -> _Made:
        """The score of a recording, or of a step of it.

        Raises:
            NotFound: there is no such recording or step.
            BadInput: its file is no recording that this version reads.
        """
        path = self._shelf.path(name)
        return self._once((name, step), (_stamp(path),), lambda: self._scored(path, name, step))

    def _scored(self, path: Path, name: str, step: str) -> str:
        recording = read(path)
        if recording.step(step) is None:
            raise NotFound(f"The recording {name!r} has no step {step[:60]!r}.", "The page /recorded lists them.")
        made = recorded_view.score(self._client, recording, step)
        return json.dumps(made, ensure_ascii=False, separators=(",", ":"))

    def _once(self, key: tuple[str, str], stamp: tuple[object, ...], make: Callable[[], str]) -> _Made:
        with self._turn:  # a hundred visitors of a new one wait for the first, and none makes it again
            found = self._made.get(key)
            if found is None or found.stamp != stamp:
                packed = gzip.compress(make().encode(), 6, mtime=0)
                found = _Made(stamp, packed, f'"{hashlib.sha256(packed).hexdigest()[:20]}"')
                while len(self._made) >= MOST_KEPT:
                    self._made.pop(next(iter(self._made)))
                self._made[key] = found
        return found


def router(client: Workbench) -> APIRouter:
    """The routes."""
    held, made = Recordings(client), APIRouter()

    def send_list(request: Request) -> Response:
        return _sent(request, held.list(), "text/html; charset=utf-8")

    def send_score(request: Request, name: str, step: str = "") -> Response:
        try:
            return _sent(request, held.score(name, step), "application/json")
        except WorkbenchError as error:
            said = f"{error.message} {error.hint}".strip()
            return PlainTextResponse(said, 404 if isinstance(error, NotFound) else 422)

    made.add_api_route("/recordings", send_list, methods=["GET"])
    made.add_api_route("/recordings/{name}", send_score, methods=["GET"])
    return made


def _sent(request: Request, made: _Made, media_type: str) -> Response:
    headers = {"etag": made.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == made.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(made.packed, media_type=media_type, headers=headers | {"content-encoding": "gzip"})
    return Response(gzip.decompress(made.packed), media_type=media_type, headers=headers)


def _stamp(path: Path) -> tuple[float, int]:
    found = path.stat()
    return found.st_mtime, found.st_size
