"""The form of a pipeline: steps from presets and earlier runs, changed, refused, started."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from core.client import Workbench
from core.jobs import sft
from core.pipeline.presets import PRESETS
from tests.web.test_job_view import HOSTILE
from tests.web.test_pages import MISSING, event, request
from web.pages.pipelines import Pipelines
from web.step_form import fields_of, render_steps

STEPS: list[dict[str, Any]] = [
    {"name": "sft", "kind": "sft", "fields": {"max_steps": 3}},
    {"name": "merge", "kind": "merge", "fields": {"adapter": "@sft"}},
]


@pytest.fixture
def page(workbench: Workbench) -> Pipelines:
    with gr.Blocks():
        return Pipelines(workbench)


def test_the_page_opens_with_the_first_preset_and_fills_in_another(page: Pipelines) -> None:
    opened, trouble = page.opened(event(like=""), request())
    assert trouble == ""
    assert opened["title"] == PRESETS[0].title
    assert all(f'value="{name}"' in opened["steps"] for name in ("sft", "merge", "reward", "rlhf", "compare"))
    filled, _ = page.fill(event(name="qlora"), request())
    assert "meta-llama/Llama-2-7b-hf" in filled["steps"]
    assert page.fill(event(name="none"), request())[0] == gr.skip()


def test_steps_are_started_as_the_form_has_them(page: Pipelines, workbench: Workbench) -> None:
    view, trouble = page.send(event(steps=STEPS, name="mine", key="k"), request())
    job = workbench.show(view["job"])
    assert (trouble, job.name, job.kind) == ("", "mine", "pipeline")
    assert job.spec["steps"] == STEPS
    again, _ = page.send(event(steps=STEPS, name="mine", key="k"), request())
    assert again == view


def test_what_is_wrong_is_said_with_the_name_of_the_step(page: Pipelines, workbench: Workbench) -> None:
    wrong = [{**STEPS[0], "fields": {"max_steps": -1}}, STEPS[1]]
    said = page.ask(event(steps=wrong, n=4), request())
    assert said["sentence"].startswith("sft: max_steps: input should be greater than or equal to 0")
    assert said["n"] == 4
    assert page.ask(event(steps=STEPS, n=5), request())["sentence"].startswith("Ready.")
    assert "sft: max_steps" in page.send(event(steps=wrong), request())[1]
    assert workbench.count() == 0


def test_a_step_that_is_added_gets_a_name_of_its_own(page: Pipelines) -> None:
    shown, _ = page.more(event(steps=STEPS, kind="merge"), request())
    assert 'value="merge_2"' in shown["steps"]


def test_an_earlier_pipeline_is_the_form_to_begin_with(page: Pipelines, workbench: Workbench) -> None:
    job = workbench.submit("pipeline", {"steps": STEPS}, name="earlier")
    shown, trouble = page.opened(event(like=job.id), request())
    assert (shown["title"], trouble) == ("earlier", "")
    assert 'value="@sft"' in shown["steps"]
    assert "There is no job" in page.opened(event(like=MISSING), request())[1]


def test_every_field_of_a_step_is_asked_with_its_help_and_what_is_given_stands_first(workbench: Workbench) -> None:
    fields = {one.name: one for one in fields_of(sft.KIND, {"max_steps": 3, "prompts": ["a", "b"]})}
    assert set(fields) == set(sft.SftSpec.model_fields) - {"resume_from"}
    assert (fields["max_steps"].value, fields["max_steps"].default, fields["max_steps"].is_named) == ("3", "0", True)
    assert (fields["prompts"].sort, fields["prompts"].value) == ("lines", "a\nb")
    assert (fields["method"].sort, dict(fields["method"].options)['"lora"']) == ("choice", "lora")
    assert (fields["packing"].sort, fields["packing"].value) == ("flag", "false")
    assert all(one.help for one in fields.values())


def test_a_strangers_steps_are_escaped_and_unknown_kinds_left_out(workbench: Workbench) -> None:
    steps: list[dict[str, Any]] = [
        {"name": HOSTILE, "kind": "sft", "fields": {"data": HOSTILE}},
        {"name": "x", "kind": HOSTILE},
        {},
    ]
    shown = render_steps(workbench, steps)
    assert "<img" not in shown
    assert shown.count("data-step ") == 1
