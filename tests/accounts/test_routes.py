"""Every route and every handler of the application, walked by a stranger, a member, the owner and an administrator.

They are found from the application itself: one that no table here knows fails the test.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from core.policy import AN_ID
from core.values import Visibility
from tests.accounts.conftest import ORIGIN, Team
from tests.accounts.people import WORDS, Handler, Things, gradio_of, handlers_of, nothing, ours_of, routes_of, things_of

SHUT = "There is nothing here."
PEOPLE = ("", "bob", "ann", "root")
"""A stranger, a member, the owner, an administrator."""

ANYBODY = {"/healthz", "/ui", "/sign-in", "/welcome", "/favicon.ico"}
"""Answered to strangers too."""
PAGES = {
    "/", "/train", "/compare", "/runs", "/models", "/cards", "/fit", "/learn", "/data", "/artifacts", "/pipelines",
    "/recorded", "/side-by-side", "/account",
}  # fmt: skip
"""A stranger is sent to the sign-in, everybody else gets the page: what is on it is for its socket and handlers."""
MEMBERS = {
    "/config", "/config/", "/theme.css", "/manifest.json", "/static/{path:path}", "/assets/{path:path}", "/uploads",
    "/gradio_api/run/{api_name}", "/gradio_api/run/{api_name}/", "/recordings", "/recordings/{name}", "/j/{job_id}",
    "/account/sign-out", "/account/password", "/account/end",
}  # fmt: skip
"""Refused to a stranger by 401; to everybody else they give what is nobody's or their own."""
ADMINISTRATORS = {"/users", "/users/add", "/users/link", "/users/role", "/users/remove"}
PRIVATE = {"/files/{artifact_id}/{name:path}", "/curves/{job_id}"}
"""Of something that somebody has: 404 to whoever may not see it."""
SOCKETS = {"/ws/jobs/{job_id}": "job", "/ws/jobs": "list", "/ws/models": "shared", "/ws/cards": "shared"}

CHANGES = {"stop", "pause", "resume", "clean", "describe", "hide", "share"}
"""Handlers that change a job: for its owner and an administrator."""
REMOVES = {"Runs.remove", "Compare.remove", "Data.remove"}
READS = {"retry", "mend", "merge", "open", "opened", "lay_over", "advise"}
"""They show what one may see, or make a job of one's own of it."""
MANAGES = {f"{page}.{name}" for page in ("Models", "Cards") for name in ("release", "pin", "unpin")} | {
    "Cards.drain", "Cards.admit", "Models.remove",
}  # fmt: skip
"""For administrators alone; without a worker there is nothing to manage, so members are refused first."""
ASKS = {
    "Playground.send", "Playground.edit", "Playground.regenerate", "Playground.follow", "Playground.offer_adapters",
    "Train.fill", "Train.send", "Train.follow", "Train.peek", "Train.offer_adapters", "Compare.send", "Compare.follow",
    "Compare.offer", "Pipelines.fill", "Pipelines.more", "Pipelines.send", "Pipelines.ask", "Models.bring",
    "Models.download", "Models.convert", "Fit.ask", "Learn.send", "Data.preview",
}  # fmt: skip
"""They answer what a form asks, or make a job of one's own of what it holds."""


def _kind(handler: Handler) -> str:
    function = handler.name.partition(".")[2]
    sorts = {
        "removes": handler.name in REMOVES, "manages": handler.name in MANAGES, "asks": handler.name in ASKS,
        "changes": function in CHANGES, "reads": function in READS,
    }  # fmt: skip
    found = [sort for sort, is_it in sorts.items() if is_it]
    assert len(found) == 1, f"{handler.name}: say in a table of this file who may call it (now in {found})"
    return found[0]


def _sent(things: Things, job: str, n: str = "") -> dict[str, Any]:
    """What a script could send with any event, all of it pointing at `things`."""
    steps = [{"name": "first", "kind": "sft", "fields": {"data": things.upload, "adapter": things.artifact}}]
    ids = {"job": job, "id": things.artifact, "upload": things.upload, "name": things.upload, "like": job}
    return ids | {
        "jobs": f"{job},{things.ended}", "ref": things.artifact, "index": 0, "text": "x", "note": "x", "key": n,
        "steps": steps, "model": things.artifact, "resume_from": things.artifact, "kind": "sft", "prompt": "x", "n": n,
    }  # fmt: skip


def _ours(team: Team) -> list[Any]:
    return [one for one in routes_of(ours_of(team)) if getattr(one, "path", "")]


def test_every_route_is_walked_by_everybody(team: Team) -> None:
    private = things_of(team, "ann", Visibility.PRIVATE)
    browsers = {name: team.browser(name) for name in PEOPLE}
    ids = {"artifact_id": private.artifact, "job_id": private.ended, "name:path": "adapter.txt", "name": "no-such"}
    known = ANYBODY | PAGES | MEMBERS | ADMINISTRATORS | PRIVATE | SOCKETS.keys()
    found = [(route.path, route) for route in _ours(team)]
    found += [(_prefixed(route), route) for route in routes_of(gradio_of(team)) if getattr(route, "path", "")]
    assert len(found) > 90
    for path, route in found:
        filled = re.sub(r"{([^}]*)}", lambda name: ids.get(name[1], "x"), path)
        if path in SOCKETS:
            continue
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            answers = {name: _answer(one, method, filled) for name, one in browsers.items()}
            if all(said == SHUT or (method == "HEAD" and status == 404) for status, said in answers.values()):
                continue
            assert path in known, f"{method} {path} is open to somebody, and no table of this file says to whom"
            _check(path, method, answers)


def _prefixed(route: Any) -> str:
    """Gradio's own routers stand below its prefix, whatever their routes say."""
    return str(route.path)


def _answer(browser: TestClient, method: str, path: str) -> tuple[int, str]:
    if path == "/account/sign-out" and browser.cookies:
        return 303, "it would end the walk"
    answer = browser.request(method, path, headers={"origin": ORIGIN} if method == "POST" else {})
    return answer.status_code, answer.headers.get("location", answer.text)


def _check(path: str, method: str, answers: dict[str, tuple[int, str]]) -> None:
    status = {name: answer[0] for name, answer in answers.items()}
    said = f"{method} {path}: {status}"
    if path in ANYBODY:
        assert 401 not in status.values(), said
        return
    is_page = path in PAGES or path in ADMINISTRATORS
    away = f"/sign-in{'' if path == '/' else f'?next={path}'}"
    assert answers[""] == (303, away) if is_page and method != "POST" else status[""] == 401, said
    if path in ADMINISTRATORS:
        assert status["bob"] == status["ann"] == 403, said
        assert status["root"] == 200 or "There is no user" in answers["root"][1] or "A name has" in answers["root"][1]
    elif path in PRIVATE:
        assert (status["bob"], status["ann"], status["root"]) == (404, 200, 200), said
        assert WORDS not in answers["bob"][1]
    else:
        assert status["bob"] == status["ann"] == status["root"] != 401, said


def test_every_socket_is_walked_by_everybody(team: Team) -> None:
    found = {route.path for route in _ours(team) if type(route).__name__ == "APIWebSocketRoute"}
    assert found == SOCKETS.keys()
    private = things_of(team, "ann", Visibility.PRIVATE)
    signed_in = {name: dict(team.browser(name).cookies) for name in PEOPLE}
    with TestClient(team.app, base_url=ORIGIN) as browser:
        for path, sort in SOCKETS.items():
            for name in PEOPLE:
                browser.cookies = signed_in[name]
                address = path.replace("{job_id}", private.ended)
                code, words = _first_words(browser, address)
                may = name and not (sort == "job" and name == "bob")
                assert code == (0 if may else 4401 if not name else 4404), (path, name)
                assert name in ("ann", "root") or WORDS not in words, (path, name)
                assert name not in ("ann", "root") or sort == "shared" or WORDS in words, (path, name)


def _first_words(browser: TestClient, address: str) -> tuple[int, str]:
    try:
        with browser.websocket_connect(f"ws://bench.example{address}", headers={"origin": ORIGIN}) as socket:
            return 0, "".join(socket.receive_text() for _ in range(2 if "{" in address or "/jobs/" in address else 1))
    except WebSocketDisconnect as error:
        return error.code, ""


def test_every_handler_knows_no_stranger(team: Team) -> None:
    handlers, stranger, things = handlers_of(team), team.browser(), nothing()
    assert len(handlers) > 100
    for handler in handlers:
        _kind(handler)
        assert handler.call(stranger, _sent(things, things.ended)) == (401, "Sign in first."), handler.name


def test_of_what_is_private_no_handler_lets_a_member_learn_or_change_anything(team: Team) -> None:
    private, absent, bob = things_of(team, "ann", Visibility.PRIVATE), nothing(), team.browser("bob")
    before = _state(team, private)
    for handler in handlers_of(team):
        for mine, theirs in zip(private.jobs, absent.jobs, strict=True):
            if mine != private.ended and _kind(handler) not in ("changes", "removes"):
                continue
            status, said = handler.call(bob, _sent(private, mine))
            as_absent = handler.call(bob, _sent(absent, theirs))
            assert WORDS not in said, handler.name
            if _kind(handler) != "asks":  # an id of nothing is for the worker to refuse: docs/team.md
                assert (status, _plain(said)) == (as_absent[0], _plain(as_absent[1])), handler.name
    assert _state(team, private) == before


def test_what_the_team_sees_no_handler_lets_a_member_change(team: Team) -> None:
    shared, bob = things_of(team, "ann", Visibility.TEAM), team.browser("bob")
    before = _state(team, shared)
    for handler in handlers_of(team):
        sort = _kind(handler)
        for job in shared.jobs if sort in ("changes", "removes") else (shared.ended,):
            _, said = handler.call(bob, _sent(shared, job))
            if sort in ("changes", "removes"):
                assert "belongs to ann: only its owner may" in said, (handler.name, said)
            if sort == "manages":
                assert 'class="refused"' in said, (handler.name, said)
    assert _state(team, shared) == before


@pytest.mark.parametrize("name", ["ann", "root"])
def test_owner_and_administrator_are_let_in_by_every_handler(team: Team, name: str) -> None:
    private, browser = things_of(team, "ann", Visibility.PRIVATE), team.browser(name)
    handlers = handlers_of(team)
    for handler in handlers:
        if _kind(handler) in ("changes", "reads"):
            for job in private.jobs:
                status, said = handler.call(browser, _sent(private, job))
                assert status == 200, handler.name
                assert not re.search(rf"belongs to|no (job|artifact|upload) ({'|'.join(private.all)})", said), (
                    handler.name
                )
    states = {job: team.bench.store.job(job).state for job in private.jobs}
    assert states[private.waiting] == states[private.held] == states[private.pipeline] == "cancelled"
    gone = dict(zip(("Runs.remove", "Compare.remove"), (private.ended, private.cancelled), strict=True))
    for handler in handlers:
        if _kind(handler) == "removes":
            handler.call(browser, _sent(private, gone.get(handler.name, private.ended)))
    assert {job.id for job in team.of("ann").list()}.isdisjoint(gone.values())
    assert [one.id for one in team.of("ann").uploads()] == []


def _plain(said: str) -> str:
    """An answer without ids: what a form asks, whatever it shows, becomes a new job of one's own."""
    return AN_ID.sub("ID", said)


def _state(team: Team, things: Things) -> list[Any]:
    store = team.bench.store
    kept = [(store.job(job), store.events(job)) for job in things.jobs]
    return [
        *kept,
        sorted(one.id for one in team.of("ann").uploads()),
        [one.id for one in team.of("ann").list() if one.owner == "ann"],
    ]
