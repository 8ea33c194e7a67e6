"""Who is asking, by the mode: the one owner of a laptop, a member who has signed in, or a visitor with a signed name.

The answer is found once for each request, by the doors, and never taken from a component, a session hash or a form.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Protocol
from urllib.parse import parse_qs

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.types import Scope

from core.access import Who
from core.accounts import Accounts, who_is
from core.ids import new_id
from core.modes import Mode
from core.settings import Settings

COOKIE = "workbench"
VISITOR_HEADER, VISITOR_PARAMETER = "x-workbench-visitor", "visitor"
PERSONAL = ("/gradio_api/run/", "/ws/", "/files/", "/curves/", "/uploads")
"""What is somebody's: a visitor without a name is sent back to the page, which gives them one."""
KNOWN_S = 1.0  # so long a session may outlive its end
MOST_KNOWN = 10_000


@dataclass(frozen=True)
class Asker:
    """Who asks, None for a stranger; `token` is what their browser showed, `fresh` what it is to be given."""

    who: Who | None
    token: str = ""
    fresh: str = ""


class Askers(Protocol):
    """The way of one mode."""

    async def find(self, scope: Scope, headers: Headers) -> Asker:
        """Who asks."""

    async def holds(self, asker: Asker) -> bool:
        """Whether they may still go on with what they have open."""


class Owner:
    """Local mode: whoever reaches the page is its owner."""

    def __init__(self, settings: Settings) -> None:
        self._asker = Asker(Who(settings.user, is_administrator=True))

    async def find(self, scope: Scope, headers: Headers) -> Asker:  # noqa: ARG002 - whoever asks
        """The owner."""
        return self._asker

    async def holds(self, asker: Asker) -> bool:  # noqa: ARG002 - there is nothing to lose
        """Always."""
        return True


class Members:
    """Team mode: a cookie that scripts cannot read names a session, which the store has or has not."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._known: OrderedDict[str, tuple[float, Asker]] = OrderedDict()

    async def find(self, scope: Scope, headers: Headers) -> Asker:  # noqa: ARG002 - the cookie says all
        """The member whose session the cookie names, as it was at most a second ago."""
        token = cookie_of(headers)
        return await self._of(token) if token else Asker(None)

    async def holds(self, asker: Asker) -> bool:
        """As long as they are signed in, and as what they were."""
        return await self._of(asker.token) == asker

    async def _of(self, token: str) -> Asker:
        at, asker = self._known.get(token, (0.0, Asker(None)))
        if not at or time.monotonic() - at > KNOWN_S:
            session = await asyncio.to_thread(self._accounts.session, token)
            asker = Asker(who_is(session.user, session.role), token) if session else Asker(None, token)
            self._remember(token, asker)
        return asker

    def forget(self, token: str) -> None:
        """Ask the store anew: a session has just ended."""
        self._known.pop(token, None)

    def _remember(self, token: str, asker: Asker) -> None:
        self._known[token] = time.monotonic(), asker
        self._known.move_to_end(token)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


class Visitors:
    """Public mode: whoever comes is given a signed name, in a cookie and, where none is kept, in the page itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signer = TimestampSigner(settings.secret, salt="visitor", digest_method=hashlib.sha256)
        self._lasts_s = int(settings.keep_h * 3600) or None

    async def find(self, scope: Scope, headers: Headers) -> Asker:
        """The visitor of the cookie, else of what the page's script sends along, else a new one."""
        if not scope["path"].startswith(PERSONAL) and not cookie_of(headers):
            return self._new(scope, headers)
        asked = parse_qs(scope["query_string"].decode("latin-1")).get(VISITOR_PARAMETER, [""])[0]
        source = self._source(address_of(scope, headers, self._settings.proxies))
        for token in (headers.get(VISITOR_HEADER, ""), asked, cookie_of(headers)):
            if name := self._name(token):
                return Asker(Who(name, source=source), token)
        return Asker(None) if scope["path"].startswith(PERSONAL) else self._new(scope, headers)

    def _new(self, scope: Scope, headers: Headers) -> Asker:
        name = f"visitor-{new_id()[-16:].lower()}"
        source = self._source(address_of(scope, headers, self._settings.proxies))
        return Asker(Who(name, source=source), fresh=self._signer.sign(name).decode())

    async def holds(self, asker: Asker) -> bool:  # noqa: ARG002 - a name has nothing to lose
        """Always."""
        return True

    def _name(self, token: str) -> str:
        try:
            return self._signer.unsign(token, max_age=self._lasts_s).decode() if token else ""
        except (BadSignature, UnicodeError):
            return ""

    def _source(self, address: str) -> str:
        """An address as something to count by, which cannot be read back."""
        return hmac.new(self._settings.secret.encode(), address.encode(), hashlib.sha256).hexdigest()[:32]


def askers(settings: Settings, accounts: Accounts) -> Askers:
    """The way of the mode."""
    if settings.mode is Mode.TEAM:
        return Members(accounts)
    return Visitors(settings) if settings.mode is Mode.PUBLIC else Owner(settings)


def is_secure(settings: Settings) -> bool:
    """Whether browsers reach the page by https, so that its cookies go nowhere else."""
    return settings.url.lower().startswith("https://")


def set_cookie(settings: Settings, token: str, lasts_s: float) -> str:
    """What gives a browser its cookie, which no script can read; without a token, what takes it away.

    A visitor's is sent from within a frame on another site too, and kept apart for each such site.
    """
    made: SimpleCookie = SimpleCookie({cookie_name(settings): token})
    morsel = made[cookie_name(settings)]
    morsel["path"], morsel["samesite"], morsel["max-age"] = "/", "Lax", str(int(lasts_s) if token else 0)
    morsel["httponly"], morsel["secure"] = True, is_secure(settings)
    said = morsel.OutputString()
    if settings.mode is Mode.PUBLIC and is_secure(settings):
        return said.replace("SameSite=Lax", "SameSite=None") + "; Partitioned"  # Python 3.14 knows it by itself
    return said


def cookie_name(settings: Settings) -> str:
    """A browser takes a cookie of the longer name by https alone, and from this very host."""
    return f"__Host-{COOKIE}" if is_secure(settings) else COOKIE


def cookie_of(headers: Headers) -> str:
    """What the cookie says; "" where there is none."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    found = cookies.get(f"__Host-{COOKIE}") or cookies.get(COOKIE)
    return found.value if found else ""


def address_of(scope: Scope, headers: Headers, n_proxies: int) -> str:
    """Whose address asks: what the outermost of our own proxies saw. What a client claims beyond that is not read.

    Of IPv6 the first half counts: who has one address has 2^64 of them.
    """
    direct = scope["client"][0] if scope.get("client") else ""
    claimed = [one.strip() for value in headers.getlist("x-forwarded-for") for one in value.split(",")]
    found = claimed[-n_proxies] if 0 < n_proxies <= len(claimed) else direct
    try:
        address = ip_address(found)
    except ValueError:
        return direct
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network((address, 64), strict=False).network_address)
    return str(getattr(address, "ipv4_mapped", None) or address)
