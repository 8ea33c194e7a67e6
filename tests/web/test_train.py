from __future__ import annotations

import io
import json
from typing import Any

import gradio as gr
import pytest

from core.client import Workbench
from core.errors import NotFound
from core.ids import new_id
from core.jobs.sft import SftSpec
from core.spec import parse_spec
from core.states import State
from core.store.claims import Kept
from core.store.workers import WorkerInfo
from core.training.presets import BY_NAME
from core.values import ArtifactKind, ArtifactRef, Job, Metric, Progress
from tests.web import trainings
from tests.web.test_job_view import rendered
from tests.web.test_pages import MISSING, event, request
from web.live.curves import Curves
from web.pages.train import Train
from web.runs_view import render_row
from web.train_curves import MOST_POINTS, curves_of, laid_over, thinned
from web.train_kinds import SFT
from web.train_ready import render_ready

QUICK = {"max_steps": 60}


@pytest.fixture
def page(workbench: Workbench) -> Train:
    with gr.Blocks():
        return Train(workbench)


def held(page: Train, **fields: Any) -> dict[Any, Any]:
    whole = parse_spec(SftSpec, fields).model_dump(mode="json")
    return {control.component: control.show(whole[control.name]) for control in page.form} | {page.view: {"job": ""}}


def shown(page: Train, answer: list[Any]) -> dict[str, Any]:
    return dict(zip([control.name for control in page.form], answer[-len(page.form) :], strict=True))


def run_of(workbench: Workbench, step: int = 60, **spec: Any) -> Job:
    """A training that is under way, with all that it has logged."""
    job = workbench.submit("sft", {**QUICK, **spec})
    claim = workbench.store.claim("batch", "w", 60)
    assert claim
    workbench.store.keep(job.id, 1, Kept(metrics=trainings.metrics(step)))
    workbench.store.keep_result(job.id, 1, trainings.result(step).model_dump(mode="json"))
    return job


def finish(workbench: Workbench, job: Job, state: State = State.SUCCEEDED, **changes: Any) -> ArtifactRef:
    made = ArtifactRef(id=new_id(), kind=ArtifactKind.ADAPTER, name="adapter of reviews", n_bytes=9)
    workbench.store.add_artifact(job.id, 1, made)
    workbench.store.finish(job.id, 1, state, trainings.result(**changes).model_dump(mode="json"), Kept())
    return made


def report(workbench: Workbench, free: float = 11.2e9, queue: str = "batch") -> None:
    info = WorkerInfo("w", queue, "here", 1, "CPU, 2 cores", "host", 16e9, free, 1)
    workbench.store.report_worker(info, 60)


# the form


def test_every_field_of_the_spec_has_one_control(page: Train) -> None:
    names = [control.name for control in page.form]
    assert sorted(names) == sorted(SftSpec.model_fields)
    assert tuple(names[: len(SFT.basics)]) == SFT.basics


def test_what_the_form_holds_is_what_is_submitted(page: Train, workbench: Workbench) -> None:
    asked = {
        "data": "reviews-labelled",
        "r": 4,
        "optim": "adamw_8bit",
        "completion_only_loss": False,
        "prompts": ["a\nb"],
    }
    answer = page.send(held(page, **asked), event(key="k"), request())
    spec = workbench.show(answer[0]["job"]).spec
    assert {name: spec[name] for name in asked} == asked
    assert spec == parse_spec(SftSpec, asked).model_dump(mode="json")


def test_a_run_on_an_upload_is_called_by_the_name_of_the_file(page: Train, workbench: Workbench) -> None:
    upload = workbench.upload(io.BytesIO(b"{}"), "films.jsonl")
    job = workbench.show(page.send(held(page, data=upload.id), event(key="u"), request())[0]["job"])
    assert job.name == "SmolLM2-135M-Instruct on films.jsonl"


def test_a_preset_fills_the_whole_form_in(page: Train) -> None:
    filled = shown(page, page.fill(event(name="llama-2-qlora"), request()))
    assert (filled["r"], filled["target_modules"], filled["max_length"]) == (64, "q_proj\nv_proj", 512)
    assert (filled["dtype"]["is"], filled["optim"]["is"]) == ("nf4", "paged_adamw_8bit")
    assert filled["weight_decay"] == 0.0  # whatever stood there before
    assert 'role="alert"' in page.fill(event(name="<b>"), request())[0]


def test_an_earlier_run_can_be_changed_and_gone_on_with(page: Train, workbench: Workbench) -> None:
    kept = ArtifactRef(id=new_id(), kind=ArtifactKind.CHECKPOINT, name="checkpoint-3", n_bytes=1)
    workbench.store.leave_artifact(workbench.submit("sft", {}).id, 0, kept)
    job = workbench.submit("sft", {"r": 3, "resume_from": kept.id})
    filled = shown(page, page.open(event(like=job.id), request()))
    assert (filled["r"], filled["resume_from"]) == (3, "")
    assert shown(page, page.open(event(like=job.id, resume_from=kept.id), request()))["resume_from"] == kept.id
    with pytest.raises(NotFound):
        workbench.submit("sft", {"resume_from": MISSING})
    assert "no job" in page.open(event(like=MISSING), request())[1]


def test_a_preview_asks_as_the_form_would_train(page: Train, workbench: Workbench) -> None:
    asked = held(page, data="reviews-labelled", max_length=48, per_device_train_batch_size=128)
    job = workbench.show(page.peek(asked, event(key="p"), request())[0]["job"])
    assert job.kind == "preview"
    found = {name: job.spec[name] for name in ("data", "max_length", "per_device_train_batch_size")}
    assert found == {"data": "reviews-labelled", "max_length": 48, "per_device_train_batch_size": 64}


def test_the_card_says_what_will_run_and_whether_it_can(page: Train, workbench: Workbench) -> None:
    said = page.follow(held(page, r=4), request())
    assert "workbench submit sft --r 4" in said[0]
    assert "Not ready: no worker runs that trains" in said[1]
    report(workbench)
    ready = page.follow(held(page, r=4), request())[1]
    assert "LoRA of rank 4 on all linear layers" in ready
    assert "8 rows a step" in ready
    assert "1 setting differs from the defaults" in ready
    assert "✓</span> Ready." in ready
    refused = page.follow(held(page) | {page._component("r"): 0}, request())
    assert "r: input should be greater than or equal to 1" in refused[1]


def test_the_card_predicts_memory_and_says_what_would_fit(workbench: Workbench) -> None:
    report(workbench, free=4e9)
    large = render_ready(workbench, parse_spec(SftSpec, {"per_device_train_batch_size": 64, "max_length": 2048}))
    assert "exceeds" in large
    assert "Not ready: it is predicted to need more memory than there is" in large
    small = render_ready(workbench, parse_spec(SftSpec, {"per_device_train_batch_size": 2, "max_length": 64}))
    assert "fits" in small
    assert "All settings are the defaults" not in small


def test_the_card_says_what_a_start_would_wait_for(workbench: Workbench) -> None:
    report(workbench)
    assert "It starts at once" in render_ready(workbench, SftSpec())
    assert "makes room" not in render_ready(workbench, SftSpec())
    run_of(workbench)
    workbench.submit("merge", {"adapter": MISSING})
    assert "runs, 1 waits before it" in render_ready(workbench, SftSpec())


def test_a_model_of_the_hub_has_to_be_downloaded_first(workbench: Workbench) -> None:
    report(workbench)
    said = render_ready(workbench, parse_spec(SftSpec, BY_NAME["llama-2-qlora"].fields))
    assert "meta-llama/Llama-2-7b-hf is not here: download it first" in said
    assert "openassistant-guanaco come from the Hub" in said
    assert "QLoRA of rank 64 on q_proj and v_proj" in said


# the run


def test_a_run_shows_its_curves_answers_first_row_and_facts(workbench: Workbench) -> None:
    job = run_of(workbench, 30)
    parts = rendered(workbench, job.id)
    drawn = {chart["id"]: chart for chart in json.loads(parts["curves"])["charts"]}
    assert [one["name"] for one in drawn["loss"]["series"]] == ["training", "held out"]
    assert drawn["loss"]["series"][0]["points"][-1][:2] == [30, 57.0]
    assert drawn["memory_bytes"]["series"][0]["points"][0][2] == 1.201
    assert {"learning_rate", "grad_norm", "tokens_per_s"} <= drawn.keys()
    assert 'data-at="30"' in parts["train_tries"]
    assert 'class="on special"' in parts["train_row"]
    assert "1,900 rows to learn, 100 held out" in parts["train_facts"]
    assert "predicted 1.29 GB" in parts["train_facts"]


def test_what_a_stranger_wrote_stays_text(workbench: Workbench) -> None:
    evil = "<img src=x onerror=alert(1)>"
    job = run_of(workbench)
    tries = tuple(one.model_copy(update={"completion": evil}) for one in trainings.tries(0))
    row = tuple(one.model_copy(update={"text": evil}) for one in trainings.ROW)
    judged = tuple(one.model_copy(update={"text": evil}) for one in trainings.judged(("best",)))
    finish(workbench, job, tries=tries, first_row=row, judged=judged, notes=(evil,), text=evil)
    parts = rendered(workbench, job.id)
    for name in ("result", "train_tries", "train_row", "train_judged", "train_facts"):
        assert "&lt;img" in parts[name], name
        assert "<img" not in parts[name], name


def test_a_run_that_has_ended_says_what_to_do_next(workbench: Workbench) -> None:
    job = run_of(workbench)
    adapter = finish(workbench, job)
    said = rendered(workbench, job.id)["result"]
    assert "Perplexity of held-out rows 120.3 → 76.0 in 60 steps of lora" in said
    for link in (f"/?model=HuggingFaceTB%2FSmolLM2-135M-Instruct&amp;adapter={adapter.id}", f"/train?like={job.id}"):
        assert f'href="{link}"' in said
    assert 'data-do="merge"' in said


def test_a_run_is_paused_resumed_and_merged_by_its_owner_alone(page: Train, workbench: Workbench) -> None:
    job = run_of(workbench)
    assert "only its owner" in page.pause(event(job=job.id), request("ana"))[1]
    assert page.pause(event(job=job.id), request())[0] == {"job": job.id}
    assert "Pausing" in rendered(workbench, job.id)["now"]
    assert workbench.store.give_back(job.id, 1, "paused") is State.HELD
    parts = rendered(workbench, job.id)
    assert "Paused: it holds no card" in parts["now"]
    assert 'data-do="resume"' in parts["title"]
    assert 'data-do="pause"' not in parts["title"]
    assert page.resume(event(job=job.id), request())[0] == {"job": job.id}
    assert workbench.show(job.id).state is State.QUEUED
    assert "no adapter" in page.merge(event(job=job.id), request())[1]


def test_the_adapter_of_a_run_is_merged_by_a_job(page: Train, workbench: Workbench) -> None:
    job = run_of(workbench)
    adapter = finish(workbench, job)
    there = page.merge(event(job=job.id, key="m"), request())[0]["go"]
    assert workbench.show(there.partition("job=")[2]).spec["adapter"] == adapter.id


def test_progress_says_step_pace_and_what_is_left(workbench: Workbench) -> None:
    job = run_of(workbench, 30)
    workbench.store.set_progress(job.id, 1, Progress(current=30, total=60, message="training", eta_s=57))
    now = rendered(workbench, job.id)["now"]
    assert "50 % · step 30 of 60 · 1.90 s a step · 57.0 s left" in now


# curves


def test_thinning_keeps_every_peak_and_both_ends() -> None:
    points = [(n, float(n), 1.0) for n in range(20_000)]
    points[777], points[12_345] = (777, 777.0, 99.0), (12_345, 12_345.0, -5.0)
    found = thinned(points)
    assert len(found) <= MOST_POINTS
    assert {points[0], points[777], points[12_345], points[-1]} <= set(found)
    assert [point[0] for point in found] == sorted({point[0] for point in found})


def test_what_is_logged_under_another_name_is_drawn_too_and_nan_is_not(workbench: Workbench) -> None:
    job = workbench.submit("sft", {})
    logged = [Metric(step=n, values={"kl": 0.1 * n, "loss": float("nan") if n == 2 else 1.0}) for n in (1, 2, 3)]
    charts = {chart["id"]: chart for chart in json.loads(curves_of(job, logged))["charts"]}
    assert charts["train-kl"]["title"] == "Kl"
    assert [point[0] for point in charts["loss"]["series"][0]["points"]] == [1, 3]
    assert curves_of(job, []) == ""


def test_runs_are_laid_over_each_other_with_what_differs(page: Train, workbench: Workbench) -> None:
    one = run_of(workbench, 20, r=4)
    finish(workbench, one, step=20)
    other = run_of(workbench, 60, r=8)
    found = page.lay_over(event(jobs=f"{one.id},{other.id}", n=1), request())
    series = found["curves"]["charts"][0]["series"]
    assert [(each["name"], each["points"][-1][0], each["dash"]) for each in series] == [
        ("A", 20, "solid"),
        ("B", 60, "dashed"),
    ]
    assert '<th scope="row">r</th><td>4</td><td>8</td>' in found["html"]
    assert found["live"]
    assert laid_over([]) == {"total": 0, "charts": []}
    load = workbench.submit("load", {})
    for jobs in (f"{one.id}", f"{one.id},{load.id}", f"{one.id},{MISSING}"):
        assert 'role="alert"' in page.lay_over(event(jobs=jobs), request())["html"]


def test_a_long_run_that_is_watched_is_read_as_often_as_reading_it_allows(workbench: Workbench) -> None:
    now = iter([0.0, 0.5, 4.0, 4.0, 6.0, 6.1, 7.0, 7.0])
    kept = Curves(lambda: next(now))
    job = run_of(workbench, 10)
    first = kept.of(workbench.store, workbench.show(job.id))
    assert kept.again_s(job.id) == float("inf")
    workbench.store.keep(job.id, 1, Kept(metrics=trainings.metrics(20, 11)))
    assert kept.of(workbench.store, workbench.show(job.id)) == first  # at 4.0, and what took 0.5 s stands until 5.5
    assert kept.again_s(job.id) == 1.5  # though nobody rings: it may have been the last step for long
    second = kept.of(workbench.store, workbench.show(job.id))
    assert len(second) > len(first)
    workbench.store.keep(job.id, 1, Kept(metrics=trainings.metrics(30, 21)))
    workbench.store.finish(job.id, 1, State.CANCELLED, None, Kept())
    assert len(kept.of(workbench.store, workbench.show(job.id))) > len(second)  # what has ended is read at once


def test_the_list_of_runs_says_how_a_training_is_kept_and_how_fast_it_goes(workbench: Workbench) -> None:
    row = render_row(workbench.show(run_of(workbench, 30).id))
    assert "<td>float32</td>" in row
    assert "<td>774 tok/s</td>" in row
