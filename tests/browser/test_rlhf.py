from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from core.client import Workbench
from core.settings import Settings
from core.values import Job
from tests.browser.conftest import Watched
from tests.browser.test_look import findings
from tests.support import eventually
from tests.web.fake_trainer import FakeTrainer


@pytest.fixture(scope="module")
def trainer(bench_settings: Settings, bench: Workbench) -> Iterator[FakeTrainer]:
    started = FakeTrainer(bench_settings)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def scored(bench: Workbench, trainer: FakeTrainer) -> Job:
    """A reward that was made and proven."""
    job = bench.submit("reward", {"eval_share": 0.5})
    eventually(lambda: bench.show(job.id).state.is_finished)
    return bench.show(job.id)


def test_a_reward_is_used_in_a_form_whose_run_shows_its_curves_alarms_and_answers(
    window: Watched, bench: Workbench, trainer: FakeTrainer, scored: Job
) -> None:
    reward = scored.artifacts[0].id
    page = window.page(f"/train?job={scored.id}")
    expect(page.locator("[data-part=train_told]")).to_contain_text("Yes: loaded again")
    page.get_by_role("link", name="Use as reward").click()
    rewards = page.locator("#field-rewards")
    expect(rewards.get_by_placeholder("Hub name")).to_have_value(reward)
    expect(page.locator("#ready .plan")).to_contain_text("“positive” by")
    rewards.get_by_role("button", name="Add a reward").click()
    row = rewards.get_by_role("group", name="Reward 2")
    row.get_by_label("Scored by").select_option("length")
    row.get_by_label("Words wanted").fill("12")
    row.get_by_label("Weight").fill("0.2")
    page.locator("#field-held_out_reward").get_by_role("button", name="Watch one").click()
    page.locator("#field-num_generations input").fill("3")
    expect(page.locator("#ready")).to_contain_text("num_generations 3 does not divide")
    page.locator("#field-num_generations input").fill("4")
    expect(page.locator("#command pre")).to_contain_text("--held-out-reward lexicon")
    page.locator("#field-algorithm [data-value=dpo]").click()
    expect(rewards).to_be_hidden()
    page.locator("#field-algorithm [data-value=rloo]").click()
    trainer.waits = True
    page.keyboard.press("Control+Enter")
    expect(page.locator("#trained [data-part=title] .chip")).to_have_text("◐ running")
    job = bench.show(page.url.partition("/train?job=")[2])
    assert job.spec["rewards"] == [f"model:{reward},label=positive", "length:12*0.2"]
    assert (job.spec["judge_data"], job.spec["judge_share"]) == ("reviews-labelled", 0.5)
    expect(page.locator("[data-charts] h2").first).to_have_text("Reward")
    trainer.waits = False
    trainer.further.release()
    expect(page.locator("#trained [data-part=title] .chip")).to_have_text("✓ succeeded")
    expect(page.locator(".alarms li")).to_have_count(2)
    expect(page.locator("[data-charts] svg").first).to_contain_text("alarm: one word")
    expect(page.locator(".standing tbody tr").first).to_contain_text("+35 points")
    page.get_by_role("button", name="See the answers of step 24").click()
    expect(page.locator("[data-tries] output")).to_have_text("24")
    expect(page.locator("[data-tries] .pairs:visible")).to_contain_text("At step 24")
    page.get_by_role("link", name="Clone with changes").click()
    expect(page.locator("#field-rewards [data-row]")).to_have_count(2)


def test_the_pages_of_rewards_are_usable_by_all_and_fit(
    browser: Browser, address: str, bench: Workbench, scored: Job
) -> None:
    run = bench.submit("rlhf", {"rewards": ["lexicon", "length:12*0.2"], "held_out_reward": "words:good"})
    eventually(lambda: bench.show(run.id).state.is_finished)
    schemes: tuple[Literal["dark", "light"], ...] = ("dark", "light", "dark")
    shown = (
        (390, f"/train?kind=rlhf&reward=model:{scored.artifacts[0].id}", "#ready .plan"),
        (390, f"/train?job={run.id}", "[data-charts] svg"),
        (1440, f"/runs?job={scored.id}", "[data-charts] svg"),
    )
    for scheme, (width, path, selector) in zip(schemes, shown, strict=True):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        watched = Watched(context, address)
        page = watched.page(path)
        expect(page.locator(selector).first).to_be_visible(timeout=20_000)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert findings(page) == [], path
        context.close()
        assert watched.faults == []
