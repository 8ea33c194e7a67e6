from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from core.memory.known import config_of
from tests.browser.conftest import LOOKS, Watched
from tests.browser.test_look import findings

HEADLINE = "[data-headline]"


def opened(window: Watched, path: str = "/fit") -> Page:
    page = window.page(path)
    expect(page.locator(HEADLINE)).to_be_visible()
    return page


def test_it_opens_with_an_example_and_a_chart_that_is_drawn(window: Watched) -> None:
    page = opened(window)
    expect(page.locator(HEADLINE)).to_contain_text("mpt-7b needs 21.0 GB in bfloat16 at 4,096 tokens")
    expect(page.get_by_role("link", name="Will it fit?")).to_have_attribute("aria-current", "page")
    expect(page.locator("#fit-chart svg path").nth(20)).to_be_attached()
    expect(page.locator("#fit-chart svg")).to_contain_text("T4 16")
    expect(page.locator("table.cards tbody tr").first).to_contain_text("T4 16 GB")
    expect(page.locator("table.cards")).to_contain_text("Memory of here")  # the worker's machine, as it reports it
    page.locator("summary", has_text="bfloat16").click()
    expect(page.locator("details[data-asked]")).to_contain_text("6.65 B × 2 bytes = 13.30 GB")
    expect(page.get_by_label("Attention").locator("option", has_text="sdpa")).to_be_disabled()


def test_the_chart_follows_theme_and_width(window: Watched) -> None:
    page = opened(window)
    expect(page.locator('#fit-chart svg path[fill="#1f6aa8"]').first).to_be_attached()
    page.evaluate("document.body.classList.add('dark')")
    expect(page.locator('#fit-chart svg path[fill="#6fb0ee"]').first).to_be_attached()
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("#fit-chart svg")).to_have_attribute("width", "358")


def test_another_context_changes_the_answer_and_the_address_and_a_reload_keeps_both(window: Watched) -> None:
    page = opened(window)
    page.get_by_label("Context").fill("1,024")
    expect(page.locator(HEADLINE)).to_contain_text("at 1,024 tokens: tight on the T4")
    page.get_by_label("Model").select_option("google/gemma-2-2b")
    expect(page.locator(HEADLINE)).to_contain_text("gemma-2-2b needs")
    assert page.url.endswith("/fit?model=google/gemma-2-2b&context=1024&batch=1")
    said = page.locator(HEADLINE).inner_text()
    page.reload()
    expect(page.locator(HEADLINE)).to_have_text(said)
    expect(page.get_by_label("Context")).to_have_value("1,024")
    page.get_by_text("Advanced").click()
    page.get_by_label("Training").select_option("qlora")
    expect(page.locator(HEADLINE)).to_contain_text("in nf4 for qlora training")


def test_a_pasted_config_is_a_part_of_the_link(window: Watched) -> None:
    page = opened(window)
    page.get_by_label("Model").select_option("pasted")
    expect(page.get_by_role("alert")).to_contain_text("Paste the text of a config.json")
    expect(page.locator(HEADLINE)).to_have_count(0)
    expect(page.locator("#fit-chart svg")).to_be_hidden()
    page.get_by_label("config.json", exact=True).fill('{"model_type": "<b>"}')
    expect(page.get_by_role("alert")).to_contain_text("<b>")
    page.get_by_label("config.json", exact=True).fill(json.dumps(config_of("Qwen/Qwen2.5-0.5B"), indent=2))
    expect(page.locator(HEADLINE)).to_contain_text("The pasted model needs 1.17 GB")
    again = opened(window, page.url.partition("/fit")[1] + page.url.partition("/fit")[2])
    expect(again.locator(HEADLINE)).to_contain_text("The pasted model needs 1.17 GB")


def test_a_folder_of_this_machine_is_named_by_its_path(window: Watched, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_of("google/gemma-2-2b")))
    page = opened(window)
    page.get_by_label("Model").select_option("path")
    expect(page.get_by_role("alert")).to_contain_text("Give the path of a folder")
    page.get_by_label("Folder, config.json or GGUF file").fill(str(tmp_path))
    expect(page.locator(HEADLINE)).to_contain_text("needs 7.20 GB")
    page.reload()
    expect(page.get_by_label("Folder, config.json or GGUF file")).to_have_value(str(tmp_path))
    expect(page.locator(HEADLINE)).to_contain_text("needs 7.20 GB")


def test_what_an_address_asks_wrongly_is_said(window: Watched) -> None:
    for query, words in (
        ("model=mosaicml/mpt-7d", "Did you mean mosaicml/mpt-7b?"),
        ("dtype=fp4", "fp4 is not compared here."),
        ("context=many", "context must be a whole number"),
        ("attention=sdpa", "It has eager."),
    ):
        expect(window.page(f"/fit?{query}").get_by_role("alert")).to_contain_text(words)


def test_only_pages_with_charts_load_what_draws_them(window: Watched) -> None:
    assert window.page("/runs").locator('script[src*="echarts"]').count() == 0
    assert opened(window).locator('script[defer][src*="echarts"]').count() == 1


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_it_is_usable_by_all_and_fits(
    browser: Browser, address: str, window: Watched, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watched = Watched(context, address)
    page = opened(watched, "/fit?model=mosaicml/mpt-7b&context=2048&train=lora")
    page.locator("#fit-chart summary").click()
    page.locator("summary", has_text="float32").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert findings(page) == []
    context.close()
    assert watched.faults == []
