from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, Page, expect

from core.client import Workbench
from core.states import State
from tests.browser.conftest import Watched
from tests.support import eventually
from tests.web.shelf import worker as other_worker

END = "That is all there is to say."


def job_of(page: Page) -> str:
    page.wait_for_url(re.compile(r"\?job="))
    return page.url.partition("job=")[2]


def send(page: Page, prompt: str) -> str:
    before = page.url
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#send").click()
    page.wait_for_function("before => location.href !== before", arg=before)
    return job_of(page)


def answer(page: Page) -> object:
    return page.locator("[data-answer] [data-text]")


def wait_for_the_end(page: Page) -> None:
    expect(page.locator("[data-answer] .figs")).to_contain_text("tok/s")


def test_the_first_visitor_sends_the_prompt_that_stands_there_and_reads_the_answer(
    window: Watched, bench: Workbench
) -> None:
    for job in bench.list(limit=1_000):
        bench.delete(job.id)
    page = window.page()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("sky blue"))
    page.locator("#send").click()
    first = job_of(page)
    expect(page.locator("[data-text]")).to_contain_text(END)
    expect(page.locator("[data-text] strong")).to_have_text("one byte")
    figures = page.locator("[data-answer] .figs")
    for shown in ("84.1 ms", "41.8 tok/s", "1.39 GB", "after 34"):
        expect(figures).to_contain_text(shown)
    expect(page.locator("[data-answer] .made").first).to_contain_text("float32")
    expect(page.locator("#prompt textarea")).to_have_value("")
    assert bench.show(first).state is State.SUCCEEDED


def test_reloading_shows_the_same_conversation_and_another_browser_too(
    window: Watched, browser: Browser, address: str
) -> None:
    page = window.page()
    job = send(page, "tell me of reloading")
    wait_for_the_end(page)
    page.reload()
    expect(page.locator(".turn.user")).to_contain_text("tell me of reloading")
    expect(page.locator("[data-text]")).to_contain_text(END)
    other = browser.new_page()
    other.goto(f"{address}/?job={job}")
    expect(other.locator("[data-text]")).to_contain_text(END)
    other.close()


def test_two_browsers_follow_one_answer_and_closing_one_changes_nothing(
    window: Watched, browser: Browser, address: str, bench: Workbench
) -> None:
    page = window.page()
    job = send(page, "a slow answer for two")
    other = browser.new_page()
    other.goto(f"{address}/?job={job}")
    expect(other.locator("[data-text]")).to_contain_text("Each weight")
    page.close()
    expect(other.locator("[data-text] ul").nth(3)).to_be_visible()
    other.keyboard.press("Escape")
    expect(other.locator("[data-answer] .chip")).to_contain_text("cancelled")
    other.close()
    kept = bench.show(job)
    assert kept.state is State.CANCELLED
    assert kept.result is not None
    assert kept.result["text"].startswith("Each weight")


def test_stopping_keeps_what_was_written_and_the_conversation_goes_on(window: Watched, bench: Workbench) -> None:
    page = window.page()
    job = send(page, "a slow answer that is stopped")
    expect(page.locator("[data-text]")).to_contain_text("Each weight")
    page.locator("#prompt textarea").fill("too early")
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_contain_text("still being written")
    expect(page.locator("#prompt textarea")).to_have_value("too early")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-answer] .chip")).to_contain_text("cancelled")
    stopped = bench.show(job)
    following = bench.show(send(page, "and now the rest"))
    assert following.parent == job
    assert following.spec["messages"] == [
        {"role": "user", "content": "a slow answer that is stopped"},
        {"role": "assistant", "content": (stopped.result or {})["text"]},
    ]
    wait_for_the_end(page)


def test_a_second_turn_holds_the_first_one_and_editing_begins_again_from_there(
    window: Watched, bench: Workbench
) -> None:
    page = window.page()
    first = send(page, "turn one")
    wait_for_the_end(page)
    second = send(page, "turn two")
    wait_for_the_end(page)
    expect(page.locator(".turn.user")).to_have_count(2)
    assert [turn["content"][:8] for turn in bench.show(second).spec["messages"]] == ["turn one", "Each wei"]
    page.locator(".turn.user").first.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit this message").fill("turn one, asked better")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".turn.user")).to_have_count(1)
    expect(page.locator(".turn.user")).to_contain_text("turn one, asked better")
    edited = bench.show(job_of(page))
    assert (edited.parent, edited.spec["messages"]) == (bench.show(first).parent, [])


def test_regenerate_asks_the_same_with_another_seed(window: Watched, bench: Workbench) -> None:
    page = window.page()
    job = send(page, "once more, please")
    wait_for_the_end(page)
    page.get_by_role("button", name="Regenerate").click()
    page.wait_for_function("job => !location.href.endsWith(job)", arg=job)
    again = bench.show(job_of(page))
    assert again.id != job
    assert again.spec == bench.show(job).spec


def test_going_back_shows_the_answer_before(window: Watched) -> None:
    page = window.page()
    first = send(page, "the first of two")
    wait_for_the_end(page)
    send(page, "the second of two")
    wait_for_the_end(page)
    page.go_back()
    expect(page.locator(".turn.user")).to_have_count(1)
    assert job_of(page) == first


def test_a_double_click_makes_one_job(window: Watched, bench: Workbench) -> None:
    page = window.page()
    before = bench.count()
    page.locator("#prompt textarea").fill("clicked twice")
    page.locator("#send").dblclick()
    job_of(page)
    wait_for_the_end(page)
    assert bench.count() == before + 1
    expect(page.get_by_role("alert")).to_have_count(0)


def test_keys_send_and_stop(window: Watched, bench: Workbench) -> None:
    page = window.page()
    page.locator("#prompt textarea").fill("a slow answer by keys")
    page.keyboard.press("Control+Enter")
    job = job_of(page)
    expect(page.locator("[data-text]")).to_contain_text("Each weight")
    page.keyboard.press("Escape")
    expect(page.locator("[data-answer] .chip")).to_contain_text("cancelled")
    assert bench.show(job).state is State.CANCELLED


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("temperature", "3", "temperature: input should be less than or equal to 2, not 3."),
        ("max_new_tokens", "0", "max_new_tokens: input should be greater than or equal to 1, not 0."),
    ],
)
def test_what_is_out_of_bounds_gets_one_sentence_and_loses_nothing(
    window: Watched, bench: Workbench, field: str, typed: str, sentence: str
) -> None:
    page, before = window.page(), bench.count()
    page.locator("#prompt textarea").fill("kept")
    page.locator(f"#field-{field} [data-number]").fill(typed)
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.locator("#prompt textarea")).to_have_value("kept")
    expect(page.locator(f"#field-{field} [data-number]")).to_have_value(typed)
    assert bench.count() == before


def test_an_empty_prompt_gets_one_sentence(window: Watched) -> None:
    page = window.page()
    page.locator("#prompt textarea").fill("  ")
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_contain_text("The prompt is empty")


def test_form_and_command_line_say_the_same_and_the_job_keeps_it(window: Watched, bench: Workbench) -> None:
    page = window.page()
    page.locator("#prompt textarea").fill("say that's so")
    page.locator("#field-temperature [data-number]").fill("0.5")
    page.get_by_text("Advanced").click()
    page.locator("#field-seed [data-number]").fill("7")
    page.locator("#field-stop textarea").fill("\\n\nEND")
    command = page.locator("#command pre")
    expect(command).to_contain_text("--seed 7")
    expect(command).to_contain_text("workbench submit generate --prompt 'say that'\"'\"'s so' --temperature 0.5")
    job = bench.show(send(page, "say that's so"))
    assert {name: job.spec[name] for name in ("temperature", "seed", "stop", "top_p")} == {
        "temperature": 0.5, "seed": 7, "stop": ["\n", "END"], "top_p": None,
    }  # fmt: skip
    page.reload()
    expect(page.locator("#field-temperature [data-number]")).to_have_value("0.5")
    page.get_by_role("button", name="Leave Temperature unset").click()
    expect(page.locator("#field-temperature [data-number]")).to_have_value("")


def test_plain_completion_is_a_switch(window: Watched, bench: Workbench) -> None:
    page = window.page()
    page.get_by_role("radio", name="completion").click()
    job = bench.show(send(page, "Once upon a time"))
    assert (job.spec["mode"], job.spec["messages"], job.parent) == ("completion", [], None)
    wait_for_the_end(page)
    again = bench.show(send(page, "Once upon another time"))
    assert (again.spec["messages"], again.parent) == ([], None)


def test_what_a_stranger_writes_is_shown_and_not_run(window: Watched) -> None:
    page = window.page()
    send(page, 'nasty <img src=x onerror="window.pwned=4"> </div><script>window.pwned=5</script>')
    wait_for_the_end(page)
    assert page.evaluate("window.pwned") is None
    text = page.locator("[data-text]")
    assert text.locator("img, style, script, form, input, a[href^=javascript]").count() == 0
    expect(text).to_contain_text("<img src=x")
    expect(page.locator(".turn.user")).to_contain_text("<script>window.pwned=5</script>")
    page.get_by_role("button", name="Raw").click()
    expect(text).to_contain_text("![x](https://example.org/a.png)")
    page.locator("[data-answer] .made a").click()
    expect(page.locator(".job h1")).to_contain_text("nasty <img src=x")
    page.goto(page.url.partition("/runs")[0] + "/runs")
    expect(page.locator("tbody tr").first).to_contain_text("<script>")
    assert page.evaluate("window.pwned") is None


def test_eight_tabs_are_all_alive(window: Watched, bench: Workbench) -> None:
    job = bench.submit("generate", {"prompt": "a slow answer for eight"}).id
    pages = [window.page(f"/?job={job}") for _ in range(8)]
    for page in pages:
        expect(page.locator("[data-text]")).to_contain_text("Each weight")
    pages[-1].get_by_role("button", name="Stop").click()
    for page in pages:
        expect(page.locator("[data-answer] .chip")).to_contain_text("cancelled")
    texts = {json.dumps(page.locator("[data-text]").inner_text()) for page in pages}
    assert len(texts) == 1
    eventually(lambda: bench.show(job).state is State.CANCELLED)


def test_a_conversation_that_is_not_there_says_so(window: Watched) -> None:
    page = window.page("/?job=01ARZ3NDEKTSV4RRFFQ69G5FAV")
    expect(page.get_by_role("alert")).to_contain_text("There is no job 01ARZ3NDEKTSV4RRFFQ69G5FAV.")
    expect(page.locator("#send")).to_be_visible()


def test_live_text_is_announced_by_sentence(window: Watched) -> None:
    page = window.page()
    send(page, "for those who listen")
    status = page.locator("#talk [data-status]")
    expect(status).to_have_attribute("aria-live", "polite")
    expect(status).to_have_text(re.compile(r"[.!?]$|^The answer is"))
    assert page.locator("[data-text]").get_attribute("aria-live") is None


def test_what_no_worker_can_run_says_why_and_cannot_be_chosen(window: Watched, bench: Workbench) -> None:
    bench.store.report_worker(other_worker(id="limited"), 60)
    page = window.page()
    precision = page.get_by_role("radiogroup", name="Precision")
    expect(precision.get_by_role("radio", name="int8")).to_have_attribute("aria-disabled", "true")
    reason = page.locator("#field-dtype [data-why]")
    expect(reason).to_contain_text("int8, nf4 cannot run here: bitsandbytes is not installed.")
    precision.get_by_role("radio", name="float16", exact=True).click()
    page.keyboard.press("ArrowRight")
    expect(precision.get_by_role("radio", name="int8")).to_be_focused()
    expect(reason.locator(".told")).to_be_visible()
    expect(precision.get_by_role("radio", name="float16", exact=True)).to_have_attribute("aria-checked", "true")
    assert bench.show(send(page, "in half")).spec["dtype"] == "float16"
    bench.store.retire_worker("limited")
