from __future__ import annotations

from playwright.sync_api import expect

from core.client import Workbench
from core.states import State
from core.store.claims import Claim, Kept
from core.values import Trouble
from tests.browser.conftest import Watched
from tests.support import eventually


def claimed(bench: Workbench, pipeline: str) -> Claim:
    """The first step that waits, in the hands of a worker that does nothing."""
    claim = eventually(lambda: bench.store.claim("batch", "nobody", 600))
    assert claim is not None
    assert claim.pipeline_id == pipeline
    bench._pipelining.advance(pipeline)
    return claim


def test_a_preset_is_changed_started_held_by_a_step_and_goes_on(window: Watched, bench: Workbench) -> None:
    page = window.page("/pipelines")
    page.get_by_role("button", name="Every stage in a few steps").click()
    expect(page.locator("[data-step] > summary b")).to_have_text(["sft", "merge", "reward", "rlhf", "compare"])
    page.locator("[data-step] > summary").first.click()
    steps = page.locator("[data-step]").first.locator("[data-field=max_steps] input")
    expect(steps).to_have_value("2")
    steps.fill("-1")
    expect(page.locator("[data-said]")).to_contain_text("sft: max_steps: input should be greater than or equal to 0")
    steps.fill("7")
    expect(page.locator("[data-said]")).to_contain_text("Ready.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-part=title] .chip")).to_have_text("◐ running")
    pipeline = page.url.partition("job=")[2]
    spec = bench.show(pipeline).spec["steps"][0]["fields"]
    assert (spec["max_steps"], spec["prompts"], spec["data"]) == (7, ["The film is"], "reviews")

    claim = claimed(bench, pipeline)
    expect(page.locator(".stage").first.locator(".chip")).to_have_text("◐ running")
    bench.store.fail(claim.job_id, claim.attempt, Trouble(code="bug", message="It broke."), Kept())
    bench._pipelining.advance(pipeline)
    expect(page.locator("[data-part=trouble]")).to_contain_text("sft: It broke.")
    expect(page.get_by_role("link", name="Change and start again")).to_be_visible()
    page.get_by_role("button", name="Run that step again").click()
    expect(page.locator("[data-part=title] .chip")).to_have_text("◐ running")
    expect(page.locator(".stage").first).to_contain_text("begun 2 times")

    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-part=title] .chip")).to_have_text("■ cancelled")
    assert bench.show(pipeline).state is State.CANCELLED


def test_an_earlier_pipeline_is_changed_on_a_phone_without_scrolling_sideways(
    window: Watched, bench: Workbench
) -> None:
    fields = {"adapter": "/models/none", "prompts": ["Why?"]}
    job = bench.submit("pipeline", {"steps": [{"name": "merge", "kind": "merge", "fields": fields}]}, name="mine")
    bench.cancel(job.id)
    page = window.page(f"/pipelines?job={job.id}")
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("link", name="Change and start again").click()
    page.locator("[data-step] > summary").click()
    expect(page.locator("[data-field=adapter] input")).to_have_value("/models/none")
    expect(page.locator("[data-said]")).to_contain_text("Ready.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Add a step").click()
    expect(page.locator("[data-step] > summary b")).to_have_text(["merge", "sft"])
    page.locator("[data-step]").last.locator("summary").first.click()
    page.locator("[data-step]").last.get_by_role("button", name="Remove this step").click()
    expect(page.locator("[data-step]")).to_have_count(1)
