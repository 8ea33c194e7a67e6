"""The pages of accounts: signing in and out, the one-time link, one's own account, and for administrators the users.

They are plain forms, which work without a script. Every change is a POST from a page of ours: the doors see to that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core.access import Who
from core.accounts import DAY_S, LINK_DAYS, SHORTEST_PASSWORD, Accounts, SignedIn
from core.client import Workbench
from core.errors import NotAllowed, WorkbenchError
from core.store.users import Role
from web import assets
from web.access import SIGN_IN, asker
from web.askers import Members, address_of, cookie_of, set_cookie
from web.templates import fragment

NO_STORE = {"cache-control": "no-store"}
Form = dict[str, str]
Do = Callable[[Request, Form], Any]


def router(client: Workbench, accounts: Accounts, members: Members) -> APIRouter:
    """The routes."""
    pages = _Accounts(client, accounts, members)
    made = APIRouter()
    for path, show in (
        (SIGN_IN, pages.sign_in),
        ("/welcome", pages.welcome),
        ("/account", pages.account),
        ("/users", pages.users),
    ):
        made.add_api_route(path, _shown(show), methods=["GET"])
    for path, do in (
        (SIGN_IN, pages.do_sign_in),
        ("/welcome", pages.do_welcome),
        ("/account/sign-out", pages.do_sign_out),
        ("/account/password", pages.do_password),
        ("/account/end", pages.do_end),
        ("/users/add", pages.do_add),
        ("/users/link", pages.do_link),
        ("/users/role", pages.do_role),
        ("/users/remove", pages.do_remove),
    ):
        made.add_api_route(path, _done(do), methods=["POST"])
    return made


class _Accounts:
    """What each of the pages shows and does."""

    def __init__(self, client: Workbench, accounts: Accounts, members: Members) -> None:
        self._client, self._store = client, client.store
        self._settings, self._accounts, self._members = client.settings, accounts, members

    def sign_in(self, request: Request, trouble: str = "", name: str = "") -> Response:
        """The form for name and password."""
        there = _inner(request.query_params.get("next", ""))
        return _page("sign_in", 403 if trouble else 200, trouble=trouble, name=name, there=there)

    def do_sign_in(self, request: Request, form: Form) -> Response:
        """Sign in. A new token is made whatever the browser showed, and what it showed ends."""
        name, address = form.get("name", "").strip(), address_of(request.scope, request.headers, self._settings.proxies)
        try:
            made = self._accounts.sign_in(name, form.get("password", ""), _agent(request), address)
        except NotAllowed as error:
            return self.sign_in(request, f"{error.message} {error.hint}".strip(), name)
        self._end(cookie_of(request.headers))
        return self._entered(made, _inner(form.get("next", "")))

    def welcome(self, request: Request, trouble: str = "") -> Response:
        """The form for a first password, or a new one, for whoever was given the link."""
        token = request.query_params.get("link", "")
        return _page("welcome", 403 if trouble else 200, trouble=trouble, link=token, **self._welcomed(token))

    def do_welcome(self, request: Request, form: Form) -> Response:
        """Set the password, and come in."""
        token, password = form.get("link", ""), form.get("password", "")
        if password != form.get("again", ""):
            trouble = "The two passwords are not the same."
        else:
            try:
                return self._entered(self._accounts.take_link(token, password, _agent(request)), "/")
            except WorkbenchError as error:
                trouble = f"{error.message} {error.hint}".strip()
        return _page("welcome", 403, trouble=trouble, link=token, **self._welcomed(token))

    def _welcomed(self, token: str) -> dict[str, Any]:
        return {"user": self._accounts.linked(token), "shortest": SHORTEST_PASSWORD}

    def account(self, request: Request, trouble: str = "", said: str = "") -> Response:
        """One's name, password and browsers."""
        who, mine = asker(request), self._accounts.id_of(cookie_of(request.headers))
        sessions = self._store.sessions(who.name)
        given = {"sessions": sessions, "mine": mine, "shortest": SHORTEST_PASSWORD}
        return _page("account", 403 if trouble else 200, who=who, trouble=trouble, said=said, **given)

    def do_password(self, request: Request, form: Form) -> Response:
        """Change one's password; all other browsers sign in anew."""
        before, password = form.get("before", ""), form.get("password", "")
        if password != form.get("again", ""):
            return self.account(request, "The two passwords are not the same.")
        self._members.forget(cookie_of(request.headers))
        made = self._accounts.change_password(asker(request).name, before, password, _agent(request))
        return self._entered(made, "/account")

    def do_end(self, request: Request, form: Form) -> Response:
        """End one of one's sessions, or all others."""
        who, ended = asker(request), form.get("session", "")
        if not ended:
            self._store.end_sessions(who.name, but=self._accounts.id_of(cookie_of(request.headers)))
        elif ended in {one.id for one in self._store.sessions(who.name)}:
            self._store.end_session(ended)
        return RedirectResponse("/account", 303, NO_STORE)

    def do_sign_out(self, request: Request, form: Form) -> Response:  # noqa: ARG002 - there is nothing to fill in
        """End this session."""
        self._end(cookie_of(request.headers))
        answer = RedirectResponse(SIGN_IN, 303, NO_STORE)
        answer.headers["set-cookie"] = set_cookie(self._settings, "", 0)
        return answer

    def users(self, request: Request, trouble: str = "", said: str = "", link: str = "") -> Response:
        """Everybody who may sign in, for administrators."""
        who = _administrator(request)
        given = {"users": self._store.users(), "days": LINK_DAYS, "roles": list(Role)}
        return _page("users", 403 if trouble else 200, who=who, trouble=trouble, said=said, link=link, **given)

    def do_add(self, request: Request, form: Form) -> Response:
        """Make a user, and show the link for their password: this once, since only its hash is kept."""
        _administrator(request)
        name = form.get("name", "").strip()
        token = self._accounts.invite(name, _role(form))
        said = f"{name} may sign in once they have set a password by this link:"
        return self.users(request, said=said, link=self._link(request, token))

    def do_link(self, request: Request, form: Form) -> Response:
        """A new link for a user who has none, or has forgotten their password."""
        _administrator(request)
        token = self._accounts.link(form.get("name", ""))
        said = f"By this link {form.get('name', '')} sets a new password:"
        return self.users(request, said=said, link=self._link(request, token))

    def do_role(self, request: Request, form: Form) -> Response:
        """Give a user another role; one's own stays, so that an administrator is left."""
        who, name = _administrator(request), form.get("name", "")
        if name == who.name:
            return self.users(request, "Your own role is for another administrator to change.")
        self._store.set_role(name, _role(form))
        return RedirectResponse("/users", 303, NO_STORE)

    def do_remove(self, request: Request, form: Form) -> Response:
        """Let a user sign in no more, and cancel what they have running."""
        who, name = _administrator(request), form.get("name", "")
        if name == who.name:
            return self.users(request, "You cannot remove yourself.")
        n = self._client.acting_for(who).remove_user(name)
        return self.users(request, said=f"{name} signs in no more; jobs of theirs that were cancelled: {n}.")

    def _link(self, request: Request, token: str) -> str:
        return f"{self._settings.url.rstrip('/') or str(request.base_url).rstrip('/')}/welcome?link={token}"

    def _entered(self, made: SignedIn, there: str) -> Response:
        answer = RedirectResponse(there, 303, NO_STORE)
        answer.headers["set-cookie"] = set_cookie(self._settings, made.token, self._settings.session_days * DAY_S)
        return answer

    def _end(self, token: str) -> None:
        if token:
            self._accounts.sign_out(token)
            self._members.forget(token)


def _shown(show: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await run_in_threadpool(show, request)
        except WorkbenchError as error:
            return _page("refused", 403, trouble=error.message, hint=error.hint)

    return answer


def _done(do: Do) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = (await request.body()).decode("utf-8", "replace")
        form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True, max_num_fields=20).items()}
        try:
            return await run_in_threadpool(do, request, form)
        except WorkbenchError as error:
            return _page("refused", 403, trouble=error.message, hint=error.hint)

    return answer


def _page(template: str, status: int, **values: Any) -> Response:
    usual = {"head": assets.plain_head(), "trouble": "", "hint": "", "said": ""}
    return HTMLResponse(fragment(f"account_{template}", **usual | values), status, NO_STORE)


def _administrator(request: Request) -> Who:
    who = asker(request)
    if not who.is_administrator:
        raise NotAllowed("Only an administrator sees the users.")
    return who


def _role(form: Form) -> Role:
    return Role.ADMINISTRATOR if form.get("role") == Role.ADMINISTRATOR else Role.MEMBER


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")[:200]


def _inner(path: str) -> str:
    """A path of this page to go on to; what would lead elsewhere leads to its beginning."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_ours and not path.startswith(SIGN_IN) else "/"
