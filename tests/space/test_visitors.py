from __future__ import annotations

import re
import time
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.websockets import WebSocketDisconnect

from core.catalog import BUILTIN_NAME
from core.errors import BadInput, NotAllowed, NotFound, TooMany, WorkbenchError
from core.modes import MODES, Mode, unsafe
from core.settings import Settings
from core.states import State
from core.values import Visibility
from tests.space.conftest import HOST, ORIGIN, SECRET, Space
from web.askers import VISITOR_HEADER, address_of
from web.lines import SIGNED_OUT
from web.pace import Pace

FROM_HERE = {"origin": ORIGIN}
ASKED = {"prompt": "Why is the sky blue?"}


def brought(page: str) -> str:
    """The name that a page brings for a browser that keeps no cookie."""
    found = re.search(r'<meta name="wb-visitor" content="([^"]+)">', page)
    return found[1] if found else ""


def test_a_visitor_has_a_signed_name_that_scripts_cannot_read_and_frames_may_send(space: Space) -> None:
    browser = space.browser()
    first = browser.get("/")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith(f"__Host-workbench={brought(first.text)};")
    assert {"HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"} <= set(cookie.split("; "))
    second = browser.get("/runs")
    assert "set-cookie" not in second.headers
    assert brought(second.text) == "", "who keeps the cookie needs no other name"


def test_a_page_may_stand_in_a_frame_of_a_space_and_in_no_other(space: Space) -> None:
    headers = space.browser().get("/").headers
    assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


def test_where_no_cookie_is_kept_the_page_brings_the_name(space: Space) -> None:
    with space.browser(keeps_cookies=False) as browser:
        name = brought(browser.get("/").text)
        job = space.visitor(name.partition(".")[0]).submit("generate", ASKED)
        refused = browser.post("/gradio_api/run/x", json={}, headers=FROM_HERE)
        assert (refused.status_code, refused.text[:24]) == (401, "Open the page anew: this")
        named = browser.post("/gradio_api/run/x", json={}, headers=FROM_HERE | {VISITOR_HEADER: name})
        assert named.status_code != 401
        stream = f"wss://{HOST}/ws/jobs/{job.id}"
        with browser.websocket_connect(f"{stream}?visitor={name}", headers=FROM_HERE) as socket:
            assert socket.receive_json()
        with browser.websocket_connect(stream, headers=FROM_HERE) as socket:
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
            assert closed.value.code == SIGNED_OUT


@pytest.mark.parametrize("made_up", ["visitor-0000", "visitor-0000.aaaaaa.bbbb", "root", "\xe9", "x" * 5000])
def test_a_name_that_we_have_not_signed_is_nobodys(space: Space, made_up: str) -> None:
    headers: dict[str, Any] = {**FROM_HERE, VISITOR_HEADER: made_up.encode("latin-1")}
    assert space.browser().post("/gradio_api/run/x", json={}, headers=headers).status_code == 401


def test_visitors_see_and_cancel_only_what_is_theirs(space: Space) -> None:
    ann, bob = space.visitor("visitor-a"), space.visitor("visitor-b", "another address")
    job = ann.submit("generate", ASKED, visibility=Visibility.TEAM)
    assert job.visibility is Visibility.PRIVATE, "there is no team among strangers"
    assert bob.list() == []
    for act in (bob.show, bob.cancel, bob.retry, bob.delete, bob.events, bob.metrics):
        with pytest.raises(NotFound, match="There is no job"):
            act(job.id)
    with pytest.raises(NotFound):
        bob.submit("generate", ASKED, parent=job.id)
    with pytest.raises(NotAllowed):
        ann.describe(job.id, visibility=Visibility.TEAM)
    ann.cancel(job.id)
    assert ann.show(job.id).state is State.CANCELLED


@pytest.mark.parametrize(
    ("kind", "fields", "sentence"),
    [
        ("sft", {"data": "reviews"}, "Training is closed on this page."),
        ("merge", {"adapter": "x"}, "Training is closed on this page."),
        ("pipeline", {"steps": [{"name": "a", "kind": "sft", "fields": {"data": "reviews"}}]}, "Training is closed"),
        ("download", {"model": "organisation/name"}, "Bringing models"),
        ("load", {}, "Bringing models"),
        ("remove", {"model": BUILTIN_NAME}, "not open"),
        ("preview", {"data": "reviews"}, "not open"),
        ("generate", {**ASKED, "model": "organisation/name"}, "Only the built-in model"),
        ("generate", {**ASKED, "model": "/etc"}, "is a path of the worker's machine"),
        ("generate", {**ASKED, "adapter": "organisation/adapter"}, "Only the built-in model"),
        ("compare", {"variants": ["float32+adapter=organisation/adapter", "int8"]}, "Only the built-in model"),
        ("compare", {"variants": ["float32", "int8"], "eval_text": "/etc/passwd"}, "is a path"),
        ("compare", {"variants": ["float32", "int8"], "eval_text": "organisation/data"}, "only what is built in"),
        ("compare", {"variants": ["float32", "bfloat16", "int8", "nf4", "fp4"]}, "variants: at most 4 here"),
        ("compare", {"variants": ["float32", "int8"], "repeats": 50}, "repeats: at most 5 here"),
        ("compare", {"variants": ["float32", "int8"], "context_lengths": [4096]}, "context_lengths: at most 1,024"),
        ("generate", {"prompt": "x" * 4001}, "here a job may have 4,000 in all"),
        ("generate", {"prompt": "x", "messages": [{"role": "user", "content": "x" * 4000}]}, "4,000 in all"),
        ("generate", {**ASKED, "max_new_tokens": 1000}, "max_new_tokens: at most 256 here"),
    ],
)  # fmt: skip
def test_what_is_closed_or_too_much_is_said_in_a_sentence(
    space: Space, kind: str, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(WorkbenchError) as refused:
        space.visitor("visitor-a").submit(kind, fields)
    assert sentence in f"{refused.value.message} {refused.value.hint}"
    assert space.bench.count() == 0


def test_the_usual_comparison_is_open(space: Space) -> None:
    assert space.visitor("visitor-a").submit("compare", {"variants": ["float32", "int8"]}).kind == "compare"


def test_what_is_left_open_is_at_most_what_one_may_have(space: Space) -> None:
    job = space.visitor("visitor-a").submit("generate", ASKED)
    assert job.spec["max_new_tokens"] == 256


def test_jobs_are_counted_by_visitor_by_address_and_in_all(space: Space) -> None:
    for n in range(3):
        for _ in range(3):
            space.visitor(f"visitor-{n}").submit("generate", ASKED)
    with pytest.raises(TooMany, match="You have 3 jobs that wait or run") as refused:
        space.visitor("visitor-0").submit("generate", ASKED)
    assert refused.value.hint.endswith("9 jobs wait in all; how long they take has not been measured yet.")
    with pytest.raises(TooMany, match="9 jobs from your address"):
        space.visitor("visitor-9").submit("generate", ASKED)
    for n in range(191):
        space.visitor(f"visitor-{n + 10}", f"address {n}").submit("generate", ASKED)
    with pytest.raises(TooMany, match="200 jobs wait or run here"):
        space.visitor("visitor-999", "address 999").submit("generate", ASKED)


def test_nothing_is_uploaded(space: Space) -> None:
    browser = space.browser()
    browser.get("/")
    answer = browser.post("/uploads?name=a.txt", content=b"x", headers=FROM_HERE)
    assert answer.status_code == 403
    assert answer.text.startswith("Uploads are closed")


@pytest.mark.parametrize("path", ["/train", "/train?kind=rlhf", "/pipelines", "/models", "/data"])
def test_a_closed_page_says_why_and_where_it_is_recorded(space: Space, path: str) -> None:
    page = space.browser().get(path).text
    assert "This is closed on a public page." in page
    assert "/recorded?run=every-stage" in page


@pytest.mark.parametrize("path", ["/sign-in", "/account", "/users", "/welcome"])
def test_there_are_no_accounts(space: Space, path: str) -> None:
    assert space.browser().get(path).status_code == 404


@pytest.mark.parametrize(
    ("n_proxies", "claimed", "found"),
    [
        (0, "203.0.113.7", "192.0.2.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "1.2.3.4, 203.0.113.7", "203.0.113.7"),
        (2, "1.2.3.4, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (2, "203.0.113.7", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "not an address", "192.0.2.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_an_address_is_what_our_own_proxy_saw(n_proxies: int, claimed: str, found: str) -> None:
    headers = Headers({"x-forwarded-for": claimed} if claimed else {})
    assert address_of({"client": ("192.0.2.1", 5)}, headers, n_proxies) == found


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"mode": "local", "host": "0.0.0.0"}, "whoever reaches the page is its owner"),
        ({"mode": "team"}, "WORKBENCH_SECRET"),
        ({"mode": "team", "secret": "short"}, "WORKBENCH_SECRET"),
        ({"mode": "public", "secret": SECRET, "uploads": True}, "WORKBENCH_UPLOADS"),
        ({"mode": "public", "secret": SECRET, "downloads": True}, "WORKBENCH_DOWNLOADS"),
        ({"mode": "public", "secret": SECRET, "training": True}, "WORKBENCH_TRAINING"),
        ({"mode": "public", "secret": SECRET, "paths": True}, "WORKBENCH_PATHS"),
        ({"mode": "public", "secret": SECRET, "only_builtin": False}, "built-in model"),
        ({"mode": "public", "secret": SECRET, "most_queued": 0}, "WORKBENCH_MOST_QUEUED"),
        ({"mode": "local"}, ""),
        ({"mode": "team", "secret": SECRET, "host": "0.0.0.0"}, ""),
        ({"mode": "public", "secret": SECRET, "host": "0.0.0.0"}, ""),
    ],
)
def test_what_is_unsafe_in_a_mode_is_said_with_what_mends_it(given: dict[str, Any], reason: str) -> None:
    found = [f"{one.reason} {one.mend}" for one in unsafe(Settings(**given))]
    assert found == [] if not reason else reason in found[0]


def test_a_mode_names_settings_that_there_are() -> None:
    assert {name for values in MODES.values() for name in values} <= Settings.model_fields.keys()
    assert Settings(mode=Mode.PUBLIC, most_new_tokens=64).most_new_tokens == 64


def test_a_stranger_who_asks_for_a_bad_thing_has_lost_nothing(space: Space) -> None:
    ann = space.visitor("visitor-a")
    job = ann.submit("generate", ASKED)
    with pytest.raises(BadInput):
        ann.submit("generate", {"prompt": "x" * 10_000})
    assert [one.id for one in ann.list()] == [job.id]


def test_ten_thousand_submissions_of_one_reach_the_pages_at_their_pace_and_others_all(space: Space) -> None:
    one, other = space.browser(), space.browser()
    here, there = {"x-forwarded-for": "203.0.113.7"}, {"x-forwarded-for": "203.0.113.8"}
    for browser, address in ((one, here), (other, there)):
        browser.get("/", headers=address)
    began = time.monotonic()
    flood = [one.post("/gradio_api/run/x", content=b"{}", headers=FROM_HERE | here).status_code for _ in range(1000)]
    let_in = sum(status != 429 for status in flood)
    assert 100 <= let_in <= 100 + 10 * (time.monotonic() - began) + 1
    assert other.post("/gradio_api/run/x", content=b"{}", headers=FROM_HERE | there).status_code != 429


def test_a_bucket_fills_again() -> None:
    clock = [0.0]
    pace = Pace(2.0, 3, lambda: clock[0])
    assert [pace.takes("a") for _ in range(4)] == [True, True, True, False]
    assert pace.takes("b")
    clock[0] = 1.0
    assert [pace.takes("a") for _ in range(3)] == [True, True, False]
