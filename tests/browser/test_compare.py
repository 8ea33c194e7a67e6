from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from core.client import Workbench
from core.comparison.values import Said, VariantResult, VariantState
from core.settings import Settings
from core.states import State
from core.store.claims import Claim, Kept
from core.values import Job, Progress
from tests.browser.conftest import LOOKS, Watched
from tests.browser.test_look import findings
from tests.web.comparisons import FIGURES, MODEL, PROMPTS, comparison, failed, variant
from tests.web.fake_worker import FakeWorker

EVIL = "<img src=x onerror=window.pwned=1>"


class Comparer(FakeWorker):
    """A worker that compares at once, and one variant further each time it is told to."""

    queue = "batch"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, name="fake-batch")
        self.further = threading.Semaphore(0)
        self.waits = False

    def work(self, claim: Claim) -> None:
        names = list(FIGURES)
        for n in range(len(names) if self.waits else 0):
            found = comparison([self.under_way(name, m, n) for m, name in enumerate(names)])
            body = found.model_dump(mode="json")
            self.store.keep_result(claim.job_id, claim.attempt, body)
            said = Progress(current=n, total=len(names), message=f"{names[n]}: loading")
            self.store.set_progress(claim.job_id, claim.attempt, said)
            self.ring(claim.job_id)
            while self.waits and not self._stop_asked.is_set() and not self.further.acquire(timeout=0.05):
                pass
        found = comparison([*(variant(name) for name in names), failed(f"nf4 {EVIL}")], notes=(EVIL,))
        self.store.finish(claim.job_id, claim.attempt, State.SUCCEEDED, found.model_dump(mode="json"), Kept())

    def under_way(self, name: str, m: int, n: int) -> VariantResult:
        if m < n:
            return variant(name)
        state = VariantState.RUNNING if m == n else VariantState.QUEUED
        return VariantResult(name=name, state=state, weights_bytes=Said(predicted=FIGURES[name][0]))


@pytest.fixture(scope="module")
def comparer(bench_settings: Settings, bench: Workbench) -> Iterator[Comparer]:
    started = Comparer(bench_settings)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def finished(bench: Workbench, comparer: Comparer) -> Job:
    comparer.waits = False
    job = bench.submit("compare", {"model": MODEL, "prompts": PROMPTS, "seed": 7})
    for _ in bench.watch(job.id):
        pass
    return bench.show(job.id)


def opened(window: Watched, path: str = "/compare") -> Page:
    page = window.page(path)
    expect(page.locator("#ready .needs tbody tr").first).to_be_visible()
    return page


def test_a_form_becomes_rows_then_a_headline_a_table_charts_and_advice(
    window: Watched, bench: Workbench, comparer: Comparer
) -> None:
    comparer.waits = True
    page = opened(window)
    expect(page.get_by_role("link", name="Compare", exact=True)).to_have_attribute("aria-current", "page")
    expect(page.locator("script[src*=echarts]")).to_have_count(0)
    page.get_by_role("checkbox", name="int8").uncheck()
    expect(page.locator("#ready .needs")).not_to_contain_text("int8")
    page.get_by_label("Prompts").fill("Why is the sky blue?")
    expect(page.locator("#command pre")).to_contain_text("Why is the sky blue?")
    page.keyboard.press("Control+Enter")
    row = page.locator("tr[data-variant=float32]")
    expect(row).to_have_attribute("data-state", "running")
    job = page.url.partition("/compare?job=")[2]
    assert bench.show(job).spec["variants"] == ["float32", "bfloat16", "nf4", "nf4-dq"]
    assert bench.show(job).spec["prompts"] == ["Why is the sky blue?"]
    expect(page.locator("#form")).to_be_hidden()
    expect(page.locator("[data-part=now]")).to_contain_text("float32: loading")
    comparer.further.release()
    expect(row).to_have_attribute("data-state", "succeeded")
    expect(page.locator("tr[data-variant=bfloat16]")).to_have_attribute("data-state", "running")
    expect(page.locator(".compare .chart svg").first).to_be_visible()
    comparer.waits = False
    for _ in FIGURES:
        comparer.further.release()
    expect(page.locator("[data-headline]")).to_contain_text("nf4-dq takes 23 %")
    titles = (
        "Memory, speed and quality",
        "Memory over the weights",
        "First token by",
        "Speed by size",
        "Error of int8",
    )
    for title in titles:
        chart = page.locator("[data-chart]", has=page.locator("h2", has_text=title))
        expect(chart.locator("svg path").nth(5)).to_be_attached()
    page.locator("[data-advice] [name=card]").select_option("T4 16 GB")
    expect(page.locator("[data-advised]")).to_contain_text("Take int8: it leaves")
    page.locator("[data-advice] [name=goal]").select_option("memory")
    expect(page.locator("[data-advised]")).to_contain_text("Take nf4-dq")
    page.locator("[data-advice] [name=context]").fill("many")
    expect(page.locator("[data-advised]")).to_contain_text("A context is a whole number")
    assert page.evaluate("window.pwned") is None
    page.reload()
    expect(page.locator("[data-headline]")).to_contain_text("nf4-dq takes 23 %")


def test_a_job_page_shows_the_same_and_loads_what_draws_only_then(window: Watched, finished: Job) -> None:
    page = window.page("/runs")
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.locator("script[src*=echarts]")).to_have_count(0)
    page = window.page(f"/runs?job={finished.id}")
    expect(page.locator("[data-headline]")).to_contain_text("nf4-dq takes 23 %")
    expect(page.locator(".compare .chart svg").first).to_be_visible()
    expect(page.locator("[data-answer]")).to_be_hidden()  # the headline is no text of a model
    page.locator("[data-advice] [name=goal]").select_option("memory")
    expect(page.locator("[data-advised]")).to_contain_text("Take nf4-dq")
    page.get_by_label("Shown").first.select_option(label="int8: outliers")
    expect(page.get_by_text("input columns were multiplied in 16 bit")).to_be_visible()
    expect(page.locator("mark", has_text="river").first).to_be_visible()
    page.get_by_label("Shown").last.select_option(label="Sampled, seed 7")
    expect(page.get_by_text("Paris indeed").first).to_be_visible()
    chart = page.locator("[data-chart]").first
    chart.locator("summary").click()
    expect(chart.locator("table tr", has_text="bfloat16")).to_contain_text("16.1")


def test_clone_with_changes_opens_the_form_as_the_job_had_it(window: Watched, bench: Workbench) -> None:
    spec = {"variants": ["fp32", "nf4"], "prompts": ["one\ntwo"], "repeats": 3, "eval_own": "My own text. " * 900}
    job = bench.submit("compare", spec)
    page = opened(window, f"/compare?job={job.id}&change=1")
    expect(page.get_by_role("checkbox", name="nf4", exact=True)).to_be_checked()
    expect(page.get_by_role("checkbox", name="int8")).not_to_be_checked()
    expect(page.get_by_label("Prompts")).to_have_value("one\\ntwo")
    expect(page.locator("#own textarea")).to_have_value("My own text. " * 900)
    expect(page.locator("#ready")).to_contain_text("in 5 windows of 512")
    page.get_by_text("Advanced").click()
    expect(page.locator("#field-repeats [data-number]")).to_have_value("3")
    page.locator("#field-repeats [data-number]").fill("4")
    page.locator("#send").click()
    expect(page.locator("[data-headline]")).to_be_visible()
    made = bench.show(page.url.partition("/compare?job=")[2]).spec
    assert (made["repeats"], made["eval_own"], made["variants"]) == (4, spec["eval_own"], ["float32", "nf4"])


def test_a_set_ticks_its_variants_and_before_and_after_asks_for_an_adapter(window: Watched) -> None:
    page = opened(window)
    page.get_by_role("button", name="Attention").click()
    expect(page.locator("#ready .needs tbody th").nth(1)).to_have_text("sdpa")
    page.get_by_role("button", name="Before and after").click()
    expect(page.locator("#ready")).to_contain_text("name one of them")
    page.get_by_role("combobox", name="Adapter").fill("ana/poems-lora")
    expect(page.locator("#ready .needs tbody th")).to_have_text(["base", "adapter"])
    page.get_by_role("button", name="Precision ladder").click()
    expect(page.locator("#ready .needs tbody tr")).to_have_count(5)


def test_a_file_of_ones_own_is_read_here_and_one_that_is_no_text_is_refused(window: Watched, tmp_path: Path) -> None:
    good, bad, large = tmp_path / "good.txt", tmp_path / "bad.txt", tmp_path / "large.txt"
    good.write_text("Grüße. " * 1000, encoding="utf-8")
    bad.write_bytes("Grüße".encode("latin-1"))
    large.write_text("a" * 400_001)
    page = opened(window)
    page.get_by_text("A text of your own").click()
    picker = page.locator("#own input[type=file]")
    picker.set_input_files(good)
    expect(page.locator("#own")).to_contain_text("7,000 characters")
    expect(page.locator("#ready")).to_contain_text("in 3 windows of 512")
    picker.set_input_files(bad)
    expect(page.locator("#own [role=alert]")).to_have_text(
        "bad.txt is not UTF-8 text: save it as UTF-8 and choose it again."
    )
    picker.set_input_files(large)
    expect(page.locator("#own [role=alert]")).to_contain_text("large.txt is too long: at most 400,000 characters")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#ready")).to_contain_text("in 8 windows of 512")


def test_an_address_of_no_job_says_so(window: Watched) -> None:
    page = window.page("/compare?job=01ARZ3NDEKTSV4RRFFQ69G5FAV")
    expect(page.get_by_text("There is no such comparison.")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_it_is_usable_by_all_and_fits(
    browser: Browser, address: str, finished: Job, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watched = Watched(context, address)
    places: dict[str, Any] = {"/compare": ".needs", f"/compare?job={finished.id}": ".compare .chart svg"}
    for path, selector in places.items():
        page = watched.page(path)
        expect(page.locator(selector).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert findings(page) == [], path
        page.close()
    context.close()
    assert watched.faults == []
