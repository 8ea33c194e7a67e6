"""Recorded runs in a browser: the replay moves by the browser's own clock, is sought, and ends."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from core.client import Workbench
from core.recording.file import write
from tests.browser.conftest import LOOKS, Watched
from tests.browser.test_look import findings
from tests.recording import made
from tests.web.fake_worker import NASTY


@pytest.fixture(scope="module", autouse=True)
def _kept(bench: Workbench) -> None:
    folder = bench.settings.home / "recordings"
    nasty = made.generation(result={"text": NASTY, "finish_reason": "stop", "parameters": {}, **made.N_TOKENS})
    assert nasty.text
    told = nasty.text.model_copy(update={"pieces": ((made.BEGUN + 1, 40), (made.BEGUN + 2, len(NASTY)))})
    write(made.pipeline().model_copy(update={"name": "whole-run", "title": "A whole run"}), folder)
    write(made.recording(made.generation(), name="blue"), folder)
    write(made.recording(made.comparison(), name="table"), folder)
    write(made.recording(nasty.model_copy(update={"text": told}), name="nasty"), folder)


def moment(page: Page) -> float:
    return float(page.locator("[data-recorded]").get_attribute("data-at") or -1)


def points(page: Page) -> int:
    return int(page.locator("[data-curves]").get_attribute("data-points") or 0)


def seek(page: Page, thousandths: int) -> None:
    page.locator("[data-seek]").evaluate(
        "(seek, at) => { seek.value = at; seek.dispatchEvent(new Event('input')); }", thousandths
    )


def test_a_replay_moves_by_itself_is_stopped_sought_and_skipped_to_its_end(window: Watched) -> None:
    page = window.page("/recorded")
    page.locator("article", has_text="A whole run").get_by_role("link", name="sft").click()
    expect(page.locator("[data-mark]")).to_contain_text("Recorded on 15 Jan 2027 on AMD EPYC, 2 cores")
    page.wait_for_function("+document.querySelector('[data-recorded]').dataset.at > 2")
    page.get_by_role("button", name="1×", exact=True).click()  # a slow machine sees the end of more
    slow = moment(page)
    page.wait_for_function("slow => +document.querySelector('[data-recorded]').dataset.at > slow + 1", arg=slow)
    page.get_by_role("button", name="Pause").click()
    assert slow + 1 < moment(page) < 130
    still = moment(page)
    page.wait_for_timeout(400)
    assert moment(page) == still

    seek(page, 500)
    expect(page.locator("[data-time]")).to_have_text("1:05 of 2:10")
    expect(page.locator("[data-part=now]")).to_contain_text("step 32 of 60")
    assert points(page) == 32
    expect(page.locator("[data-part=title] .chip")).to_have_text("◐ running")
    seek(page, 200)
    assert points(page) == 13

    page.get_by_role("button", name="Skip to the end").click()
    expect(page.locator("[data-part=title] .chip")).to_have_text("✓ succeeded")
    assert points(page) == 60
    expect(page.locator("[data-status]")).to_have_text("The recorded job is succeeded.")
    expect(page.locator("[data-do]")).to_have_count(0)
    page.get_by_role("button", name="Replay").click()
    page.wait_for_function("document.querySelector('[data-recorded]').dataset.playing === 'true'")
    assert points(page) < 60


def test_a_text_is_written_again_as_it_came(window: Watched) -> None:
    page = window.page("/recorded?run=blue")
    page.get_by_role("button", name="Skip to the end").click()
    seek(page, 500)  # of 15 s: the third word came after 5 s, the sixth after 8
    expect(page.locator("[data-text]")).to_have_text(" ".join(made.ANSWER.split(" ")[:5]))
    seek(page, 1000)
    expect(page.locator("[data-text]")).to_have_text(made.ANSWER)
    page.get_by_role("link", name="Run the same here").click()
    expect(page.locator("#prompt textarea")).to_have_value("Why is the sky blue?")


def test_what_a_stranger_wrote_runs_nothing(window: Watched) -> None:
    page = window.page("/recorded?run=nasty")
    page.get_by_role("button", name="Skip to the end").click()
    expect(page.locator("[data-text]")).to_contain_text("window.pwned=1")
    assert page.evaluate("window.pwned") is None
    expect(page.locator("[data-text] :is(img, script, form)")).to_have_count(0)


def test_steps_lead_from_the_whole_to_each_and_back(window: Watched) -> None:
    page = window.page("/recorded?run=whole-run")
    page.get_by_role("button", name="Skip to the end").click()
    page.locator(".stage").first.get_by_role("link", name="sft").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Fine-tune")
    page.get_by_role("link", name="The whole").click()
    expect(page.locator(".stage")).to_have_count(2)


def test_whoever_wants_no_motion_sees_the_end_at_once(browser: Browser, address: str, bench: Workbench) -> None:
    context = browser.new_context(reduced_motion="reduce")
    watched = Watched(context, address)
    page = watched.page("/recorded?run=table")
    expect(page.locator("[data-part=title] .chip")).to_have_text("✓ succeeded")
    expect(page.get_by_role("button", name="Replay")).to_be_visible()
    context.close()
    assert watched.faults == []


def test_what_is_not_there_says_so(browser: Browser, address: str, bench: Workbench) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/recorded?run=none")
    expect(page.locator("[data-missing]")).to_contain_text("There is no recording 'none'.")
    page.get_by_role("link", name="All recorded runs").click()
    expect(page.locator("article").first).to_be_visible()
    context.close()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_nothing_scrolls_sideways_and_all_can_use_it(
    browser: Browser, address: str, bench: Workbench, scheme: Literal["light", "dark"], width: int
) -> None:
    size: ViewportSize = {"width": width, "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    watched = Watched(context, address)
    paths = ("/recorded", *(f"/recorded?run={one}" for one in ("whole-run", "whole-run&step=sft", "table", "blue")))
    for path in paths:
        page = watched.page(path)
        expect(page.locator("article, [data-part=title] .chip.good").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert findings(page) == [], path
        page.close()
    context.close()
    assert watched.faults == []
