"""Recorded runs as pages show them: read-only, escaped, made once for all who look."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from core.client import Workbench
from core.recording.file import Shelf, write
from core.recording.values import RecordedJob, Recording
from tests.recording import made
from tests.web.test_job_view import HOSTILE
from tests.web.test_pages import event, request
from web import recorded_view
from web.pages.compare import Compare
from web.pages.pipelines import Pipelines
from web.pages.playground import Playground
from web.recorded import Recordings
from web.recorded_markup import read_only

PLACES = {made.SFT: "/recorded?run=one&step=sft"}


def keep(workbench: Workbench, recording: Recording) -> Recording:
    write(recording, workbench.settings.home / "recordings")
    return recording


def score_of(workbench: Workbench, recording: Recording, step: str = "") -> dict[str, Any]:
    """As a browser gets it."""
    found: dict[str, Any] = json.loads(json.dumps(recorded_view.score(workbench, recording, step)))
    return found


def at(score: dict[str, Any], part: str, seconds: float) -> str:
    """A fragment at a moment."""
    shown = [html for moment, html in score["parts"].get(part, []) if moment <= seconds]
    return str(shown[-1]) if shown else ""


# what acts is taken out


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ('<p>a <button data-do="stop">Stop <b>now</b></button>b</p>', "<p>a b</p>"),
        ('<button data-copy="x &amp; y">Copy</button>', '<button data-copy="x &amp; y">Copy</button>'),
        ('<form data-x><div><form><input></form></div><select><option>1</select></form>after', "after"),
        ('<a class="q p" href="/compare?job=1">Clone</a>z', "z"),
        ('<a href="/artifacts?id=1"><b>x</b></a>', "<b>x</b>"),
        (f'<a href="/runs?job={made.SFT}">sft</a>', '<a href="/recorded?run=one&amp;step=sft">sft</a>'),
        ('<a href="/runs?job=other">sft</a>', "sft"),
        ('<a href="javascript:alert(1)">x</a><a href="//evil.example/recorded">y</a>', "xy"),
        ('<a class="q" href="/fit?model=m">Fits?</a>', '<a href="/fit?model=m" class="q">Fits?</a>'),
        ('<input type="range" data-slide><input name="x">', '<input type="range" data-slide>'),
        ("a &amp; &lt;b&gt; &#39;c&#39; &quot;", "a &amp; &lt;b&gt; &#39;c&#39; &quot;"),
    ],
)  # fmt: skip
def test_a_fragment_is_made_read_only_and_else_stays_as_it_was(html: str, left: str) -> None:
    assert read_only(html, PLACES) == left


# what a score holds


def test_a_training_grows_and_ends_as_its_own_page_shows_it(workbench: Workbench) -> None:
    recording = made.recording(made.training())
    score = score_of(workbench, recording)
    assert score["seconds"] == 130
    assert "step 25 of 60" in at(score, "now", 50.5)
    assert at(score, "now", 130) == ""
    assert 'data-at="20"' in at(score, "train_tries", 50.5)
    assert 'data-at="30"' not in at(score, "train_tries", 50.5)
    assert at(score, "train_judged", 129) == ""
    assert "of its kind" in at(score, "train_judged", 130)
    assert "running" in at(score, "title", 100)
    assert "succeeded" in at(score, "title", 130)
    assert score["clock"]["train"][24] == [25, 50.0]
    assert [step for step, _ in score["clock"]["eval"]] == [10, 20, 30, 40, 50, 60]
    assert len(score["curves"]["charts"][0]["series"][0]["points"]) == 60


def test_the_mark_says_day_machine_version_and_where_the_times_come_from(workbench: Workbench) -> None:
    recording = made.recording(made.generation(), note="Another job ran beside it.")
    mark = score_of(workbench, recording)["mark"]
    for said in ("15 Jan 2027 on AMD EPYC, 2 cores, 25.3 GB of memory", "commit 36a259b", "Another job ran beside it."):
        assert said in mark
    assert "Its text comes as it came." in mark
    guessed = made.generation()
    assert guessed.text
    text = guessed.text.model_copy(update={"words": "reconstructed"})
    told = score_of(workbench, made.recording(guessed.model_copy(update={"text": text})))["mark"]
    assert "at the speed that was measured" in told


def test_a_text_comes_in_the_pieces_in_which_it_came(workbench: Workbench) -> None:
    score = score_of(workbench, made.recording(made.generation()))
    assert score["text"]["whole"] == made.ANSWER
    assert score["text"]["pieces"][:2] == [[3.0, 3], [4.0, 7]]
    assert at(score, "figures", 14) == ""
    assert "First token" in at(score, "figures", 15)


def test_a_comparison_comes_variant_by_variant_and_recommends_without_asking(workbench: Workbench) -> None:
    score = score_of(workbench, made.recording(made.comparison()))
    assert at(score, "compare_table", 15).count('data-state="succeeded"') == 1
    assert at(score, "compare_advice", 99) == ""
    last = at(score, "compare_advice", 100)
    assert "Recommended on the machine that ran it" in last
    assert "<form" not in last
    assert "<select" not in last
    assert "Clone with changes" not in at(score, "result", 100)


def test_a_pipeline_leads_to_the_recordings_of_its_steps(workbench: Workbench) -> None:
    score = score_of(workbench, made.pipeline())
    assert 'href="/recorded?run=one&amp;step=sft"' in at(score, "pipeline", 1)
    assert "/runs?" not in json.dumps(score)
    assert 'aria-current="page">The whole' in score["mark"]
    step = score_of(workbench, made.pipeline(), "merge")
    assert step["seconds"] == 60
    assert 'href="/recorded?run=one">One run' in at(step, "title", 0)


def hostile() -> Recording:
    result = {"text": HOSTILE, "tries": [{"step": 0, "prompt": HOSTILE, "completion": HOSTILE, "has_ended": True}]}
    sft = made.training(id=made.SFT, step="sft", name=HOSTILE, model=HOSTILE, result=result)
    whole = made.pipeline()
    trouble = {"code": "x", "message": HOSTILE}
    steps = [{**one, "headline": HOSTILE, "trouble": trouble} for one in (whole.whole.result or {})["steps"]]
    job = whole.whole.model_copy(update={"result": {"text": HOSTILE, "steps": steps}, "name": HOSTILE})
    told = made.generation(name=HOSTILE, spec={"prompt": HOSTILE, "system": HOSTILE, "model": HOSTILE}, model=HOSTILE)
    telling = told.model_copy(update={"job": told.job.model_copy(update={"id": made.MERGE, "step": "tell"})})
    jobs = (RecordedJob(job=job, events=whole.jobs[0].events), sft, telling)
    machine = whole.machine.model_copy(update={"device": HOSTILE})
    return whole.model_copy(
        update={"jobs": jobs, "title": HOSTILE, "note": HOSTILE, "commit": HOSTILE, "machine": machine}
    )


@pytest.mark.parametrize("step", ["", "sft", "tell"])
def test_whatever_a_recording_holds_is_escaped_in_every_fragment(workbench: Workbench, step: str) -> None:
    score = score_of(workbench, hostile(), step)
    fragments = [html for frames in score["parts"].values() for _, html in frames]
    assert any("&lt;img" in html for html in fragments)
    for html in (*fragments, score["mark"]):
        assert "<img" not in html
        assert "<script" not in html
        for attribute in re.findall(r'(?<==)"[^"]*"', html):
            assert "<" not in attribute


def test_a_hostile_recording_is_escaped_in_the_list(workbench: Workbench) -> None:
    keep(workbench, hostile())
    html = recorded_view.render_list(Shelf([workbench.settings.home / "recordings"]))
    assert "<img" not in html
    assert "&lt;img" in html


def test_whole_pipelines_stand_first_and_then_what_ran_longest(workbench: Workbench) -> None:
    for recording in (
        made.recording(made.generation(), name="answer"),
        made.recording(made.training(), name="training"),
        made.pipeline(),
    ):
        keep(workbench, recording)
    rows = recorded_view.rows_of(Shelf([workbench.settings.home / "recordings"]))
    assert [row.kind for row in rows] == ["pipeline", "sft", "generate"]


# what is offered


def test_a_form_can_begin_as_a_recorded_job_did(workbench: Workbench) -> None:
    keep(workbench, made.pipeline())
    keep(workbench, made.recording(made.generation(), name="clouds"))
    keep(workbench, made.recording(made.comparison(), name="table"))
    with gr.Blocks() as blocks:
        playground, compare, pipelines = Playground(workbench, blocks), Compare(workbench), Pipelines(workbench)
    assert playground.open({"recorded": "clouds"}, request())[:2] == ["Why is the sky blue?", ""]
    opened, trouble = pipelines.opened(event(recorded="one"), request())
    assert trouble == ""
    assert 'value="@sft"' in opened["steps"]
    assert compare.open(event(recorded="table"), request())[0] == ""
    for page, name in ((pipelines.opened, "clouds"), (compare.open, "one")):
        assert "is of a" in str(page(event(recorded=name), request()))
    for name in ("none", "../one"):
        assert "There is no recording" in playground.open({"recorded": name}, request())[1]
    assert workbench.count() == 0


def test_the_same_is_offered_for_a_whole_run_whose_kind_has_a_form_and_not_for_a_step(workbench: Workbench) -> None:
    assert 'href="/pipelines?recorded=one"' in score_of(workbench, made.pipeline())["mark"]
    assert "Run the same here" not in score_of(workbench, made.pipeline(), "sft")["mark"]
    assert "Run the same here" not in score_of(workbench, made.recording(made.training()))["mark"]


# what is sent


def test_a_visitor_gets_list_and_score_and_again_only_that_they_are_unchanged(
    web: TestClient, workbench: Workbench
) -> None:
    keep(workbench, made.pipeline())
    listed, score = web.get("/recordings"), web.get("/recordings/one?step=sft")
    assert "/recorded?run=one" in listed.text
    assert score.json()["seconds"] == 130
    assert score.headers["content-encoding"] == "gzip"
    for path, first in (("/recordings", listed), ("/recordings/one?step=sft", score)):
        again = web.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    plain = web.get("/recordings/one?step=sft", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == score.json()
    assert workbench.count() == 0


def test_what_is_not_there_or_cannot_be_read_is_one_sentence(web: TestClient, workbench: Workbench) -> None:
    keep(workbench, made.pipeline())
    (workbench.settings.home / "recordings" / "broken.json.gz").write_bytes(b"\x1f\x8b")
    for path, status in (("/recordings/none", 404), ("/recordings/one?step=none", 404), ("/recordings/broken", 422)):
        answer = web.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert web.get("/recordings/..%2Fone").status_code == 404
    assert "broken" not in web.get("/recordings").text
    assert web.post("/recordings/one").status_code >= 400


def test_a_score_is_made_once_and_anew_when_its_file_has_changed(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(workbench, made.pipeline())
    calls: list[str] = []
    score = recorded_view.score

    def counted(client: Workbench, one: Recording, step: str) -> dict[str, Any]:
        calls.append(step)
        return score(client, one, step)

    monkeypatch.setattr(recorded_view, "score", counted)
    held = Recordings(workbench)
    assert held.score("one", "sft") is held.score("one", "sft")
    assert calls == ["sft"]
    path = workbench.settings.home / "recordings" / "one.json.gz"
    path.unlink()
    keep(workbench, made.pipeline().model_copy(update={"title": "Another, with a longer title"}))
    assert "Another" in gzip.decompress(held.score("one", "sft").packed).decode()
    assert calls == ["sft", "sft"]


def test_the_page_stands_at_its_address(web: TestClient) -> None:
    page = web.get("/recorded")
    assert page.status_code == 200
    assert "/ui/recorded.js" in page.text
