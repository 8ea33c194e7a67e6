from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from core import stream
from core.client import Workbench
from core.settings import Settings
from core.states import State
from core.store.claims import Kept
from core.values import Visibility
from tests.web.fake_worker import ANSWER, FakeWorker
from tests.web.shelf import WORKER, fill, held
from tests.web.viewers import Page

MISSING = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def follow(web: TestClient, job_id: str, page: Page | None = None) -> WebSocketTestSession:
    page = page or Page()
    return web.websocket_connect(f"ws://localhost/ws/jobs/{job_id}?attempt={page.attempt}&at={page.at}")


def read_until(socket: WebSocketTestSession, page: Page, holds: Any) -> None:
    while not holds(page):
        page.hear(socket.receive_text())


def ask(workbench: Workbench, prompt: str = "Why?") -> str:
    return workbench.submit("generate", {"prompt": prompt}).id


@pytest.fixture
def writer(settings: Settings) -> FakeWorker:
    """A worker whose steps a test takes one by one."""
    return FakeWorker(settings)


def test_a_viewer_gets_the_whole_text_and_then_the_end(
    web: TestClient, workbench: Workbench, fake_worker: FakeWorker
) -> None:
    page = Page()
    with follow(web, ask(workbench)) as socket:
        read_until(socket, page, lambda page: page.end)
    assert page.text == ANSWER
    assert page.parts["state"] == "succeeded"
    assert "41.8" in page.parts["figures"]
    assert page.end == "end"


def test_a_finished_job_is_shown_without_a_broker(
    settings: Settings, workbench: Workbench, fake_worker: FakeWorker, app: Any
) -> None:
    from web.app import build_app

    job_id = ask(workbench)
    for _update in workbench.watch(job_id):
        pass
    alone = Workbench(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}), workbench.store)
    page = Page()
    with TestClient(build_app(alone), base_url="http://localhost") as web, follow(web, job_id) as socket:
        read_until(socket, page, lambda page: page.end)
    assert page.text == ANSWER


def test_without_a_broker_the_row_is_followed_and_the_page_says_so(
    settings: Settings, workbench: Workbench, writer: FakeWorker
) -> None:
    from web.app import build_app

    alone = Workbench(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}), workbench.store)
    page = Page()
    with TestClient(build_app(alone), base_url="http://localhost") as web:
        job_id = ask(alone)
        with follow(web, job_id) as socket:
            read_until(socket, page, lambda page: "Live view paused" in page.parts["now"])
            claim = writer.store.claim("interactive", "w", 60)
            assert claim is not None
            read_until(socket, page, lambda page: page.parts["state"] == "running")
            writer.store.finish(job_id, claim.attempt, State.SUCCEEDED, {"text": "from the row"}, Kept())
            read_until(socket, page, lambda page: page.end)
    assert page.text == "from the row"


def test_an_emptied_broker_loses_no_text(
    web: TestClient, workbench: Workbench, writer: FakeWorker, redis_server: str
) -> None:
    job_id, page = ask(workbench), Page()
    claim = writer.store.claim("interactive", "w", 60)
    assert claim is not None
    with follow(web, job_id) as socket:
        writer.write(job_id, 1, 0, "Hello ")
        read_until(socket, page, lambda page: page.text == "Hello ")
        redis.Redis.from_url(redis_server).delete(stream.Keys(workbench.settings.redis_prefix).job(job_id))
        writer.write(job_id, 1, 0, "Hello again, ")
        read_until(socket, page, lambda page: page.text == "Hello again, ")
        writer.store.finish(job_id, 1, State.SUCCEEDED, {"text": "Hello again, world"}, Kept())
        writer.ring(job_id)
        read_until(socket, page, lambda page: page.end)
    assert page.text == "Hello again, world"


def test_a_viewer_goes_on_from_where_its_connection_broke(
    web: TestClient, workbench: Workbench, writer: FakeWorker
) -> None:
    job_id, page = ask(workbench), Page()
    writer.store.claim("interactive", "w", 60)
    with follow(web, job_id) as socket:
        writer.write(job_id, 1, 0, "one ")
        read_until(socket, page, lambda page: page.text == "one ")
    writer.write(job_id, 1, 4, "two ")
    with follow(web, job_id, page) as socket:
        message = json.loads(socket.receive_text())
        while message["type"] != "text":
            message = json.loads(socket.receive_text())
    assert (message["at"], message["text"]) == (4, "two ")


def test_another_attempt_begins_the_text_anew(web: TestClient, workbench: Workbench, writer: FakeWorker) -> None:
    job_id, page = ask(workbench), Page()
    writer.store.claim("interactive", "w", 60)
    with follow(web, job_id) as socket:
        writer.write(job_id, 1, 0, "lost words")
        read_until(socket, page, lambda page: page.text == "lost words")
        writer.store.give_back(job_id, 1, "its worker stopped")
        writer.store.claim("interactive", "w", 60)
        writer.ring(job_id)
        read_until(socket, page, lambda page: page.attempt == 2)
        assert page.text == ""
        writer.write(job_id, 2, 0, "new words")
        read_until(socket, page, lambda page: page.text == "new words")


def test_a_job_that_waits_says_what_runs_before_it(web: TestClient, workbench: Workbench, writer: FakeWorker) -> None:
    first, page = ask(workbench, "the first one"), Page()
    writer.report()
    writer.store.claim("interactive", "w", 60)
    ask(workbench, "the second one")
    with follow(web, ask(workbench, "the third one")) as socket:
        read_until(socket, page, lambda page: "1 job before this one; “the first one” runs now." in page.parts["now"])
        workbench.cancel(first)
        writer.store.finish(first, 1, State.CANCELLED, None, Kept())
        writer.store.claim("interactive", "w", 60)
        writer.ring(first)
        read_until(socket, page, lambda page: "Next in the queue; “the second one” runs now." in page.parts["now"])


def test_a_job_that_no_worker_takes_says_so(web: TestClient, workbench: Workbench) -> None:
    page = Page()
    with follow(web, ask(workbench)) as socket:
        read_until(socket, page, lambda page: "no worker runs that takes interactive jobs" in page.parts["now"])


@pytest.mark.parametrize("job_id", [MISSING, "nonsense", "%2e%2e"])
def test_a_job_that_is_not_there_closes_the_socket(web: TestClient, job_id: str) -> None:
    with follow(web, job_id) as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == 4404


def test_a_job_that_one_may_not_see_looks_like_one_that_is_not_there(
    member: TestClient, settings: Settings, workbench: Workbench
) -> None:
    from core.access import Who

    hers = workbench.acting_for(Who("ana")).submit("generate", {"prompt": "x"}, visibility=Visibility.PRIVATE)
    with follow(member, hers.id) as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == 4404
    assert hers.id in closed.value.reason


def test_somebody_elses_job_is_shown_without_what_only_its_owner_may_do(
    member: TestClient, workbench: Workbench
) -> None:
    from core.access import Who

    hers = workbench.acting_for(Who("ana")).submit("generate", {"prompt": "x"})
    page = Page()
    with follow(member, hers.id) as socket:
        read_until(socket, page, lambda page: "title" in page.parts)
    assert 'data-do="stop"' not in page.parts["title"]
    assert "<form" not in page.parts["about"]


def test_nobody_is_kept_once_the_viewers_have_gone(app: Any, web: TestClient, workbench: Workbench) -> None:
    hub = app._app.state.hub
    page = Page()
    with follow(web, ask(workbench)) as socket:
        read_until(socket, page, lambda page: page.parts)
        assert hub._feeds
    with web.websocket_connect("ws://localhost/ws/jobs?bar=true") as socket:
        page.hear(socket.receive_text())
    assert not hub._feeds
    assert not hub._looked


def test_the_list_follows_what_happens(web: TestClient, workbench: Workbench, writer: FakeWorker) -> None:
    page = Page()
    with web.websocket_connect("ws://localhost/ws/jobs?words=needle") as socket:
        read_until(socket, page, lambda page: page.parts["order"] == "[]")
        assert "No run matches" in page.parts["foot"]
        ask(workbench, "hay")
        found = ask(workbench, "a needle")
        read_until(socket, page, lambda page: page.parts["order"] == json.dumps([found]))
        assert "queued" in page.parts[f"row:{found}"]
        workbench.cancel(found)
        read_until(socket, page, lambda page: "cancelled" in page.parts[f"row:{found}"])


def test_older_pages_of_the_list_begin_where_the_newer_one_ended(web: TestClient, workbench: Workbench) -> None:
    ids = [ask(workbench, f"number {n}") for n in range(53)][::-1]
    page = Page()
    with web.websocket_connect("ws://localhost/ws/jobs") as socket:
        read_until(socket, page, lambda page: page.parts)
    assert json.loads(page.parts["order"]) == ids[:50]
    assert f'data-older="{ids[49]}"' in page.parts["foot"]
    older = Page()
    with web.websocket_connect(f"ws://localhost/ws/jobs?before={ids[49]}") as socket:
        read_until(socket, older, lambda page: page.parts)
    assert json.loads(older.parts["order"]) == ids[50:]
    assert "data-older" not in older.parts["foot"]


def test_the_models_are_followed_though_nothing_rings(web: TestClient, workbench: Workbench) -> None:
    fill(workbench)
    page = Page()
    with web.websocket_connect("ws://localhost/ws/models") as socket:
        read_until(socket, page, lambda page: "Qwen2.5-0.5B" in page.parts.get("places", ""))
        assert "No model is in memory" in page.parts["memory"]
        workbench.store.report_holdings(WORKER, [held()])
        read_until(socket, page, lambda page: "in memory, nf4" in page.parts["places"])
        job = workbench.submit("download", {"model": "org/x"})
        read_until(socket, page, lambda page: page.parts["jobs"] == json.dumps([job.id]))
