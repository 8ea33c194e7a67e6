"""What the Playground's form offers and says of models."""

from __future__ import annotations

import gradio as gr
import pytest

from core.catalog import BUILTIN_NAME
from core.client import Workbench
from core.values import ModelInfo, Origin, Role
from tests.web import shelf
from tests.web.shelf import LARGE, MODELS, SMALL, TUNED, fill, held
from tests.web.test_pages import request
from web import choices, offers
from web.pages.playground import Playground

OTHER = ModelInfo(name="a/first", origin=Origin.HUB, role=Role.CAUSAL, n_bytes=1)


def test_without_a_worker_the_built_in_model_is_offered(workbench: Workbench) -> None:
    assert offers.models(workbench) == [("SmolLM2-135M-Instruct · built in", BUILTIN_NAME)]


def test_usable_causal_models_are_offered_those_in_memory_first(workbench: Workbench) -> None:
    fill(workbench, (*MODELS, OTHER), (held(),))
    assert offers.models(workbench) == [("Qwen2.5-0.5B · in memory", SMALL), ("first", "a/first")]
    assert LARGE not in [value for _, value in offers.models(workbench)]


def test_adapters_are_offered_with_their_base_alone(workbench: Workbench) -> None:
    fill(workbench)
    assert offers.adapters(workbench, SMALL) == [("poems-lora", TUNED)]
    assert offers.adapters(workbench, LARGE) == []


def test_the_line_below_the_choice_says_what_it_would_take(workbench: Workbench) -> None:
    assert offers.render_needs(workbench, SMALL, "auto") == ""
    fill(workbench, MODELS, (held(),))
    assert "in float16, 9.20 GB free on NVIDIA T4." in offers.render_needs(workbench, SMALL, "auto")
    assert "In memory in nf4; 9.20 GB free" in offers.render_needs(workbench, SMALL, "nf4")
    assert "exceeds" in offers.render_needs(workbench, LARGE, "float32")


def test_a_name_that_is_not_here_is_told_the_nearest_or_the_way_to_get_it(workbench: Workbench) -> None:
    fill(workbench)
    assert "Did you mean Qwen/Qwen2.5-0.5B?" in offers.render_needs(workbench, "Qwen/Qwen2.5-0.6B", "auto")
    assert 'href="/models?download=org/thing"' in offers.render_needs(workbench, "org/thing", "auto")
    assert offers.render_needs(workbench, BUILTIN_NAME, "auto") == ""  # it comes with every worker
    odd = offers.render_needs(workbench, "<b>/../x", "auto")
    assert "download" not in odd
    assert "<b>" not in odd


@pytest.fixture
def playground(workbench: Workbench) -> Playground:
    with gr.Blocks() as page:
        return Playground(workbench, page)


def shown(page: Playground, workbench: Workbench, **opened: str) -> dict[str, object]:
    answers = page.open({"job": "", "gone": "", **opened}, request())[2:]
    return {control.name: answer for control, answer in zip(page.form, answers, strict=True)}


def test_the_form_opens_with_what_there_is_and_what_cannot_run(workbench: Workbench, playground: Playground) -> None:
    fill(workbench)
    found = shown(playground, workbench)
    assert found["model"] == gr.update(choices=[("Qwen2.5-0.5B", SMALL)])
    reasons = found["dtype"]
    assert isinstance(reasons, dict)
    assert reasons["why"]["int8"] == shelf.PACKING
    assert "is" not in reasons  # what somebody has chosen already stays


def test_an_address_may_name_a_model(workbench: Workbench, playground: Playground) -> None:
    fill(workbench)
    found = shown(playground, workbench, model=SMALL, adapter=TUNED, dtype="float16")
    assert found["model"] == gr.update(choices=[("Qwen2.5-0.5B", SMALL)], value=SMALL)
    assert found["adapter"] == gr.update(choices=[("poems-lora", TUNED)], value=TUNED)
    assert choices.read(found["dtype"]) == "float16"


def test_choosing_a_model_offers_its_adapters_and_puts_down_that_of_another(
    workbench: Workbench, playground: Playground
) -> None:
    fill(workbench)
    mine = [("poems-lora", TUNED)]
    assert playground.offer_adapters(SMALL, None, request()) == gr.update(choices=mine)
    assert playground.offer_adapters(SMALL, TUNED, request()) == gr.update(choices=mine)
    assert playground.offer_adapters(LARGE, TUNED, request()) == gr.update(choices=[], value=None)
    assert playground.offer_adapters(None, "/some/folder", request()) == gr.update(choices=[])


def test_options_that_cannot_be_had_are_put_together_by_reason() -> None:
    html = choices.render("d", "T", "H", [choices.Option(one) for one in "abc"], "a", {"b": "<no>", "c": "<no>"})
    assert html.count('aria-disabled="true"') == 2
    assert "<b>b, c</b> cannot run here: &lt;no&gt;." in html
    assert "<no>" not in html
