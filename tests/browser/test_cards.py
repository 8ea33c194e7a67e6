"""The Cards page and the notices in a real browser: what an administrator does, and what is said when a job ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from core.access import Who
from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from core.values import Progress, Visibility
from tests.browser.conftest import LOOKS, Watched
from tests.browser.test_look import findings
from tests.support import eventually, served_page
from tests.web.shelf import LARGE, WORKER, held
from tests.web.shelf import worker as some_worker
from tests.web.test_cards import finish

LIVES_S = 3600
ME, ANA, BEN = Who("me", is_administrator=True), Who("ana"), Who("ben")


@pytest.fixture(scope="module")
def bench_settings(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Settings:
    home = tmp_path_factory.mktemp("cards")
    settings = Settings(home=home, redis_url=redis_server, redis_prefix=f"wbtest-{new_id().lower()}", port=0)
    migrate(settings.database)
    return settings


@pytest.fixture(scope="module")
def address(bench_settings: Settings) -> Iterator[str]:
    with served_page(bench_settings) as served:
        yield served


@pytest.fixture(scope="module")
def bench(bench_settings: Settings) -> Iterator[Workbench]:
    """Three people, two workers on one card and one on a machine's own memory; nobody answers by themselves."""
    opened = Workbench.open(bench_settings)
    people(opened)
    yield opened
    opened.close()


def people(bench: Workbench) -> None:
    """Have a batch job and two interactive ones run, and six wait, one of them for memory and two in private."""
    store = bench.store
    store.report_worker(some_worker(slots=2), LIVES_S)
    store.report_worker(some_worker(id="atlas/batch/2", queue="batch", slots=1, pid=2), LIVES_S)
    host = some_worker(
        id="bolt/interactive/3", host="bolt", card="host bolt", device="CPU", memory_kind="host", slots=1
    )
    store.report_worker(host, LIVES_S)
    for n in range(4):
        _ask(bench, ANA, f"earlier {n}")
        finish(bench, _run(bench, WORKER), 150 + 60 * n)
    running = [
        _ask(bench, who, words) for who, words in ((ANA, "Why is the sky blue?"), (BEN, "Write a poem of bytes"))
    ]
    _ask(bench, BEN, "private words", visibility=Visibility.PRIVATE)
    for worker in (WORKER, WORKER, "bolt/interactive/3"):
        _run(bench, worker)
    training = bench.acting_for(ANA).submit("sft", {"data": "reviews", "max_steps": 90}).id
    _run(bench, "atlas/batch/2", "batch")
    store.set_progress(training, 1, Progress(current=31, total=90, message="step 31 of 90, loss 2.41", eta_s=420))
    store.report_holdings(WORKER, [
        held(users=tuple(running), work_bytes=210_000_000),
        held(key="idle", model=LARGE, precision="int8", n_bytes=3_400_000_000),
    ])  # fmt: skip
    store.pin([held(key="idle")], is_pinned=True)
    child = held(worker="atlas/batch/2", key="child", precision="bfloat16", n_bytes=2_100_000_000, users=(training,))
    store.report_holdings("atlas/batch/2", [child])
    for who, words, fields in (
        (ANA, "Explain attention to a child", {}),
        (ANA, "Explain it once more, in one sentence", {}),
        (BEN, "Another private one", {"visibility": Visibility.PRIVATE}),
        (ME, "Name three rivers", {}),
    ):
        _ask(bench, who, words, **fields)
    bench.acting_for(BEN).submit("sft", {"data": "reviews", "max_steps": 10})
    waits = bench.acting_for(ME).submit("generate", {"prompt": "A long context", "dtype": "bfloat16"})
    (key,) = [one.load_key for one in store.waiting_keys("interactive") if one.oldest == waits.id]
    store.explain("interactive", key, "needs 13.9 GB, 9.2 GB free: waiting for job CDEF41")


def _ask(bench: Workbench, who: Who, words: str, visibility: Visibility = Visibility.TEAM) -> str:
    return bench.acting_for(who).submit("generate", {"prompt": words}, visibility=visibility).id


def _run(bench: Workbench, worker: str, queue: str = "interactive") -> str:
    claim = bench.store.claim(queue, worker, LIVES_S)
    assert claim is not None
    return claim.job_id


def test_an_administrator_sees_who_uses_what_and_lets_a_worker_run_dry(window: Watched) -> None:
    page = window.page("/cards")
    expect(page.get_by_role("heading", name="NVIDIA T4 in atlas")).to_be_visible()
    expect(page.get_by_role("link", name="Why is the sky blue?")).to_be_visible()
    expect(page.get_by_text("waits for memory: needs 13.9 GB")).to_be_visible()
    drain = page.get_by_role("button", name="Drain the batch worker of atlas")
    drain.click()
    expect(page.get_by_text("draining, 1 left")).to_be_visible()
    expect(page.get_by_text("every worker that takes batch jobs is being drained")).to_be_visible()
    page.get_by_role("button", name="Let in again the batch worker of atlas").click()
    expect(drain).to_be_visible()


def test_the_bar_of_every_page_leads_to_the_cards(window: Watched) -> None:
    page = window.page("/runs")
    page.locator(".wb-bar .stats a[href='/cards']").click()
    expect(page.get_by_role("heading", name="Cards", level=1)).to_be_visible()
    expect(page.locator(".wb-bar a[aria-current=page]")).to_have_text("Cards")


def test_a_long_job_that_ends_is_told_once_across_tabs_and_reloads(window: Watched, bench: Workbench) -> None:
    page = window.page("/fit")
    notices = page.locator("[data-notice]")
    expect(page.locator(".wb-bar .stats")).to_contain_text("free")
    _ended(bench, "a long one of mine")
    expect(notices).to_have_count(1)
    expect(notices).to_contain_text("Generate is done")
    expect(notices).to_contain_text("a long one of mine")
    assert page.locator(".wb-notices").get_attribute("aria-live") == "polite"
    other = window.page("/models")
    expect(other.locator(".wb-bar .stats")).to_contain_text("free")
    expect(other.locator("[data-notice]")).to_have_count(0)
    page.reload()
    expect(page.locator(".wb-bar .stats")).to_contain_text("free")
    expect(notices).to_have_count(0)
    second = _ended(bench, "<b>another</b>")
    told = [each.locator(f"[data-notice='{second}']") for each in (page, other)]
    (notice,) = eventually(lambda: [each for each in told if each.count()])  # both tabs hear of it, one says so
    expect(notice).to_contain_text("<b>another</b>")  # a name is text
    notice.get_by_role("button", name="Put away").click()
    assert [each.count() for each in told] == [0, 0]


def test_who_looks_at_the_job_itself_is_not_told_that_it_has_ended(window: Watched, bench: Workbench) -> None:
    job = bench.submit("generate", {"prompt": "watched"}, priority=60).id
    page = window.page(f"/runs?job={job}")
    expect(page.get_by_role("heading", level=1, name="watched")).to_be_visible()
    assert _run(bench, "a worker of no card") == job
    finish(bench, job, 60)
    bench._ring(job)
    expect(page.locator(".chip.good").first).to_be_visible()
    other = window.page("/fit")
    expect(other.locator(".wb-bar .stats")).to_contain_text("free")
    expect(other.locator(f"[data-notice='{job}']")).to_have_count(0)


def _ended(bench: Workbench, words: str) -> str:
    """A job of one's own that has taken a minute, and has just ended."""
    job = bench.submit("generate", {"prompt": words}, priority=50).id
    assert _run(bench, "a worker of no card") == job
    finish(bench, job, 60)
    bench._ring(job)
    return job


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_page_looks_right(
    browser: Browser, address: str, bench: Workbench, width: int, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = Watched(context, address).page("/cards")
    expect(page.get_by_role("heading", name="Interactive jobs")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert findings(page) == []
    context.close()
