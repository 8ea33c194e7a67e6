"""The doors: one ASGI middleware around everything, HTTP and WebSocket alike.

It checks by which name the browser reached us (Host) and from which page a change or a socket comes (Origin), lets
through only the paths that the pages use, limits bodies, adds security headers, and puts the one question who is
asking: a stranger gets no further than to the sign-in. What somebody may do with a job is decided in `core.access`,
called by whoever handles the request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.access import Who
from core.accounts import DAY_S
from core.data.uploads import MOST_BYTES
from core.modes import Mode
from core.settings import Settings
from web.askers import Asker, Askers, set_cookie
from web.lines import SIGNED_OUT, Lines
from web.pace import Pace

MAX_BODY = 1_000_000
LARGER_BODIES = {"/uploads": MOST_BYTES}  # of these paths; a file with rows goes straight to the disk
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OUR_PATHS = ("/recordings/", "/ui/", "/ws/", "/j/", "/files/", "/curves/")
OUR_EXACT = frozenset({"/ws/jobs", "/recordings", *LARGER_BODIES})
ASKING = ("/gradio_api/run/", "/uploads")
SIGN_IN = "/sign-in"
ACCOUNTS = ("/account", "/users")  # with all that is below them, where people sign in
FOR_STRANGERS = (SIGN_IN, "/welcome", "/healthz", "/favicon.ico")
MOST_SOCKETS = 100  # of one address, where strangers come
ASKS_PER_S, ASKS_AT_ONCE = 10.0, 100  # likewise: a page with its form takes about ten when it opens
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


def asker(connection: HTTPConnection) -> Who:
    """Who the middleware found to be asking."""
    found = connection.scope["state"]["who"]
    assert isinstance(found, Who)
    return found


class Doors:
    """The middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, pages: Collection[str], askers: Askers) -> None:
        self._app = app
        self._settings = settings
        self._askers = askers
        self._pages = frozenset(pages)
        self._paths = GRADIO_FILES | self._pages
        given = (name.strip().lower() for name in settings.allowed_hosts.split(","))
        ours = {
            "127.0.0.1",
            "localhost",
            "::1",
            settings.host.lower().strip("[]"),
            _name_of(urlsplit(settings.url).netloc),
        }
        self._hosts = (ours | {*given}) - EVERYWHERE
        self._is_signed_in_to = settings.mode is Mode.TEAM
        self._headers = _headers(settings)
        self._pace = Pace(ASKS_PER_S, ASKS_AT_ONCE) if settings.mode is Mode.PUBLIC else None
        self._lines = Lines(askers.holds, MOST_SOCKETS if settings.mode is Mode.PUBLIC else 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request or a socket through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refusal := self._refusal(scope, headers):
            await self._refuse(scope, receive, send, *refusal)
            return
        found = await self._askers.find(scope, headers)
        if found.who is None and not self._is_for_strangers(scope["path"]):
            await self._turn_away(scope, receive, send)
            return
        scope.setdefault("state", {}).update(who=found.who, asker=found)
        if self._asks_too_often(scope, found.who):
            await self._refuse(scope, receive, send, 429, "Your address asks too often: wait a few seconds.")
            return
        if scope["type"] == "http":
            await _Limited(self._app, scope, receive, send, self._headers_for(scope, found)).run()
        elif self._lines.is_full(found):
            await self._refuse(scope, receive, send, 429, "You have too many pages open.")
        else:
            await self._lines.serve(self._app, found, scope, receive, send)

    def _asks_too_often(self, scope: Scope, who: Who | None) -> bool:
        if self._pace is None or who is None or not scope["path"].startswith(ASKING):
            return False
        return not self._pace.takes(who.source or who.name)

    def _headers_for(self, scope: Scope, found: Asker) -> Mapping[str, str]:
        """The security headers; on a page that somebody comes to for the first time their cookie too."""
        if not found.fresh or scope["path"] not in self._pages:
            return self._headers
        lasts_s = self._settings.keep_h * 3600 or self._settings.session_days * DAY_S
        return {**self._headers, "set-cookie": set_cookie(self._settings, found.fresh, lasts_s)}

    def _is_for_strangers(self, path: str) -> bool:
        return path in FOR_STRANGERS or path.startswith("/ui/")

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a stranger to the sign-in."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})  # else the browser is not told which code
            await send({"type": "websocket.close", "code": SIGNED_OUT, "reason": "Come in first."})
            return
        query = scope["query_string"].decode("latin-1")
        wanted = f"{scope['path']}{'?' + query if query else ''}"
        if scope["method"] in SAFE_METHODS and (scope["path"] in self._pages or _is_account(scope["path"])):
            target = f"{SIGN_IN}?next={quote(wanted, safe='/')}" if wanted != "/" else SIGN_IN
            await RedirectResponse(target, 303, {**self._headers, "cache-control": "no-store"})(scope, receive, send)
            return
        said = (
            "Sign in first."
            if self._is_signed_in_to
            else "Open the page anew: this visit has no name, or it has run out."
        )
        await self._refuse(scope, receive, send, 401, said)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, sentence: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403, "reason": sentence})
        else:
            await PlainTextResponse(sentence, status, self._headers)(scope, receive, send)

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
        if _is_account(path) or path in FOR_STRANGERS[:2]:
            return self._is_signed_in_to
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


def _is_account(path: str) -> bool:
    return path in ACCOUNTS or path.startswith(tuple(f"{one}/" for one in ACCOUNTS))


def _headers(settings: Settings) -> dict[str, str]:
    """The security headers, with the sites that may show the page in a frame."""
    frames = " ".join(settings.frames.split())
    if not frames or ";" in frames:
        return HEADERS
    framed = {name: value for name, value in HEADERS.items() if name != "x-frame-options"}
    policy = HEADERS["content-security-policy"].replace("frame-ancestors 'none'", f"frame-ancestors 'self' {frames}")
    return framed | {"content-security-policy": policy}


class _Limited:
    """One request whose body is counted as it comes, and whose answer gets the security headers."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._headers = headers
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
            await PlainTextResponse(_too_large(self._most), 413, self._headers)(self._scope, self._receive, self._send)

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
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)
