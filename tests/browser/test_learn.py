"""What quantization does, in a browser: with a real worker on the built-in model, and what it looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from tests.browser.conftest import Watched
from tests.browser.test_look import findings
from tests.support import eventually, running, served_page

HEADLINE = "[data-headline]"
BUTTON = "Look at this layer"
LOADING_MS = 120_000


@pytest.fixture
def real(tmp_path: Path, redis_server: str, models_home: Path) -> Iterator[str]:
    """The address of a page with a real worker, which has the built-in model on its disk."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(models_home / "models")
    settings = Settings(
        home=home, redis_url=redis_server, redis_prefix=f"wbtest-{new_id().lower()}", port=0, preload=False
    )
    migrate(settings.database)
    with served_page(settings) as address, running(settings, "-m", "worker", "interactive"):
        client = Workbench.open(settings)
        eventually(client.workers)
        client.close()
        yield address


def looked(window: Watched, path: str = "/learn") -> Page:
    page = window.page(path)
    page.get_by_role("button", name=BUTTON).click()
    expect(page.locator(HEADLINE)).to_be_visible()
    return page


def test_a_layer_of_the_built_in_model_is_looked_at_by_one_press(browser: Browser, real: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    watched = Watched(context, real)
    page = watched.page("/learn")
    page.get_by_role("button", name=BUTTON).click()
    expect(page.locator(HEADLINE)).to_contain_text("nf4 keeps down_proj of block 20 in 4.5 bits", timeout=LOADING_MS)
    expect(page.get_by_label("Kind of layer")).to_have_value("down_proj")
    page.get_by_label("Kind of layer").select_option("q_proj")
    page.locator("select[name=block]").select_option("0")
    page.get_by_role("button", name=BUTTON).click()
    expect(page.locator(HEADLINE)).to_contain_text("nf4 keeps q_proj of block 0", timeout=LOADING_MS)
    expect(page.locator("#learned")).to_contain_text("Head 0 of 9 in block 0")
    context.close()
    assert watched.faults == []


def test_the_address_keeps_what_was_found(window: Watched) -> None:
    page = looked(window)
    expect(page).to_have_url(f"{page.url.partition('/learn')[0]}/learn?job={page.url[-26:]}")
    expect(page.locator("[data-empty]")).to_have_count(0)
    expect(page.locator("#learned svg")).to_have_count(8)
    said = page.locator(HEADLINE).inner_text()
    page.reload()
    expect(page.locator(HEADLINE)).to_have_text(said)
    expect(page.locator("select[name=block]")).to_have_value("20")
    page.locator("#learned summary").first.click()
    expect(page.locator("#learned [data-chart] table").first).to_contain_text("weight")
    assert page.locator(".wb-bar a").filter(has_text="What quantization does").count() == 0


def test_what_failed_is_said_and_can_be_tried_again(window: Watched) -> None:
    page = window.page("/learn")
    page.get_by_label("Prompt").fill("this will fail")
    page.get_by_label("Prompt").press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("ran out of memory")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("alert")).to_contain_text("ran out of memory")
    expect(page.locator(HEADLINE)).to_have_count(0)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_it_is_usable_by_all_and_fits(
    browser: Browser, address: str, window: Watched, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watched = Watched(context, address)
    page = looked(watched)
    expect(page.locator("#learned svg")).to_have_count(8)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert findings(page) == []
    context.close()
    assert watched.faults == []
