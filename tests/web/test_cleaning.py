from __future__ import annotations

import gradio as gr
import pytest

from core.client import Workbench, artifact_folder
from core.ids import new_id
from core.states import State
from core.store.claims import Kept
from core.values import ArtifactKind, ArtifactRef, Job
from tests.web import trainings
from tests.web.test_job_view import rendered
from tests.web.test_pages import event, request
from tests.web.test_train import run_of
from web.job_view import look, render
from web.pages.runs import Runs
from web.pages.train import Train


@pytest.fixture(params=[Train, Runs])
def page(request: pytest.FixtureRequest, workbench: Workbench) -> Train | Runs:
    with gr.Blocks():
        made: Train | Runs = request.param(workbench)
    return made


def stopped(workbench: Workbench) -> tuple[Job, ArtifactRef]:
    """A training that was cancelled and left a checkpoint."""
    job = run_of(workbench, 20)
    kept = ArtifactRef(id=new_id(), kind=ArtifactKind.CHECKPOINT, name="checkpoint-20", n_bytes=19_600_000)
    artifact_folder(workbench.settings.home, kept.id).mkdir(parents=True)
    workbench.store.finish(job.id, 1, State.CANCELLED, trainings.result(20).model_dump(mode="json"), Kept())
    workbench.store.leave_artifact(job.id, 1, kept)
    return job, kept


def test_the_button_says_what_becomes_free_and_the_page_afterwards_that_it_is(
    page: Train | Runs, workbench: Workbench
) -> None:
    job, kept = stopped(workbench)
    before = rendered(workbench, job.id)["train_facts"]
    assert 'data-do="clean"' in before
    assert "Delete, 19.6 MB" in before
    assert "of disk in all" not in before  # all that is left is the artifact
    answer = page.clean(event(job=job.id), request())
    assert answer == [{"job": job.id, "freed_bytes": 19_600_000}, ""]
    assert not artifact_folder(workbench.settings.home, kept.id).exists()
    after = rendered(workbench, job.id)
    assert 'data-do="clean"' not in after["train_facts"]
    assert "deleted its checkpoints: 19.6 MB are free again" in after["log"]
    assert 'role="alert"' in page.clean(event(job=job.id), request())[1]


def test_only_who_may_change_a_job_is_offered_it_and_none_while_it_runs(
    page: Train | Runs, workbench: Workbench
) -> None:
    job, _ = stopped(workbench)
    assert 'data-do="clean"' not in render(look(workbench, job.id, True), may_change=False)["train_facts"]
    assert "only its owner" in page.clean(event(job=job.id), request("ana"))[1]
    running = run_of(workbench, 20)
    shown = rendered(workbench, running.id)["train_facts"]
    assert "58.9 MB of disk in all" in shown
    assert 'data-do="clean"' not in shown
    assert "is running: its checkpoints can be deleted once" in page.clean(event(job=running.id), request())[1]
