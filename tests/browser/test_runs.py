from __future__ import annotations

import re

from playwright.sync_api import expect

from core.client import Workbench
from core.states import State
from core.values import Job
from tests.browser.conftest import Watched
from tests.support import eventually


def finished(bench: Workbench, prompt: str) -> Job:
    job = bench.submit("generate", {"prompt": prompt})
    eventually(lambda: bench.show(job.id).state.is_finished)
    return bench.show(job.id)


def test_the_list_shows_what_was_done_newest_first_and_follows_it(window: Watched, bench: Workbench) -> None:
    old, new = finished(bench, "listed first"), finished(bench, "listed fail second")
    page = window.page("/runs")
    expect(page.locator("tbody tr").first).to_contain_text("listed fail second")
    expect(page.locator("tbody tr").first).to_contain_text("The device ran out of memory")
    expect(page.locator("tbody tr").first).to_contain_text("failed")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("41.8 tok/s")
    assert old.id < new.id
    job = bench.submit("generate", {"prompt": "listed slow, while we look"})
    expect(page.locator("tbody tr").first).to_contain_text("listed slow, while we look")
    expect(page.locator("tbody tr").first).to_contain_text("running")
    expect(page.locator(".wb-bar .stats")).to_contain_text("1 running")
    bench.cancel(job.id)
    expect(page.locator("tbody tr").first).to_contain_text("cancelled")
    expect(page.locator(".wb-bar .stats")).to_contain_text("11.2 GB free")


def test_filters_search_and_their_address(window: Watched, bench: Workbench) -> None:
    finished(bench, "needle one")
    finished(bench, "needle fail two")
    page = window.page("/runs")
    expect(page.locator("[data-runs]")).to_have_attribute("data-ready", "")
    page.keyboard.press("/")
    page.keyboard.type("needle")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("State").select_option("failed")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert "words=needle" in page.url
    assert "state=failed" in page.url
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Search runs").fill("nothing has these words")
    expect(page.get_by_text("No run matches.")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(page.locator("tbody tr").nth(1)).to_be_visible()
    page.get_by_label("Model").select_option(label="SmolLM2-135M-Instruct")
    page.get_by_label("Owner").select_option("me")
    page.get_by_label("Kind").select_option("generate")
    expect(page.locator("tbody tr").nth(1)).to_be_visible()


def test_a_failed_job_says_what_went_wrong_and_is_retried(window: Watched, bench: Workbench) -> None:
    job = finished(bench, "please fail here")
    page = window.page(f"/j/{job.id}")
    expect(page.locator(".job h1")).to_have_text("please fail here")
    trouble = page.get_by_role("alert").filter(has_text="out of memory")
    expect(trouble).to_contain_text("A shorter prompt needs less.")
    trouble.get_by_text("Traceback", exact=True).click()
    expect(trouble.locator("pre")).to_contain_text("<b>line</b>")
    expect(page.locator(".events")).to_contain_text("queued by me")
    expect(page.locator(".events")).to_contain_text("attempt 1 began on fake-0")
    trouble.get_by_role("button", name="Retry").click()
    page.wait_for_url(lambda url: job.id not in url)
    again = bench.show(page.url.partition("job=")[2])
    assert again.retry_of == job.id
    expect(page.locator(".job")).to_contain_text(f"again after {job.id[-6:]}")


def test_a_running_job_is_stopped_from_its_page(window: Watched, bench: Workbench) -> None:
    job = bench.submit("generate", {"prompt": "a slow one to stop here"})
    page = window.page(f"/runs?job={job.id}")
    expect(page.locator("[data-text]")).to_contain_text("Each weight")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".job .chip")).to_contain_text("cancelled")
    assert bench.show(job.id).state is State.CANCELLED


def test_a_job_gets_a_name_and_a_note_and_is_deleted_after_a_question(window: Watched, bench: Workbench) -> None:
    job = finished(bench, "to be named")
    page = window.page(f"/runs?job={job.id}")
    page.get_by_label("Name").fill("Named <b>well</b>")
    page.get_by_label("Note").fill("why it ran")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".job h1")).to_have_text("Named <b>well</b>")
    assert (bench.show(job.id).name, bench.show(job.id).note) == ("Named <b>well</b>", "why it ran")
    page.get_by_label("Name").fill("   ")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("A name has 1 to 200 characters.")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    assert bench.show(job.id)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url(re.compile(r"/runs$"))
    assert not bench.store.ids_like(job.id)


def test_a_finished_job_is_run_again_from_the_playground(window: Watched, bench: Workbench) -> None:
    job = finished(bench, "to be opened")
    page = window.page(f"/runs?job={job.id}")
    page.get_by_role("link", name="Open in the Playground").click()
    expect(page.locator(".turn.user")).to_contain_text("to be opened")
    expect(page.locator("[data-answer] .figs")).to_contain_text("41.8 tok/s")


def test_a_job_that_is_not_there_has_a_page_that_says_so(window: Watched) -> None:
    page = window.page("/runs?job=01ARZ3NDEKTSV4RRFFQ69G5FAV")
    expect(page.get_by_text("There is no such job.")).to_be_visible()
