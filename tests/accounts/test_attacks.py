"""What somebody with a name, or none, tries against what is not theirs: each attack by every way to it."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from core import values
from core.accounts import Accounts
from core.catalog import BUILTIN_NAME
from core.client import Workbench
from core.errors import BadInput, NotAllowed, NotFound, WorkbenchError
from core.ids import new_id
from core.jobs.kind import AnyKind
from core.policy import TEXTS
from core.store.users import Role
from core.values import ModelInfo, Origin, Visibility
from tests.accounts.conftest import ORIGIN, PASSWORD, Team
from tests.accounts.people import WORDS, Things, handlers_of, things_of, until_closed
from tests.support import served_page
from tests.web import shelf
from web import offers

FROM_HERE = {"origin": ORIGIN}
NASTY = '<script>window.pwned=1</script>"><img src=x onerror=alert(1)>'
SOCKET = "ws://bench.example/ws/jobs"
PLAIN_FIELDS = TEXTS | {"log", "text", "trouble", "like", "fresh_from"}
"""Beside those that hold words alone: fields of the kinds of the tests."""


@pytest.fixture
def private(team: Team) -> Things:
    """What ann keeps to herself."""
    return things_of(team, "ann", Visibility.PRIVATE)


def _texts(kind: AnyKind) -> Iterator[tuple[str, bool]]:
    """The fields of a kind that take a text, and whether they take several."""
    for name, field in kind.spec.model_fields.items():
        schema = json.dumps(kind.spec.model_json_schema()["properties"][name])
        if '"string"' in schema and '"enum"' not in schema and name not in PLAIN_FIELDS:
            yield name, '"array"' in schema and field.annotation is not str


def _given(name: str, what: str, many: bool) -> list[Any]:
    """The ways in which a field can name something."""
    ways = {
        "variants": [f"fp32+adapter={what}", f"fp32+merged={what}", f"fp32,int8+adapter = {what}"],
        "rewards": [f"model:{what}", f"model: {what},label=positive", f"model:{what},label=x*0.5"],
    }
    texts = ways.get(name, [what, what.lower(), f" {what} ", f"{what}:train"])
    return [[one] for one in texts] if many else texts


def test_no_field_of_any_kind_names_what_somebody_keeps_to_themselves(team: Team, private: Things) -> None:
    """Artifact and data set of ann as model, adapter, variant, reward, checkpoint, data, judge and text, by bob.

    What is nowhere is refused alike, so that nobody learns from it which ids there are.
    """
    bob, n = team.of("bob"), 0
    for kind in bob.kinds:
        for name, many in _texts(kind):
            for what in (private.artifact, private.upload, new_id()):
                for value in _given(name, what, many):
                    n += 1
                    with pytest.raises(NotFound, match=f"There is no artifact or data set {what}"):
                        bob.policy.check_names({"steps": [{"kind": kind.name, "fields": {name: value}}]})
    assert n > 100


def test_no_job_is_made_of_what_is_private(team: Team, private: Things) -> None:
    bob = team.of("bob")
    for fields in ({"data": private.upload}, {"model": private.artifact}, {"adapter": private.artifact}):
        with pytest.raises(NotFound) as refused:
            bob.submit("sft", {"data": "reviews", "max_steps": 1} | fields)
        assert WORDS not in str(refused.value)
    assert bob.list() == []


def test_a_step_of_a_pipeline_names_no_more_than_a_job(team: Team, private: Things) -> None:
    bob = team.of("bob")
    for fields in ({"data": private.upload}, {"data": "reviews", "model": private.artifact}, {"data": "/etc/passwd"}):
        steps = [{"name": "first", "kind": "sft", "fields": {"max_steps": 1} | fields}]
        with pytest.raises((NotFound, NotAllowed, BadInput)) as refused:
            bob.submit("pipeline", {"steps": steps})
        assert WORDS not in str(refused.value)
    mine = bob.submit("pipeline", {"steps": [{"name": "first", "kind": "preview", "fields": {"data": "reviews"}}]})
    with pytest.raises((NotFound, NotAllowed, BadInput)):
        bob.restart(mine.id, "first", {"first.data": private.upload})
    with pytest.raises(WorkbenchError):
        bob.resume_pipeline(mine.id, {"first.data": private.upload})


def test_nobody_joins_a_conversation_or_retries_a_job_that_they_may_not_see(team: Team, private: Things) -> None:
    bob = team.of("bob")
    for do in (
        lambda: bob.submit("generate", {"prompt": "and then?"}, parent=private.ended),
        lambda: bob.retry(private.ended),
        lambda: bob.restart(private.pipeline),
        lambda: bob.describe(private.ended, visibility=Visibility.TEAM),
        lambda: bob.record(private.ended),
        lambda: bob.artifact(private.artifact),
        lambda: bob.metrics(private.ended),
        lambda: bob.events(private.ended[-6:].lower()),
        lambda: bob.remove_upload(private.upload),
    ):
        with pytest.raises(NotFound) as refused:
            do()
        assert WORDS not in str(refused.value)
    assert team.of("ann").show(private.ended).visibility is Visibility.PRIVATE


def test_a_model_that_a_private_job_made_is_in_no_list_of_others(team: Team, private: Things) -> None:
    """Though workers report all that lies on their disks and in their memories."""
    adapter = values.Role.ADAPTER
    made = ModelInfo(name=private.artifact, origin=Origin.ARTIFACT, role=adapter, n_bytes=7, base=BUILTIN_NAME)
    shelf.fill(team.bench, (made,), (shelf.held(model=private.artifact),))
    for who, sees in (("bob", False), ("ann", True), ("root", True)):
        bench = team.of(who)
        assert [one.info.name for one in bench.models()] == [private.artifact][: int(sees)]
        assert (private.artifact in {one.model for one in bench.holdings()}) is sees
        (card,) = bench.overview().cards
        assert (private.artifact in {one.holding.model for one in card.held}) is sees
        assert (private.artifact in str(offers.adapters(bench, BUILTIN_NAME))) is sees


def test_an_id_and_its_end_say_nothing_of_what_is_private(team: Team, private: Things) -> None:
    """It is refused in the same words as what never was."""
    bob, absent = team.of("bob"), new_id()
    for way in (str, str.lower, lambda one: one[-6:]):
        mine, theirs = way(private.ended), way(absent)
        said = []
        for one in (mine, theirs):
            with pytest.raises(NotFound) as refused:
                bob.show(one)
            said.append(f"{refused.value.message} {refused.value.hint}".replace(one, "ID"))
        assert said[0] == said[1] == "There is no job ID. `workbench jobs` lists them."


def test_lists_counts_searches_and_cards_say_nothing_of_what_is_private(team: Team, private: Things) -> None:
    from core.store.queries import JobFilter

    bob = team.of("bob")
    assert bob.list() == []
    assert bob.count() == bob.count(JobFilter(words=WORDS)) == bob.count(JobFilter(owner="ann")) == 0
    assert bob.uploads() == []
    assert WORDS not in repr(bob.overview())


def test_a_job_that_is_made_private_is_gone_from_the_page_of_whoever_watches_it(team: Team) -> None:
    ann = team.of("ann")
    job = ann.submit("long", {"text": "seen by all"})
    cookies = dict(team.browser("bob").cookies)
    with (
        TestClient(team.app, base_url=ORIGIN, cookies=cookies) as bob,
        bob.websocket_connect(f"{SOCKET}/{job.id}", headers=FROM_HERE) as socket,
    ):
        assert "seen by all" in socket.receive_text()
        ann.describe(job.id, visibility=Visibility.PRIVATE, note=WORDS)
        heard, code = until_closed(socket)
    assert code == 1000
    assert '{"type":"gone"}' in heard
    assert WORDS not in heard


CROSS_SITE = [
    ({"host": "evil.example"}, 421),
    ({"host": "bench.example.evil.example"}, 421),
    ({"x-forwarded-host": "bench.example", "host": "evil.example"}, 421),
    ({"origin": "http://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": "http://bench.example.evil.example"}, 403),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "origin": "http://evil.example"}, 403),
    ({"sec-fetch-site": "same-site"}, 403),
]


def test_a_form_of_another_site_changes_nothing(team: Team) -> None:
    """Signing somebody in under another name, making a user of one's own, signing out: with the victim's cookie."""
    root = team.browser("root")
    for headers, status in CROSS_SITE:
        for path, form in (
            ("/sign-in", {"name": "bob", "password": PASSWORD}),
            ("/users/add", {"name": "mallory", "role": "administrator"}),
            ("/account/sign-out", {}),
        ):
            answer = root.post(path, data=form, headers=headers)
            assert answer.status_code == status, (path, headers)
            assert "set-cookie" not in answer.headers
    assert {one.name for one in team.bench.store.users()} == {"ann", "bob", "root"}
    assert root.get("/users").status_code == 200


def test_a_socket_of_another_site_is_refused_with_the_victims_cookie(team: Team) -> None:
    cookies = dict(team.browser("ann").cookies)
    forged: list[dict[str, str]] = [{}, *(headers for headers, _ in CROSS_SITE)]
    with TestClient(team.app, base_url=ORIGIN, cookies=cookies) as browser:
        for headers in forged:
            with pytest.raises(WebSocketDisconnect) as refused, browser.websocket_connect(SOCKET, headers=headers):
                pass
            assert refused.value.code == 4403, headers


def test_no_session_hash_and_no_component_makes_somebody_else_of_one(team: Team, private: Things) -> None:
    """Gradio's own session, a name in the body, and headers that a proxy might set are nothing to go by."""
    bob = team.browser("bob")
    stop = next(one for one in handlers_of(team) if one.name == "Runs.stop")
    forged = {**FROM_HERE, "x-forwarded-user": "ann", "x-workbench-visitor": "ann", "authorization": "Bearer ann"}
    for session in ("ann", team.accounts.id_of("x"), ""):
        body = {
            "fn_index": stop.index, "data": [], "trigger_id": stop.target, "session_hash": session,
            "event_data": {"job": private.waiting, "user": "ann", "who": "ann", "owner": "ann"},
            "username": "ann", "request": {"username": "ann"},
        }  # fmt: skip
        assert "There is no job" in bob.post("/gradio_api/run/predict?visitor=ann", json=body, headers=forged).text
    assert team.bench.store.job(private.waiting).state == "queued"


def test_a_forged_address_buys_no_more_tries(team: Team) -> None:
    stranger = team.browser()
    said = []
    for n in range(7):
        forged = {**FROM_HERE, "x-forwarded-for": f"198.51.100.{n}", "x-real-ip": f"198.51.100.{n}"}
        said.append(stranger.post("/sign-in", data={"name": "ann", "password": "wrong"}, headers=forged).text)
    assert "too many tries" in said[-1]
    from web.askers import address_of

    scope = {"client": ("192.0.2.1", 1)}
    from starlette.datastructures import Headers

    assert address_of(scope, Headers({"x-forwarded-for": "198.51.100.1"}), 0) == "192.0.2.1"
    assert address_of(scope, Headers({"x-forwarded-for": "198.51.100.1, 203.0.113.9"}), 1) == "203.0.113.9"


def test_a_failed_sign_in_takes_as_long_for_a_name_that_is_known(team: Team) -> None:
    """By the processor's time, which other work on the machine does not lengthen; and one hash either way."""
    verified: list[str] = []
    plain = Accounts(team.bench.settings, team.bench.store)
    right = plain._is_right
    plain._is_right = lambda kept, password: verified.append(kept) or right(kept, password)  # type: ignore[method-assign, func-returns-value]
    plain._brake.begin = lambda subjects: None  # type: ignore[method-assign]
    with pytest.raises(NotAllowed):
        plain.sign_in("warm", "up")
    verified.clear()
    team.bench.store.add_user("cleo", Role.MEMBER)
    took: dict[str, list[float]] = {"ann": [], "nobody": [], "cleo": []}
    for _ in range(5):
        for name, times in took.items():
            begin = time.process_time()
            with pytest.raises(NotAllowed):
                plain.sign_in(name, "wrong")
            times.append(time.process_time() - begin)
    assert len(verified) == 15
    medians = [statistics.median(times) for times in took.values()]
    assert max(medians) < 2 * min(medians), took


def test_script_is_text_wherever_it_is_shown(team: Team) -> None:
    ann = team.of("ann")
    job = ann.submit("generate", {"prompt": NASTY}, name=NASTY[:200])
    ann.describe(job.id, note=NASTY)
    ann.upload(BytesIO(NASTY.encode()), f"{NASTY}.txt")
    browser = TestClient(team.app, base_url=ORIGIN, follow_redirects=False)
    entered = browser.post(
        "/sign-in", data={"name": "ann", "password": PASSWORD}, headers={**FROM_HERE, "user-agent": NASTY}
    )
    assert entered.status_code == 303
    shown = [browser.get("/account").text]
    shown.append(team.browser().post("/sign-in", data={"name": NASTY, "password": "x"}, headers=FROM_HERE).text)
    shown.append(team.browser("root").post("/users/add", data={"name": NASTY}, headers=FROM_HERE).text)
    shown.append(team.browser().get("/sign-in", params={"next": f"/{NASTY}"}).text)
    shown.append(team.browser().get("/welcome", params={"link": NASTY}).text)
    opened = next(one for one in handlers_of(team) if one.name == "Data.open")
    shown.append(opened.call(browser, {"job": "", "name": ""})[1])
    with TestClient(team.app, base_url=ORIGIN, cookies=dict(browser.cookies)) as watching:
        for path in (f"/{job.id}", ""):
            with watching.websocket_connect(f"{SOCKET}{path}", headers=FROM_HERE) as socket:
                shown.append("".join(_fragments(socket.receive_text())))
    for text in shown:
        assert "<script>window.pwned" not in text
        assert "<img src=x" not in text
    assert sum("&lt;script&gt;" in text for text in shown) >= 5


def _fragments(message: str) -> Iterator[str]:
    for name, html in json.loads(message).get("parts", {}).items():
        if name not in ("models", "order", "ended"):  # JSON, which scripts write as text
            yield html


@pytest.mark.parametrize("field", ["model", "adapter", "data", "eval_text", "judge_data", "resume_from"])
@pytest.mark.parametrize("path", ["/etc/passwd", "../secret", "~/secret", "./x", "artifacts/ID/y", "C:\\x", "a/b/c"])
def test_a_member_names_no_file_of_the_workers_machine(workbench: Workbench, field: str, path: str) -> None:
    from core.access import Who
    from core.modes import MODES, Mode
    from core.policy import Policy

    settings = workbench.settings.model_copy(update={"mode": Mode.TEAM, **MODES[Mode.TEAM]})
    member = Policy(settings, workbench.store, Who("bob"))
    if path == "a/b/c":  # a file of a repository of the Hub is written so
        member.check_names({field: path})
        return
    with pytest.raises(NotAllowed, match="path of the worker's machine"):
        member.check_names({field: path})
    Policy(settings, workbench.store, Who("root", is_administrator=True)).check_names({field: path})


def test_a_prompt_of_50_megabytes_is_refused(team: Team) -> None:
    bob = team.browser("bob")

    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 1_000_000

    said = bob.post("/gradio_api/run/predict", headers={**FROM_HERE, "content-length": "50000000"}, content=b"")
    counted = bob.post("/gradio_api/run/predict", headers=FROM_HERE, content=pieces())
    form = bob.post("/sign-in", headers=FROM_HERE, content=b"name=" + b"x" * 2_000_000)
    assert (said.status_code, counted.status_code, form.status_code) == (413, 413, 413)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="how much a process held is read there")
def test_nothing_of_a_prompt_of_50_megabytes_is_held_in_memory(team: Team) -> None:
    token = team.browser("bob").cookies["workbench"]
    with served_page(team.bench.settings.model_copy(update={"allowed_hosts": ""})) as address:
        port = urlsplit(address).port
        process = next(one for one in psutil.net_connections("tcp4") if one.status == "LISTEN" and one.laddr[1] == port)
        headers = {"origin": address, "cookie": f"workbench={token}", "transfer-encoding": "chunked"}
        before, sent = _most_bytes(process.pid), 0
        for _ in range(3):
            connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
            connection.putrequest("POST", "/gradio_api/run/predict")
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            with suppress(ConnectionError):  # it says 413 and hangs up, whatever is still to come
                for _ in range(50):
                    connection.send(b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n")
                    sent += 1
            connection.close()
        assert sent >= 3
        assert _most_bytes(process.pid) - before < 20_000_000


def _most_bytes(pid: int | None) -> int:
    """The most memory that a process has held so far."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) * 1024
