from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from core.client import Workbench
from tests.browser.conftest import Watched
from tests.browser.test_look import findings
from tests.browser.test_runs import finished


def test_two_runs_are_chosen_by_keyboard_and_set_side_by_side(window: Watched, bench: Workbench) -> None:
    one, other = finished(bench, "chosen first"), finished(bench, "chosen nasty second")
    page = window.page("/runs")
    button = page.get_by_role("button", name="Side by side")
    page.get_by_role("checkbox", name="Choose generate chosen first").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("1 run chosen: choose another")).to_be_visible()
    expect(button).to_be_hidden()
    page.get_by_role("checkbox", name="Choose generate chosen nasty second").focus()
    page.keyboard.press("Space")
    page.get_by_label("Search runs").fill("chosen first")  # the list is drawn anew, what was chosen stays
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("checkbox", name="Choose generate chosen first")).to_be_checked()
    button.click()
    page.wait_for_url(re.compile(rf"/side-by-side\?jobs={one.id},{other.id}$"))
    expect(page.locator(".side")).to_contain_text("2 jobs, each held against A.")
    expect(page.locator(".asked-of")).to_contain_text("chosen nasty second")
    expect(page.locator("[data-figure=tokens_per_s]")).to_contain_text("41.8 tok/s")
    expect(page.locator(".column").last).to_contain_text("<script>window.pwned=3</script>")
    assert page.evaluate("window.pwned") is None
    page.reload()
    expect(page.locator(".sides .card")).to_have_count(2)
    page.get_by_role("link", name="Generate: chosen first").click()
    page.wait_for_url(re.compile(rf"/runs\?job={one.id}$"))


def test_a_tick_outlasts_a_row_that_is_drawn_again_and_is_taken_back(window: Watched, bench: Workbench) -> None:
    job = bench.submit("generate", {"prompt": "a slow one to tick"})
    page = window.page("/runs")
    tick = page.get_by_role("checkbox", name="Choose generate a slow one to tick")
    tick.check()
    bench.cancel(job.id)
    expect(page.locator("tbody tr", has=tick)).to_contain_text("cancelled")
    expect(tick).to_be_checked()
    page.get_by_role("button", name="Clear").click()
    expect(tick).not_to_be_checked()
    expect(page.locator("[data-chosen]")).to_be_hidden()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_it_is_usable_by_all_and_fits(
    browser: Browser, address: str, bench: Workbench, scheme: Literal["light", "dark"], width: int
) -> None:
    one, other = finished(bench, "looked at " + "long " * 40), finished(bench, "looked at too")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watched = Watched(context, address)
    page = watched.page(f"/side-by-side?jobs={one.id},{other.id}")
    expect(page.locator(".side .costs")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert findings(page) == []
    page.goto(f"{address}/runs")
    page.locator("[data-pick]").nth(1).check()
    page.locator("[data-pick]").first.check()
    expect(page.get_by_role("button", name="Side by side")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert findings(page) == []
    context.close()
    assert watched.faults == []
