"""A pipeline as the page shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.client import Workbench
from core.settings import Settings
from tests.pipeline.hands import CHAIN, Hands, step
from tests.pipeline.kinds import MODULE
from tests.web.test_job_view import HOSTILE, rendered
from web.pipeline_view import levels_of


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"extra_kinds": MODULE})


@pytest.fixture
def hands(workbench: Workbench, tmp_path: Path) -> Hands:
    return Hands(workbench.store, tmp_path)


def test_each_step_stands_behind_what_it_needs(hands: Hands) -> None:
    pipeline = hands.submit(step("a"), step("b"), step("c", source="@a"), step("d", sources=["@b", "@c"]))
    names = [[one.name for one in level] for level in levels_of(hands.report(pipeline).steps)]
    assert names == [["a", "b"], ["c"], ["d"]]


def test_a_running_pipeline_shows_its_steps_and_can_be_paused(workbench: Workbench, hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    claim = hands.claim()
    shown = rendered(workbench, pipeline)
    assert f'href="/runs?job={claim.job_id}"' in shown["pipeline"]
    assert "a runs" in shown["now"]
    assert 'data-do="pause"' in shown["title"]
    assert "begun by ana" in shown["happened"]
    assert "step a of" in rendered(workbench, claim.job_id)["title"]


def test_a_held_pipeline_says_which_step_and_how_to_go_on(workbench: Workbench, hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.fail(hands.claim())
    shown = rendered(workbench, pipeline)
    assert "Held: nothing further begins" in shown["now"]
    assert "a: It broke." in shown["trouble"]
    assert 'data-do="resume"' in shown["title"]
    assert "held: a: It broke." in shown["happened"]


def test_a_finished_pipeline_offers_what_it_made(workbench: Workbench, hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.work()
    last = hands.report(pipeline).steps[-1].artifacts[0].id
    shown = rendered(workbench, pipeline)
    assert f"/artifacts?id={last}" in shown["result"]
    assert f"adapter={last}" in shown["result"]
    again = rendered(workbench, hands.submit(*CHAIN))
    assert "taken over" in again["pipeline"]


def test_whatever_a_step_says_is_escaped(workbench: Workbench, hands: Hands) -> None:
    pipeline = hands.submit(step("a", text=HOSTILE))
    hands.work()
    shown = rendered(workbench, pipeline)
    assert not [name for name, html in shown.items() if "<img" in html or "<script" in html]
