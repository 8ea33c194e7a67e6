from __future__ import annotations

import re
from typing import Any

import gradio as gr
import pytest

from core.access import Who
from core.client import Workbench
from core.memory.known import known_model
from core.memory.needs import needs_of
from core.precision import Precision
from core.values import ModelInfo, Origin, Role
from tests.web import shelf
from tests.web.shelf import LARGE, MODELS, PLACE, SMALL, TUNED, fill, held, worker
from tests.web.test_pages import MISSING, UNCHANGED, event, request
from web import models_look, models_view
from web.format import written
from web.live.shelf import Shelf
from web.models_look import ref
from web.pages.models import EVENTS, Models

HOSTILE = "<img src=x onerror=alert(1)> \" ' <script>alert(2)</script>"


@pytest.fixture
def page(workbench: Workbench) -> Models:
    with gr.Blocks():
        return Models(workbench)


def row(name: str) -> str:
    found = next(one for one in MODELS if one.name == name)
    return ref(PLACE, found.name, found.revision)


def rendered(workbench: Workbench) -> str:
    parts = Shelf(workbench.who).look(workbench)
    return parts["memory"] + parts["places"]


def test_without_a_worker_it_says_how_to_start_one(workbench: Workbench) -> None:
    assert "workbench worker" in rendered(workbench)


def test_a_worker_without_models_is_told_how_to_get_some(workbench: Workbench) -> None:
    fill(workbench, ())
    html = rendered(workbench)
    assert "No model lies here yet." in html
    assert "No model is in memory here." in html


def test_a_model_is_shown_with_all_that_its_files_tell(workbench: Workbench) -> None:
    fill(workbench)
    html = rendered(workbench)
    for shown in (
        "Qwen2ForCausalLM · apache-2.0 · chat template · from the Hub · @ 060db6499f32", "494 M", "988 MB", "32,768",
        "bfloat16", "of Qwen/Qwen2.5-0.5B · PEFT adapter · licence unknown",
        "Its weights are pickled: convert it once.",
    ):  # fmt: skip
        assert shown in html
    assert re.findall(r'data-act="(\w+)"', html).count("convert") == 1
    assert f'name="load-{row(LARGE)}"' not in html  # what cannot be loaded is not offered


def test_a_card_s_memory_is_told_by_who_holds_it(workbench: Workbench) -> None:
    job = workbench.submit("generate", {"prompt": "a"}).id
    fill(workbench, holdings=(held(), held(key="k", model=LARGE, n_bytes=4e9, users=(job,), is_loading=True)))
    html = rendered(workbench)
    assert "9.20 GB free of 15.6 GB" in html
    assert re.search(r'title="Everything else on this card: 1.93 GB"', html)
    assert "in memory, nf4" in html
    assert f'href="/runs?job={job}"' in html
    assert "/srv/wb/models" not in html  # a key holds a path, which is nobody's business


def test_several_places_each_have_their_own_list(workbench: Workbench) -> None:
    fill(workbench)
    workbench.store.report_worker(worker(id="b", host="bolt", card="card-2", place="bolt:/home"), 60)
    workbench.store.report_models("bolt:/home", MODELS[:1])
    html = rendered(workbench)
    assert "On atlas" in html
    assert "On bolt" in html
    assert html.count("Qwen2ForCausalLM") == 2


def test_two_homes_of_one_host_are_told_apart(workbench: Workbench) -> None:
    fill(workbench)
    workbench.store.report_worker(worker(id="b", place="atlas:/other"), 60)
    seen = models_look.look(workbench)
    assert [models_view.place_name(place, seen) for place, _ in seen.places] == ["atlas, /other", "atlas, /srv/wb"]


def test_names_and_licences_are_escaped(workbench: Workbench, page: Models) -> None:
    words = dict.fromkeys(("name", "architecture", "licence", "stored_as", "problem", "base"), HOSTILE)
    model = ModelInfo(origin=Origin.HUB, role=Role.OTHER, n_bytes=1, revision=HOSTILE, way_out="convert", **words)
    usable = ModelInfo(name=HOSTILE + "/x", origin=Origin.HUB, role=Role.CAUSAL, n_bytes=1, stored_as=HOSTILE)
    fill(workbench, (model, usable), (held(model=HOSTILE, precision=HOSTILE, attention=HOSTILE, users=(HOSTILE,)),))
    form = page.open(event(ref=HOSTILE + "/x"), request())[0]
    for html in (rendered(workbench), form):
        assert "<img" not in html
        assert "<script" not in html
        assert HOSTILE not in html
        for attribute in re.findall(r'(?<==)"[^"]*"', html):
            assert "<" not in attribute


def test_loading_submits_a_job_of_the_row_s_model(workbench: Workbench, page: Models) -> None:
    fill(workbench)
    data = {"ref": row(SMALL), "dtype": "float16", "attention": "eager", "pin": True, "key": "k"}
    root = request("root", is_administrator=True)
    view, trouble = page.bring(event(**data), root)
    job = workbench.show(view["job"])
    assert (job.kind, job.model, trouble) == ("load", SMALL, "")
    assert (job.spec["dtype"], job.spec["attn_implementation"], job.spec["pin"]) == ("float16", "eager", True)
    assert job.spec["revision"] == MODELS[0].revision
    assert page.bring(event(**data), root)[0] == view  # a double click makes one job


def test_an_adapter_is_loaded_over_its_base(workbench: Workbench, page: Models) -> None:
    fill(workbench)
    view, _ = page.bring(event(ref=row(TUNED), dtype="auto"), request())
    spec = workbench.show(view["job"]).spec
    assert (spec["model"], spec["adapter"]) == (SMALL, TUNED)


def test_what_cannot_run_is_refused_with_the_reason_that_the_form_shows(workbench: Workbench, page: Models) -> None:
    fill(workbench)
    form = page.open(event(ref=row(SMALL)), request())[0]
    assert 'data-value="int8" aria-checked="false" tabindex="-1" aria-disabled="true"' in form
    assert f"Cannot run here: {shelf.PACKING}" in form
    view, trouble = page.bring(event(ref=row(SMALL), dtype="int8"), request())
    assert view == UNCHANGED
    assert f"int8 cannot run here: {shelf.PACKING}" in trouble


def test_the_form_says_what_each_precision_takes_of_what_is_free(workbench: Workbench, page: Models) -> None:
    fill(workbench)
    form = page.open(event(ref=row(SMALL), dtype="bfloat16"), request())[0]
    assert "9.20 GB free on NVIDIA T4" in form
    needs = needs_of(known_model(SMALL), Precision.FLOAT32, "sdpa", on_host=False)
    assert re.search(rf'data-value="float32"[^/]*/span> <span class="soft">{_bytes(needs.load_bytes)}</span>', form)
    assert "✓</span> fits" in form
    assert re.search(r'data-value="int8"[^/]*><span>int8</span></button>', form)  # no figure for what cannot run
    assert "float16 here, " in form
    assert re.search(r'data-value="bfloat16" aria-checked="true"', form)


def _bytes(n_bytes: float) -> str:
    return re.escape(written(n_bytes, "bytes"))


def test_a_model_that_is_not_known_here_has_no_figures(workbench: Workbench, page: Models) -> None:
    fill(workbench, (MODELS[0].model_copy(update={"name": "somebody/else"}),))
    assert "fits" not in page.open(event(ref="somebody/else"), request())[0]


def test_a_model_is_downloaded_converted_and_deleted_by_jobs(workbench: Workbench, page: Models) -> None:
    fill(workbench)
    fields = {"model": " org/name ", "revision": "", "file": "Q4_K_M"}
    made = workbench.show(page.download(event(**fields), request())[0]["job"])
    assert (made.kind, made.model, made.spec["revision"], made.spec["file"]) == ("download", "org/name", None, "Q4_K_M")
    for handler, kind in ((page.convert, "convert"), (page.remove, "remove")):
        job = workbench.show(handler(event(ref=row(LARGE)), request())[0]["job"])
        assert (job.kind, job.spec["model"], job.spec["revision"]) == (kind, LARGE, MODELS[1].revision)
    assert [job.kind for job in models_look.look(workbench).jobs] == ["remove", "convert", "download"]


def test_a_model_in_memory_is_pinned_and_let_go(workbench: Workbench, page: Models) -> None:
    fill(workbench, holdings=(held(),))
    mine, root = ref(shelf.WORKER, held().key), request("root", is_administrator=True)
    assert page.pin(event(ref=mine), root) == [UNCHANGED, ""]
    assert workbench.holdings()[0].is_pinned
    assert "pinned" in rendered(workbench)
    page.unpin(event(ref=mine), root)
    assert not workbench.holdings()[0].is_pinned
    page.release(event(ref=mine), root)
    assert workbench.holdings()[0].is_release_requested
    assert "letting go" in rendered(workbench)


def test_only_an_administrator_is_offered_to_pin_and_unload_and_may(workbench: Workbench, page: Models) -> None:
    fill(workbench, holdings=(held(),))
    mine = ref(shelf.WORKER, held().key)
    assert 'data-act="release"' in Shelf(Who("root", is_administrator=True)).look(workbench)["memory"]
    assert 'data-act="release"' not in Shelf(Who("ana")).look(workbench)["memory"]
    assert 'name="pin"' not in page.open(event(ref=row(SMALL)), request("ana"))[0]
    assert 'name="pin"' in page.open(event(ref=row(SMALL)), request("root", is_administrator=True))[0]
    for act in (page.pin, page.unpin, page.release):
        assert "Only an administrator" in act(event(ref=mine), request("ana"))[1]
    data = {"ref": row(SMALL), "dtype": "float16", "pin": True}
    assert "Only an administrator" in page.bring(event(**data), request("ana"))[1]
    assert not workbench.holdings()[0].is_pinned


@pytest.mark.parametrize("data", [{}, {"ref": None}, {"ref": 7}, {"ref": ["x"]}, {"job": MISSING, "ref": "<b>"}])
def test_no_event_that_a_browser_makes_up_is_more_than_refused(page: Models, data: dict[str, Any]) -> None:
    for name in EVENTS:
        trouble = getattr(page, name)(event(**data), request())[1]
        assert 'role="alert"' in trouble, name
        assert "<b>" not in trouble
    assert 'role="alert"' in page.open(event(**data), request())[1]


def test_only_its_owner_stops_a_download(workbench: Workbench, page: Models) -> None:
    job = workbench.submit("download", {"model": "org/name"}).id
    assert "only its owner" in page.stop(event(job=job), request("ana"))[1]
    assert page.stop(event(job=job), request())[0] == {"job": job}
