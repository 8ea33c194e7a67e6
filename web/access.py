"""The doors: one ASGI middleware around everything, HTTP and WebSocket alike.

It checks by which name the browser reached us (Host) and from which page a change or a socket comes (Origin), lets
through only the paths that the pages use, limits bodies, adds security headers, and puts the one question who is
asking. What somebody may do with a job is decided in `core.access`, called by whoever handles the request.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.access import Who
from core.data.uploads import MOST_BYTES
from core.settings import Settings

MAX_BODY = 1_000_000
LARGER_BODIES = {"/uploads": MOST_BYTES}  # of these paths; a file with rows goes straight to the disk
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OUR_PATHS = ("/ui/", "/ws/", "/j/", "/files/", "/curves/")
OUR_EXACT = frozenset({"/ws/jobs", *LARGER_BODIES})
# Gradio opens some forty routes (uploads, file and proxy access, queues of other sessions, run history, its own API
# pages); these are the ones its pages need as they are used here. Everything else is shut.
GRADIO_PATHS = ("/assets/", "/static/", "/gradio_api/run/")
GRADIO_FILES = frozenset({"/config", "/config/", "/theme.css", "/favicon.ico", "/manifest.json", "/healthz"})
EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
HEADERS = {
    # Gradio starts by inline scripts and compiles templates, so scripts cannot be narrowed further than to ourselves
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-src 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def who(scope: Scope, settings: Settings) -> Who:  # noqa: ARG001 - accounts will answer from the request
    """Who is asking. On one's own machine there is one owner."""
    return Who(settings.user)


def asker(connection: HTTPConnection) -> Who:
    """Who the middleware found to be asking."""
    found = connection.scope["state"]["who"]
    assert isinstance(found, Who)
    return found


class Doors:
    """The middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, pages: Collection[str]) -> None:
        self._app = app
        self._settings = settings
        self._paths = GRADIO_FILES | frozenset(pages)
        given = (name.strip().lower() for name in settings.allowed_hosts.split(","))
        self._hosts = {"127.0.0.1", "localhost", "::1", settings.host.lower().strip("[]"), *given} - EVERYWHERE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request or a socket through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if refusal := self._refusal(scope, Headers(scope=scope)):
            await _refuse(scope, receive, send, *refusal)
            return
        scope.setdefault("state", {})["who"] = who(scope, self._settings)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await _Limited(self._app, scope, receive, send).run()

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if _name_of(host) not in self._hosts:
            return 421, "This name is not one that the workbench answers to: add it to WORKBENCH_ALLOWED_HOSTS."
        if not self._is_open(scope["path"]):
            return 404, "There is nothing here."
        if not _is_from_here(scope, headers, host):
            return 403, "This request came from another site."
        length, most = headers.get("content-length", "0"), _most(scope)
        if not length.isdecimal() or int(length) > most:
            return 413, _too_large(most)
        return None

    def _is_open(self, path: str) -> bool:
        return path in self._paths or path in OUR_EXACT or path.startswith((*OUR_PATHS, *GRADIO_PATHS))


def _most(scope: Scope) -> int:
    return LARGER_BODIES.get(scope["path"], MAX_BODY)


def _too_large(most: int) -> str:
    return f"A request holds at most {most:,} bytes."


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_from_here(scope: Scope, headers: Headers, host: str) -> bool:
    """Whether a page of ours asks, or no browser at all. Going to a page from a link elsewhere is fine."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return False
    if scope["type"] == "websocket":
        return origin is not None or ("cookie" not in headers and site == "none")
    if site in {"same-origin", "none"}:
        return True
    return scope["method"] in SAFE_METHODS and headers.get("sec-fetch-mode") == "navigate"


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": sentence})
    else:
        await PlainTextResponse(sentence, status, HEADERS)(scope, receive, send)


class _Limited:
    """One request whose body is counted as it comes, and whose answer gets the security headers."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._n_bytes = 0
        self._most = _most(scope)
        self._has_begun = False

    async def run(self) -> None:
        """Answer it."""
        try:
            await self._app(self._scope, self._counted, self._headed)
        except Exception:
            if not self._is_too_large:  # else it only says that the rest of the body never came
                raise
        if self._is_too_large and not self._has_begun:
            await _refuse(self._scope, self._receive, self._send, 413, _too_large(self._most))

    @property
    def _is_too_large(self) -> bool:
        return self._n_bytes > self._most

    async def _counted(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._n_bytes += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self._is_too_large else message

    async def _headed(self, message: Message) -> None:
        if self._is_too_large and not self._has_begun:
            return  # what the application says of a body that it did not get whole
        if message["type"] == "http.response.start":
            self._has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
