from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from core.client import Workbench
from core.settings import Settings
from core.states import State
from core.values import Job
from tests.browser.conftest import LOOKS, Watched
from tests.browser.test_look import findings
from tests.support import eventually
from tests.training.test_tensorboard import expected
from tests.training.test_tensorboard import points as points_of
from tests.web.fake_trainer import FakeTrainer

ROWS = '{"prompt": "Is it good?", "completion": "Yes."}\n'


@pytest.fixture(scope="module")
def trainer(bench_settings: Settings, bench: Workbench) -> Iterator[FakeTrainer]:
    started = FakeTrainer(bench_settings)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def finished(bench: Workbench, trainer: FakeTrainer) -> tuple[Job, Job]:
    """Two trainings that differ in their rank."""
    trainer.waits = False
    jobs = [bench.submit("sft", {"max_steps": 60, "r": r}) for r in (4, 8)]
    ended = eventually(lambda: [job for job in map(bench.show, (one.id for one in jobs)) if job.state.is_finished][1:])
    assert ended
    return bench.show(jobs[0].id), bench.show(jobs[1].id)


def points(page: Page) -> int:
    return int(page.locator("[data-curves]").first.get_attribute("data-points") or 0)


def test_a_form_becomes_a_run_whose_curves_grow_that_is_paused_and_goes_on(
    window: Watched, bench: Workbench, trainer: FakeTrainer
) -> None:
    trainer.waits = True
    page = window.page("/train")
    expect(page.locator("#ready .plan")).to_be_visible()
    page.get_by_role("button", name="Reviews, quick").click()
    expect(page.locator("#field-max_length input[type=number]")).to_have_value("64")
    expect(page.locator("#ready .plan")).to_contain_text("of at most 64 tokens")
    expect(page.locator("#command pre")).to_contain_text("--max-steps 60")
    page.locator("#field-r input[type=number]").fill("4")
    expect(page.locator("#ready .plan")).to_contain_text("LoRA of rank 4")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#trained [data-part=title] .chip")).to_have_text("◐ running")
    expect(page.locator("#form")).to_be_hidden()
    job = bench.show(page.url.partition("/train?job=")[2])
    assert (job.spec["r"], job.spec["max_length"]) == (4, 64)
    expect(page.locator("[data-charts] svg").first).to_be_visible()
    eventually(lambda: points(page) == 10)
    trainer.further.release()
    eventually(lambda: points(page) == 20)
    expect(page.locator("#trained [data-part=now]")).to_contain_text("step 20 of 60")
    expect(page.locator("#trained [data-part=now]")).to_contain_text("left")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#trained [data-part=title] .chip")).to_have_text("‖ paused")
    expect(page.locator("#trained [data-part=result]")).to_contain_text("Paused after 20 of 60 steps")
    other = window.page(f"/runs?job={job.id}")  # a second viewer sees the same
    expect(other.locator("[data-charts] svg").first).to_be_visible()
    assert points(other) == 20
    trainer.waits = False
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#trained [data-part=title] .chip")).to_have_text("✓ succeeded")
    expect(page.locator("[data-headline]")).to_contain_text("in 60 steps")
    assert points(page) == 60
    eventually(lambda: points(other) == 60)
    expect(other.get_by_role("link", name="Try it in the Playground")).to_be_visible()
    page.get_by_role("link", name="Clone with changes").click()
    expect(page.locator("#field-r input[type=number]")).to_have_value("4")


def test_curves_are_smoothed_and_laid_along_time_and_answers_have_a_slider(
    window: Watched, finished: tuple[Job, Job]
) -> None:
    page = window.page(f"/train?job={finished[0].id}")
    chart = page.locator("[data-chart]", has=page.locator("h2", has_text="Loss")).first
    expect(chart.locator("svg")).to_contain_text("step")
    page.locator("#trained").get_by_label("Along").select_option("time")
    expect(chart.locator("svg")).to_contain_text("training time, s")
    page.locator("#trained").get_by_label("Smoothing").fill("0.8")
    expect(chart.locator("svg")).to_contain_text("training, as logged")
    chart.get_by_text("The same as a table").click()
    expect(chart.locator("td").first).to_have_text("1.9")
    shown = page.locator("[data-tries] .columns:visible")
    expect(shown).to_contain_text("a quiet triumph")
    page.get_by_label("Step of the answers").fill("0")
    expect(shown).to_contain_text("Before any training")
    expect(shown).to_have_count(1)


def test_a_stopped_run_has_a_log_a_file_for_tensorboard_and_checkpoints_that_can_go(
    window: Watched, bench: Workbench, trainer: FakeTrainer
) -> None:
    trainer.waits = True
    job = bench.submit("sft", {"max_steps": 60})
    page, other = (window.page(f"/{path}?job={job.id}") for path in ("train", "runs"))
    log = page.locator(".log [data-part=log]")
    expect(log).to_be_hidden()
    expect(page.locator(".log summary")).to_contain_text("evaluated after step 10: held-out loss 4.")
    page.locator(".log summary").click()
    expect(log).to_contain_text("pre-flight: peak 1.31 GB, predicted 1.29 GB")
    trainer.further.release()
    expect(log).to_contain_text("checkpoint saved at step 20; 58.9 MB of disk in all")  # and it is still unfolded
    expect(other.locator(".log [data-part=log]")).to_contain_text("checkpoint saved at step 20")
    expect(page.locator("[data-do=clean]")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#trained [data-part=title] .chip")).to_have_text("■ cancelled")
    with page.expect_download() as download:
        page.get_by_role("link", name="TensorBoard file").click()
    assert points_of(Path(download.value.path()).read_bytes()) == expected(list(bench.metrics(job.id)))
    n_charts = page.locator("[data-charts] svg").count()
    asked: list[str] = []

    def agree(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", agree)
    page.get_by_role("button", name="Delete, 19.6 MB").click()
    expect(log).to_contain_text("deleted its checkpoints: 19.6 MB are free again")
    expect(page.locator("[data-do=clean]")).to_have_count(0)
    assert asked == [
        "Delete the checkpoints of this run? 19.6 MB become free, and no run can go on from them any more."
    ]
    assert page.locator("[data-charts] svg").count() == n_charts
    assert bench.show(job.id).artifacts == ()
    trainer.waits = False


def test_runs_are_chosen_and_laid_over_each_other(window: Watched, finished: tuple[Job, Job]) -> None:
    page = window.page("/runs?kind=sft")
    for job in finished:
        page.locator(f"[data-pick='{job.id}']").check()
    page.get_by_role("button", name="Lay curves over each other").click()
    expect(page.locator("#over .over-spec tbody tr")).to_have_count(1)
    expect(page.locator("#over .over-spec tbody")).to_contain_text("r")
    expect(page.locator("#over [data-charts] svg")).to_have_count(3)
    expect(page.locator("#form")).to_be_hidden()


def test_data_is_previewed_where_it_is_chosen(window: Watched, trainer: FakeTrainer) -> None:
    page = window.page("/train")
    expect(page.locator("#ready .plan")).to_be_visible()
    page.get_by_role("button", name="Preview").click()
    short = page.locator("#peek .previewed")
    expect(short.locator(".shown-row")).to_have_count(2)
    expect(short.locator(".special").first).to_have_text("<|im_start|>")
    expect(page.locator("#ready .plan")).to_contain_text("12 rows")
    assert page.evaluate("window.pwned") is None


def test_an_upload_is_previewed_trained_on_and_deleted(window: Watched, bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(ROWS)
    (tmp_path / "empty.csv").write_text("")
    page = window.page("/data")
    expect(page.locator("[data-sets] tbody tr").first).to_be_visible()
    page.locator("[data-file]").set_input_files(tmp_path / "empty.csv")
    expect(page.locator("[data-refused]")).to_have_text("empty.csv is empty.")
    window.faults.clear()  # the browser notes the refusal
    page.locator("[data-file]").set_input_files(tmp_path / "questions.jsonl")
    expect(page.get_by_role("heading", name="questions.jsonl")).to_be_visible()
    upload = bench.uploads()[0]
    page.get_by_label("Tokens of a row").fill("48")
    page.locator("#send").click()
    expect(page.locator(".previewed [data-headline]")).to_be_visible()
    expect(page.locator(".previewed .chart svg")).to_contain_text("max_length 48")
    expect(page.locator(".bad-rows tbody tr")).to_have_count(2)
    page.reload()
    expect(page.locator(".previewed .shown-row").first).to_be_visible()
    page.get_by_role("link", name="Train on it").click()
    expect(page.locator("#ready .plan")).to_contain_text("questions.jsonl")
    page.goto(page.url.partition("/train")[0] + "/data")
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator(f"[data-remove='{upload.id}']").click()
    expect(page.locator("[data-sets]")).not_to_contain_text("questions.jsonl")
    assert bench.uploads() == []


def test_an_artifact_has_its_files_and_its_lineage(
    window: Watched, bench: Workbench, finished: tuple[Job, Job]
) -> None:
    page = window.page(f"/runs?job={finished[0].id}")
    page.locator("[data-part=files] a", has_text="adapter of reviews").click()
    expect(page.get_by_role("heading", name="adapter of reviews")).to_be_visible()
    expect(page.locator(".lineage").first).to_contain_text("reviews")
    with page.expect_download() as download:
        page.get_by_role("link", name="adapter_config.json").click()
    assert Path(download.value.path()).read_text() == "{}"
    page.get_by_role("button", name="Merge into its base").click()
    expect(page.locator("[data-part=title]")).to_contain_text("into its base")
    job = bench.show(page.url.partition("job=")[2])
    assert job.spec["adapter"] == finished[0].artifacts[0].id
    if not job.state.is_finished:
        bench.cancel(job.id)
    assert bench.show(finished[0].id).state is State.SUCCEEDED


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_pages_of_training_are_usable_by_all_and_fit(
    browser: Browser,
    address: str,
    bench: Workbench,
    finished: tuple[Job, Job],
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    look = bench.submit("preview", {"data": "reviews", "max_length": 48})
    eventually(lambda: bench.show(look.id).state.is_finished)
    one, other = finished
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watched = Watched(context, address)
    shown = {
        "/train": "#ready .plan",
        f"/train?job={one.id}": "[data-charts] svg",
        f"/train?jobs={one.id},{other.id}": "#over [data-charts] svg",
        "/data": "[data-sets] tbody tr",
        f"/data?job={look.id}": ".previewed",
        f"/artifacts?id={one.artifacts[0].id}": ".lineage",
    }
    for path, selector in shown.items():
        page = watched.page(path)
        expect(page.locator(selector).first).to_be_visible(timeout=20_000)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert findings(page) == [], path
        page.close()
    context.close()
    assert watched.faults == []
