from __future__ import annotations

import gradio as gr
import pytest

from core.client import Workbench, artifact_folder
from core.ids import new_id
from core.states import State
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Job, Visibility
from tests.web import trainings
from tests.web.test_job_view import rendered
from tests.web.test_pages import MISSING, event, request
from web.pages.artifacts import Artifacts


@pytest.fixture
def page(workbench: Workbench) -> Artifacts:
    with gr.Blocks():
        return Artifacts(workbench)


def made(
    workbench: Workbench,
    kind: ArtifactKind,
    job_kind: str = "sft",
    visibility: Visibility = Visibility.TEAM,
    **spec: object,
) -> tuple[Job, ArtifactRef]:
    """A job that has ended with an artifact of one file."""
    job = workbench.submit(job_kind, spec, visibility=visibility)
    claim = workbench.store.claim("batch", "w", 60)
    assert claim
    artifact = ArtifactRef(id=new_id(), kind=kind, name=f"the {kind}", n_bytes=19_600_000)
    folder = artifact_folder(workbench.settings.home, artifact.id)
    folder.mkdir(parents=True)
    (folder / "a b.safetensors").write_bytes(b"x" * 2_000)
    workbench.store.add_artifact(job.id, 1, artifact)
    body = (
        trainings.result().model_dump(mode="json")
        if job_kind == "sft"
        else {"base": "org/base", "licence": "apache-2.0"}
    )
    workbench.store.finish(job.id, 1, State.SUCCEEDED, body, Kept())
    return workbench.show(job.id), artifact


def test_an_adapter_says_where_it_comes_from_and_what_to_do_with_it(page: Artifacts, workbench: Workbench) -> None:
    job, adapter = made(workbench, ArtifactKind.ADAPTER, r=4)
    shown = page.open(event(id=adapter.id), request())["html"]
    assert f'href="/runs?job={job.id}"' in shown
    assert f"sha256 {trainings.FACTS.fingerprint}" in shown
    assert f'href="/files/{adapter.id}/a%20b.safetensors" download>a b.safetensors</a>' in shown
    assert "2.00 kB" in shown
    assert "<dt>Rank</dt><dd>4</dd>" in shown
    assert f"adapter={adapter.id}&amp;variants=before-after" in shown
    assert 'data-do="merge"' in shown


def test_a_merged_model_leads_back_to_its_adapter_and_its_data(page: Artifacts, workbench: Workbench) -> None:
    _, adapter = made(workbench, ArtifactKind.ADAPTER, data="reviews-labelled")
    _, model = made(workbench, ArtifactKind.MODEL, "merge", adapter=adapter.id)
    shown = page.open(event(id=model.id), request())["html"]
    assert f'href="/artifacts?id={adapter.id}"' in shown
    assert 'href="/data?name=reviews-labelled"' in shown
    assert "<dt>Licence of the base</dt><dd>apache-2.0</dd>" in shown
    assert f"model=org%2Fbase&amp;merged={model.id}" in shown


def test_a_checkpoint_can_be_gone_on_from(page: Artifacts, workbench: Workbench) -> None:
    job, checkpoint = made(workbench, ArtifactKind.CHECKPOINT)
    shown = page.open(event(id=checkpoint.id), request())["html"]
    assert f'href="/train?like={job.id}&amp;resume={checkpoint.id}"' in shown
    assert 'data-do="merge"' not in shown


def test_what_is_not_there_or_not_to_be_seen_looks_the_same(page: Artifacts, workbench: Workbench) -> None:
    _, mine = made(workbench, ArtifactKind.ADAPTER, visibility=Visibility.PRIVATE)
    refused = page.open(event(id=mine.id), request("ana"))["html"]
    assert refused == page.open(event(id=MISSING), request("ana"))["html"].replace(MISSING, mine.id)
    assert "There is no artifact" in refused
    assert "<b>" not in page.open(event(id="<b>"), request())["html"].replace("&lt;b&gt;", "")


def test_an_adapter_is_merged_from_its_page(page: Artifacts, workbench: Workbench) -> None:
    _, adapter = made(workbench, ArtifactKind.ADAPTER)
    there = page.merge(event(id=adapter.id, key="m"), request())[0]["go"]
    job = workbench.show(there.partition("job=")[2])
    assert (job.kind, job.spec["adapter"]) == ("merge", adapter.id)
    assert 'role="alert"' in page.merge(event(id=MISSING), request())[1]


def test_a_job_links_to_each_artifact_that_it_made(workbench: Workbench) -> None:
    job, adapter = made(workbench, ArtifactKind.ADAPTER)
    assert f'href="/artifacts?id={adapter.id}"' in rendered(workbench, job.id)["files"]
