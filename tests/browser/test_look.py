from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from core.client import Workbench
from tests.browser.conftest import LOOKS, Watched
from tests.browser.test_runs import finished

SERIOUS = ("serious", "critical")


def findings(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['help']} at {[node['html'][:200] for node in rule['nodes'][:3]]}"
        for rule in found
        if rule["impact"] in SERIOUS
    ]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_every_page_is_usable_by_all_and_fits(
    browser: Browser, address: str, bench: Workbench, scheme: Literal["light", "dark"], width: int
) -> None:
    good, bad = finished(bench, "one to look at"), finished(bench, "one to fail and look at")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watched = Watched(context, address)
    shown = {
        "/": "#prompt textarea",
        f"/?job={good.id}": "[data-answer] .figs",
        f"/?job={bad.id}": "[data-answer] .card.bad",
        "/runs": "tbody tr",
        f"/runs?job={good.id}": ".job .figs",
        f"/runs?job={bad.id}": ".job .card.bad",
    }
    for path, selector in shown.items():
        page = watched.page(path)
        expect(page.locator(selector).first).to_be_visible(timeout=20_000)
        if path == "/":
            page.get_by_text("Advanced").click()
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")
        assert findings(page) == [], path
        page.close()
    context.close()
    assert watched.faults == []


def test_our_styles_are_there_before_the_first_paint(window: Watched) -> None:
    page = window.context.new_page()
    page.route("**/assets/*.js", lambda route: route.abort())  # nothing of Gradio's script has run
    page.goto(window.page().url, wait_until="domcontentloaded")
    assert (
        page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--wb-accent').trim()") == "#0b6b5d"
    )
    window.faults.clear()


def test_focus_is_visible(window: Watched) -> None:
    page = window.page()
    page.locator("#send").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
