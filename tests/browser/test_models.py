"""The Models page in a real browser, with a real worker that has the built-in model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from core.catalog import BUILTIN_NAME
from core.client import Workbench
from core.ids import new_id
from core.migrate import migrate
from core.settings import Settings
from tests.browser.conftest import LOOKS, Watched
from tests.browser.test_look import findings
from tests.hub.conftest import make_model
from tests.hub.server import Hub, hub_server
from tests.queue.test_life import worker as real_worker
from tests.support import eventually, served_page
from tests.web.shelf import MODELS, held
from tests.web.shelf import worker as other_worker

LOADING_MS = 120_000  # a busy machine unpacks and reads slowly
NAME, REMOTE = "SmolLM2-135M-Instruct", "ana/tiny"


@pytest.fixture(scope="module")
def bench_settings(models_home: Path, tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Settings:
    home = tmp_path_factory.mktemp("models")
    (home / "models").mkdir()
    (home / "models" / NAME).symlink_to(models_home / "models" / NAME)
    settings = Settings(
        home=home, redis_url=redis_server, redis_prefix=f"wbtest-{new_id().lower()}", port=0, preload=False
    )
    migrate(settings.database)
    return settings


@pytest.fixture(scope="module")
def address(bench_settings: Settings) -> Iterator[str]:
    with served_page(bench_settings) as served:
        yield served


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("served")
    make_model(folder)
    with hub_server() as served:
        served.add(REMOTE, folder)
        yield served


@pytest.fixture(scope="module")
def bench(bench_settings: Settings, hub: Hub) -> Iterator[Workbench]:
    opened = Workbench.open(bench_settings)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_ENDPOINT", hub.endpoint)
        environment.setenv("HF_HOME", str(bench_settings.home / "hf"))
        with real_worker(bench_settings, "interactive"):
            eventually(lambda: opened.models() and opened.abilities("interactive"))
            yield opened
    opened.close()


@pytest.fixture
def empty(bench: Workbench) -> Workbench:
    """Nothing is in memory."""
    for one in bench.holdings():
        bench.unload(one.key)
    eventually(lambda: not bench.holdings())
    return bench


def opened(window: Watched, path: str = "/models") -> Page:
    page = window.page(path)
    expect(page.locator("[data-models]")).to_have_attribute("data-ready", "")
    return page


def test_it_shows_what_the_worker_has(window: Watched, empty: Workbench) -> None:
    page = opened(window)
    row = page.locator("table.models tbody tr")
    expect(row).to_have_count(1)
    for shown in (NAME, "LlamaForCausalLM", "chat template", "built in", "135 M", "8,192"):
        expect(row).to_contain_text(shown)
    expect(page.locator("[data-part=memory]")).to_contain_text("No model is in memory here.")
    expect(page.get_by_role("link", name="Models", exact=True)).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("button", name=f"Delete {NAME}")).to_have_count(0)  # it comes with the program


def test_a_model_is_loaded_pinned_and_unloaded_by_keyboard(window: Watched, empty: Workbench) -> None:
    page = opened(window)
    load = page.get_by_role("button", name=f"Load {NAME}")
    load.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Load {NAME}")
    precision = dialog.get_by_role("radiogroup", name="Precision")
    expect(precision.get_by_role("radio", name="auto")).to_be_focused()
    expect(precision.get_by_role("radio", name="auto")).to_contain_text("float32 here")
    expect(precision.get_by_role("radio", name="bfloat16")).to_contain_text("fits")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    expect(precision.get_by_role("radio", name="bfloat16")).to_have_attribute("aria-checked", "true")
    dialog.get_by_role("button", name="Load", exact=True).press("Enter")
    expect(dialog).to_be_hidden()
    card = page.locator("[data-jobs] article")
    expect(card).to_contain_text(f"Load {NAME} in bfloat16")
    expect(card.locator(".headline")).to_contain_text(f"{NAME} is resident in bfloat16: ", timeout=LOADING_MS)
    row = page.locator("table.held tbody tr")
    expect(row).to_contain_text("bfloat16")
    expect(page.locator("table.models")).to_contain_text("in memory, bfloat16")
    expect(page.locator(".wb-bar .stats")).to_contain_text(", 1 model")

    pin = page.get_by_role("button", name=f"Pin {NAME}", exact=True)
    pin.press("Enter")
    expect(row).to_contain_text("pinned")
    assert empty.holdings()[0].is_pinned
    page.get_by_role("button", name=f"Unpin {NAME}").press("Enter")
    expect(row).not_to_contain_text("pinned")
    page.get_by_role("button", name=f"Unload {NAME}").press("Enter")
    expect(page.locator("[data-part=memory]")).to_contain_text("No model is in memory here.")
    assert empty.holdings() == []
    card.get_by_role("button", name="Put away").click()
    expect(card).to_have_count(0)


def test_a_load_s_own_page_sets_predicted_beside_measured(window: Watched, bench: Workbench) -> None:
    job = bench.submit("load", {"dtype": "bfloat16"})
    page = window.page(f"/runs?job={job.id}")
    expect(page.locator(".said .headline")).to_contain_text("resident", timeout=LOADING_MS)
    table = page.locator("table.compared")
    expect(table.locator("tr", has_text="Parameters")).to_contain_text("exact")
    expect(table.locator("tr", has_text="Weights")).to_contain_text("269 MB")
    expect(table.locator("tr", has_text="Process total")).to_contain_text("Memory of the worker's process")
    expect(page.locator("[data-text]")).not_to_be_empty()
    code = page.get_by_role("button", name="Copy as Python").get_attribute("data-copy")
    assert code is not None
    assert "from_pretrained" in code
    assert findings(page) == []
    page.get_by_role("link", name="Ask it").click()
    expect(page.locator("#field-dtype [data-value=bfloat16]")).to_have_attribute("aria-checked", "true")
    expect(page.locator("#needs")).to_contain_text("In memory in bfloat16")


def test_what_cannot_run_says_why_and_is_not_chosen(window: Watched, empty: Workbench) -> None:
    page = opened(window, f"/models?load={BUILTIN_NAME}")
    attention = page.get_by_role("dialog").get_by_role("radiogroup", name="Attention")
    flash = attention.get_by_role("radio", name="flash_attention_2")
    expect(flash).to_have_attribute("aria-disabled", "true")
    reason = page.get_by_role("dialog").locator("[data-why] p", has_text="flash_attention_2")
    expect(reason).to_contain_text("it needs an NVIDIA card")
    attention.get_by_role("radio", name="sdpa").click()
    page.keyboard.press("ArrowRight")
    expect(flash).to_be_focused()
    expect(reason).to_have_class("told")
    expect(attention.get_by_role("radio", name="sdpa")).to_have_attribute("aria-checked", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert empty.holdings() == []


def test_a_model_that_is_not_resident_is_loaded_as_part_of_the_answer(window: Watched, empty: Workbench) -> None:
    page = window.page("/?dtype=float16")
    expect(page.locator("#needs")).to_contain_text("in float16")
    page.locator("#prompt textarea").fill("Name a colour.")
    page.locator("#send").click()
    expect(page.locator("[data-answer] [data-part=now]")).to_contain_text("loading", timeout=LOADING_MS)
    expect(page.locator("[data-answer] .figs")).to_be_visible(timeout=LOADING_MS)


def test_a_name_with_a_typo_is_told_the_nearest(window: Watched, bench: Workbench) -> None:
    page = window.page(f"/?model={BUILTIN_NAME.replace('135M', '135N')}")
    expect(page.locator("#needs")).to_contain_text(f"Did you mean {BUILTIN_NAME}")
    page.locator("#prompt textarea").fill("Name a colour.")
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_contain_text(f"Did you mean {BUILTIN_NAME}")


def test_a_model_is_fetched_stopped_fetched_again_and_deleted(window: Watched, bench: Workbench, hub: Hub) -> None:
    page = opened(window)
    name, fetch = page.get_by_label("Get a model from the Hub"), page.get_by_role("button", name="Download")
    hub.faults.bytes_per_s = 800_000
    name.fill(REMOTE)
    fetch.click()
    card = page.locator("[data-jobs] article").first
    expect(card.get_by_role("progressbar")).to_be_visible()
    expect(card).to_contain_text(re.compile(r"\d+ % · [\d.]+ [kM]B of 8\.0\d MB · .* left"))
    card.get_by_role("button", name="Stop").click()
    expect(card.locator(".headline")).to_contain_text("Stopped; what came is kept")
    hub.faults.bytes_per_s = 0
    fetch.click()
    again = page.locator("[data-jobs] article").first
    expect(again.locator(".headline")).to_contain_text("tiny is here: ")
    row = page.locator("table.models tr", has_text="tiny")
    expect(row).to_contain_text("apache-2.0")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete tiny").click()
    expect(row).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete tiny").click()
    expect(row).to_have_count(0)


def test_the_page_of_a_job_whose_model_is_missing_fetches_it(window: Watched, bench: Workbench, hub: Hub) -> None:
    hub.faults.bytes_per_s = 0
    page = window.page(f"/?model={REMOTE}")
    expect(page.locator("#needs")).to_contain_text("No worker has it yet.")
    page.locator("#prompt textarea").fill("Name a colour.")
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_contain_text(f"{REMOTE} is not on this machine.")
    page.get_by_role("button", name="Download tiny").click()
    page.wait_for_url(re.compile(r"/runs\?job="))
    expect(page.locator(".said .headline")).to_contain_text("tiny is here: ")
    page.get_by_role("link", name="Load it").click()
    expect(page.get_by_role("dialog", name="Load tiny")).to_be_visible()


def test_a_name_that_no_model_can_have_is_refused_in_one_sentence(window: Watched, bench: Workbench) -> None:
    page, n_jobs = opened(window), bench.count()
    page.get_by_label("Get a model from the Hub").fill("x" * 500)
    page.get_by_role("button", name="Download").click()
    expect(page.get_by_role("alert")).to_contain_text("organisation/name")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    assert bench.count() == n_jobs


def test_will_it_fit_leads_to_loading_what_is_here(window: Watched, empty: Workbench) -> None:
    page = window.page(f"/fit?model={BUILTIN_NAME}&dtype=bfloat16")
    page.get_by_role("link", name="Load it here").click()
    chosen = (
        page.get_by_role("dialog").get_by_role("radiogroup", name="Precision").get_by_role("radio", name="bfloat16")
    )
    expect(chosen).to_have_attribute("aria-checked", "true")


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_it_is_usable_by_all_and_fits(
    browser: Browser, address: str, bench: Workbench, scheme: Literal["light", "dark"], width: int
) -> None:
    other = other_worker(id="other", queue="batch")
    bench.store.report_worker(other, 60)
    bench.store.report_models(other.place, MODELS)
    bench.store.report_holdings("other", [held(worker="other")])
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watched = Watched(context, address)
    page = opened(watched)
    expect(page.locator("[data-part=memory] section")).to_have_count(2)
    page.get_by_text("Another revision").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert findings(page) == []
    page.get_by_role("button", name=f"Load {NAME}").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert findings(page) == []
    context.close()
    bench.store.retire_worker("other")
    assert watched.faults == []
