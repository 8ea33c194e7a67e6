from __future__ import annotations

import json
import re
from typing import Any

import gradio as gr
import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from core.access import Who
from core.client import Workbench
from core.states import State
from core.store.claims import Kept
from core.store.part import JOBS
from core.values import Progress, Visibility
from tests.web import shelf
from tests.web.fake_worker import FakeWorker
from tests.web.shelf import WORKER, fill, held
from tests.web.test_models import HOSTILE
from tests.web.test_pages import event, request
from tests.web.test_sockets import read_until
from tests.web.viewers import Page
from web.live.board import Board, Query
from web.live.cards import CardsNow
from web.models_look import ref
from web.pages.cards import EVENTS, Cards

ROOT, ANA, BEN = Who("root", is_administrator=True), Who("ana"), Who("ben")
SECRET = "secret/model"


@pytest.fixture
def page(workbench: Workbench) -> Cards:
    with gr.Blocks():
        return Cards(workbench)


def seen_by(workbench: Workbench, who: Who) -> str:
    parts = CardsNow(who).look(workbench)
    return re.sub(r"\s+", " ", parts["cards"] + parts["lines"])


def ask(workbench: Workbench, who: Who, prompt: str, **fields: Any) -> str:
    return workbench.acting_for(who).submit("generate", {"prompt": prompt}, **fields).id


def run(workbench: Workbench, worker: str = WORKER) -> str:
    claim = workbench.store.claim("interactive", worker, 600)
    assert claim is not None
    return claim.job_id


def finish(workbench: Workbench, job: str, took_s: float, state: State = State.SUCCEEDED) -> None:
    """End a job as though it had taken so long, from its submission on."""
    workbench.store.finish(job, 1, state, {}, Kept())
    then = {"started_at": JOBS.c.finished_at - took_s, "created_at": JOBS.c.finished_at - took_s}
    with workbench.store.database.write() as connection:
        connection.execute(update(JOBS).where(JOBS.c.id == job).values(then))  # type: ignore[arg-type]


def test_without_a_worker_it_says_how_to_start_one_and_that_nothing_waits(workbench: Workbench) -> None:
    html = seen_by(workbench, ROOT)
    assert "No worker is running." in html
    assert "Nothing waits." in html


def test_a_card_shows_its_memory_who_holds_it_and_how_far_what_runs_is(workbench: Workbench) -> None:
    fill(workbench)
    job = ask(workbench, ANA, "a poem about bytes")
    run(workbench)
    workbench.store.set_progress(job, 1, Progress(current=3, total=4, message="writing"))
    workbench.store.report_holdings(WORKER, [held(users=(job,)), held(key="k", model="b/pinned", n_bytes=4e9)])
    workbench.store.pin([held(key="k")], is_pinned=True)
    html = seen_by(workbench, BEN)
    for shown in (
        "NVIDIA T4 in atlas", "9.20 GB free of 15.6 GB", "a poem about bytes", "writing", "75 %", "of ana", "pinned",
        "467 MB", "4.00 GB", "1 of 4 places taken",
    ):  # fmt: skip
        assert shown in html
    assert f'href="/runs?job={job}"' in html
    assert "/srv/wb/models" not in html  # a key holds a path, which is nobody's business


def test_what_waits_stands_in_its_order_with_its_reason_and_what_is_expected(workbench: Workbench) -> None:
    workbench.store.report_worker(shelf.worker(slots=1), 60)
    for n in range(3):
        ask(workbench, ANA, f"earlier {n}")
        finish(workbench, run(workbench), 240)
    ask(workbench, ANA, "runs")
    run(workbench)
    for who, prompt in ((ANA, "second of ana"), (ANA, "third of ana"), (BEN, "first of ben")):
        ask(workbench, who, prompt)
    html = seen_by(workbench, ANA)
    places = [html.index(prompt) for prompt in ("first of ben", "second of ana", "third of ana")]
    assert places == sorted(places)
    for shown in (
        "3 wait; 1 of 1 place taken", "next, once a place is free", "1 job before it", "2 jobs before it",
        "in about 4 min, estimated from 3 runs", "in about 8 min, estimated from 3 runs",
    ):  # fmt: skip
        assert shown in html
    assert html.count('class="mine"') == 2


def test_how_far_expected_starts_were_off_is_told_once_it_is_known(workbench: Workbench) -> None:
    workbench.store.report_worker(shelf.worker(slots=1), 60)
    ask(workbench, ANA, "earlier")
    finish(workbench, run(workbench), 240)
    ask(workbench, ANA, "runs")
    running = run(workbench)
    ask(workbench, ANA, "waits")
    assert "were off by" not in seen_by(workbench, ANA)
    finish(workbench, running, 240)
    run(workbench)
    assert "Over the last 1 job of which one was shown, half were off by about 4 min or less." in seen_by(
        workbench, ANA
    )


def test_a_private_job_of_somebody_else_shows_its_owner_and_its_bytes_alone(workbench: Workbench) -> None:
    fill(workbench)
    running = ask(workbench, ANA, "my secret prompt", visibility=Visibility.PRIVATE)
    run(workbench)
    waiting = ask(workbench, ANA, "my secret wish", visibility=Visibility.PRIVATE)
    workbench.store.report_holdings(WORKER, [held(key=SECRET, model=SECRET, users=(running,))])
    workbench.store.explain("interactive", workbench.show(waiting).model, f"waiting until {SECRET} is loaded")
    theirs = seen_by(workbench, BEN)
    for hidden in ("secret", running, running[-6:], waiting, waiting[-6:]):
        assert hidden not in theirs
    for shown in ("a private job", "a model of a private job", "467 MB", "ana"):
        assert shown in theirs
    for who in (ANA, ROOT):
        assert "my secret prompt" in seen_by(workbench, who)


@pytest.mark.parametrize("who", [ANA, ROOT])
def test_names_reasons_and_models_are_escaped(workbench: Workbench, who: Who) -> None:
    fill(workbench, holdings=(held(model=HOSTILE, precision=HOSTILE),))
    job = ask(workbench, ANA, HOSTILE)
    run(workbench)
    workbench.store.set_progress(job, 1, Progress(current=1, total=2, message=HOSTILE))
    ask(workbench, ANA, HOSTILE)
    html = seen_by(workbench, who)
    assert HOSTILE not in html
    assert "<img" not in html
    assert "<script" not in html
    for attribute in re.findall(r'(?<==)"[^"]*"', html):
        assert "<" not in attribute


def test_an_administrator_drains_a_worker_and_lets_it_in_again(workbench: Workbench, page: Cards) -> None:
    fill(workbench)
    root, worker = request("root", is_administrator=True), ref("worker", WORKER)
    job = ask(workbench, ANA, "waits")
    assert page.drain(event(ref=worker), root) == ""
    assert workbench.store.claim("interactive", WORKER, 60) is None
    html = seen_by(workbench, ROOT)
    assert "drained" in html
    assert "every worker that takes interactive jobs is being drained" in html
    page.admit(event(ref=worker), root)
    assert run(workbench) == job


def test_an_administrator_pins_and_unloads_here_too(workbench: Workbench, page: Cards) -> None:
    fill(workbench, holdings=(held(),))
    root, mine = request("root", is_administrator=True), ref(WORKER, held().key)
    assert page.pin(event(ref=mine), root) == ""
    assert workbench.store.holdings()[0].is_pinned
    page.unpin(event(ref=mine), root)
    page.release(event(ref=mine), root)
    found = workbench.store.holdings()[0]
    assert (found.is_pinned, found.is_release_requested) == (False, True)


def test_whoever_is_no_administrator_is_offered_none_of_it_and_refused_it(workbench: Workbench, page: Cards) -> None:
    fill(workbench, holdings=(held(),))
    assert "data-act" in seen_by(workbench, ROOT)
    assert "data-act" not in seen_by(workbench, ANA)
    for name in EVENTS:
        wanted = ref("worker", WORKER) if name in ("drain", "admit") else ref(WORKER, held().key)
        assert "Only an administrator" in getattr(page, name)(event(ref=wanted), request("ana")), name
    assert workbench.store.claim("interactive", WORKER, 60) is None  # nothing waits
    assert not workbench.workers()[0].is_drain_requested
    assert not workbench.store.holdings()[0].is_pinned


@pytest.mark.parametrize("data", [{}, {"ref": None}, {"ref": 7}, {"ref": ["x"]}, {"ref": "<b>"}])
def test_no_event_that_a_browser_makes_up_is_more_than_refused(page: Cards, data: dict[str, Any]) -> None:
    for name in EVENTS:
        trouble = getattr(page, name)(event(**data), request("root", is_administrator=True))
        assert 'role="alert"' in trouble, name
        assert "<b>" not in trouble


def test_the_cards_are_followed_though_nothing_rings(web: TestClient, workbench: Workbench) -> None:
    fill(workbench)
    page = Page()
    with web.websocket_connect("ws://localhost/ws/cards") as socket:
        read_until(socket, page, lambda page: "NVIDIA T4" in page.parts.get("cards", ""))
        ask(workbench, ANA, "one that waits")
        read_until(socket, page, lambda page: "one that waits" in page.parts["lines"])
        workbench.store.request_drain(WORKER, True)
        read_until(socket, page, lambda page: "drained" in page.parts["cards"])


def test_the_bar_leads_to_the_cards_and_to_one_s_own_jobs(workbench: Workbench) -> None:
    fill(workbench)
    ask(workbench, ANA, "mine")
    ask(workbench, BEN, "not mine")
    bar = Board(Query(ANA, is_bar_only=True)).look(workbench)["bar"]
    assert 'href="/cards"' in bar
    assert "9.20 GB free" in bar
    assert "1 queued" in bar
    assert "owner=ana" in bar


def ended(workbench: Workbench, who: Who) -> list[dict[str, str]]:
    found = json.loads(Board(Query(who, is_bar_only=True)).look(workbench)["ended"])
    assert isinstance(found, list)
    return found


def test_a_long_job_that_has_ended_is_told_to_its_owner_alone(workbench: Workbench) -> None:
    fill(workbench)
    long = ask(workbench, ANA, "a long one")
    finish(workbench, run(workbench), 31)
    ask(workbench, ANA, "a short one")
    finish(workbench, run(workbench), 29)
    ask(workbench, ANA, "one that was stopped")
    finish(workbench, run(workbench), 500, State.CANCELLED)
    assert ended(workbench, ANA) == [{"id": long, "kind": "Generate", "name": "a long one", "state": "succeeded"}]
    assert ended(workbench, ROOT) == []


def test_what_ended_long_ago_is_not_told_any_more(workbench: Workbench) -> None:
    fill(workbench)
    job = ask(workbench, ANA, "a long one")
    finish(workbench, run(workbench), 31)
    with workbench.store.database.write() as connection:
        ago = update(JOBS).where(JOBS.c.id == job).values(finished_at=JOBS.c.finished_at - 700)  # type: ignore[arg-type]
        connection.execute(ago)
    assert ended(workbench, ANA) == []


def test_a_job_that_waits_for_drained_workers_says_so_on_its_own_page(
    web: TestClient, workbench: Workbench, fake_worker: FakeWorker
) -> None:
    from tests.support import eventually

    (worker,) = eventually(lambda: list(workbench.workers()))
    workbench.store.request_drain(worker.id, True)
    job, page = ask(workbench, ANA, "waits"), Page()
    with web.websocket_connect(f"ws://localhost/ws/jobs/{job}") as socket:
        read_until(socket, page, lambda page: "is being drained" in page.parts.get("now", ""))
        workbench.store.request_drain(worker.id, False)
        read_until(socket, page, lambda page: page.end)
    assert workbench.store.job(job).state is State.SUCCEEDED
