from __future__ import annotations

from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request

from core.access import Who
from core.client import Workbench
from core.states import State
from web.pages.playground import FIRST_PROMPT, Playground
from web.pages.runs import Runs

MISSING = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
UNCHANGED = gr.skip()


@pytest.fixture
def playground(workbench: Workbench) -> Playground:
    with gr.Blocks() as page:
        return Playground(workbench, page)


@pytest.fixture
def runs(workbench: Workbench) -> Runs:
    with gr.Blocks():
        return Runs(workbench)


def request(name: str = "me", *, is_administrator: bool | None = None) -> gr.Request:
    """From the one owner of a machine of one's own, who decides everything, or from somebody else."""
    who = Who(name, is_administrator=name == "me" if is_administrator is None else is_administrator)
    return gr.Request(Request({"type": "http", "headers": [], "state": {"who": who}}))


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


def form(page: Playground, prompt: str, **fields: Any) -> dict[Any, Any]:
    held = {control.component: fields.get(control.name) for control in page.form}
    return held | {page.view: {"job": ""}, page.prompt: prompt}


def test_sending_shows_the_new_job_and_empties_the_prompt(playground: Playground, workbench: Workbench) -> None:
    view, prompt, trouble = playground.send(form(playground, "Why?", seed=7), event(job="", key="k"), request())
    assert (prompt, trouble) == ("", "")
    assert workbench.show(view["job"]).spec["seed"] == 7


def test_what_is_refused_changes_nothing_but_the_sentence(playground: Playground, workbench: Workbench) -> None:
    for fields, sentence in (
        ({"temperature": 9}, "temperature: input should be less than or equal to 2, not 9."),
        ({"top_k": "many"}, "top_k"),
        ({"stop": "a" * 65}, "stop"),
    ):
        answer = playground.send(form(playground, "Why?", **fields), event(job="", key="k"), request())
        assert answer[:2] == [UNCHANGED, UNCHANGED]
        assert sentence in answer[2]
    assert workbench.count() == 0


@pytest.mark.parametrize(
    "data", [{}, {"job": None}, {"job": 7, "key": 9}, {"job": MISSING}, {"index": "x", "text": None}, {"job": "<b>"}]
)
def test_no_event_that_a_browser_makes_up_is_more_than_refused(playground: Playground, data: dict[str, Any]) -> None:
    for handler in (playground.stop, playground.retry):
        assert 'role="alert"' in handler(event(**data), request())[2]
    for asking in (playground.edit, playground.regenerate):
        trouble = asking(form(playground, "x"), event(**data), request())[2]
        assert 'role="alert"' in trouble
        assert "<b>" not in trouble


def test_only_its_owner_stops_names_or_deletes_a_job(playground: Playground, runs: Runs, workbench: Workbench) -> None:
    job = workbench.submit("generate", {"prompt": "mine"})
    assert "only its owner" in playground.stop(event(job=job.id), request("ana"))[2]
    for handler in (runs.stop, runs.remove):
        assert "only its owner" in handler(event(job=job.id), request("ana"))[1]
    assert "only its owner" in runs.describe(event(job=job.id, name="hers"), request("ana"))[1]
    assert workbench.show(job.id).state is State.QUEUED
    assert runs.stop(event(job=job.id), request())[0] == {"job": job.id}
    assert runs.remove(event(job=job.id), request())[0] == {"gone": job.id}


def test_what_somebody_submits_is_theirs(playground: Playground, workbench: Workbench) -> None:
    view, *_ = playground.send(form(playground, "Why?"), event(job="", key="k"), request("ana"))
    assert workbench.show(view["job"]).owner == "ana"


def test_the_first_start_has_a_prompt_and_an_opened_job_its_form(playground: Playground, workbench: Workbench) -> None:
    assert playground.open({"job": "", "gone": ""}, request())[0] == FIRST_PROMPT
    job = workbench.submit("generate", {"prompt": "Why?", "temperature": 0.5, "stop": ["\n"]})
    assert playground.open({"job": "", "gone": ""}, request())[0] == UNCHANGED
    shown = dict(
        zip([control.name for control in playground.form], playground.open({"job": job.id}, request())[2:], strict=True)
    )
    assert (shown["temperature"], shown["stop"], shown["seed"]) == (0.5, "\\n", None)
    for odd in (None, "x", {"job": MISSING}, {"gone": "<b>"}):
        assert "<b>" not in playground.open(odd, request())[1]


def test_the_command_line_follows_the_form(playground: Playground) -> None:
    command = playground.follow(form(playground, "it's", temperature=0.5), request())[0]
    assert "workbench submit generate --prompt" in command
    assert "--temperature 0.5" in command
    assert "less than or equal to 2" in playground.follow(form(playground, "x", temperature=9), request())[0]
    assert "Write a message" in playground.follow(form(playground, ""), request())[0]
