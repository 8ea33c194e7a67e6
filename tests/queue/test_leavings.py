"""What a job that has ended leaves on a machine: its last whole checkpoint as an artifact, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.client import Workbench, artifact_folder, scratch_folder
from core.errors import Unavailable
from core.states import State
from core.store.claims import Kept
from core.training.checkpoints import CLOCK, checkpoints_of
from core.training.lineage import read_lineage
from core.values import ArtifactKind, Trouble
from worker.leavings import clear_up


def with_checkpoints(workbench: Workbench, *steps: int) -> tuple[str, Path]:
    """A training job that runs, and its checkpoints; that of the last step was cut off."""
    job_id = workbench.submit("sft", {"max_steps": 9}).id
    assert workbench.store.claim("batch", "w", 30)
    folder = checkpoints_of(scratch_folder(workbench.settings.home, job_id))
    for step in (*steps, 99):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"states")
        if step != 99:
            (folder / f"checkpoint-{step}" / CLOCK).write_text(json.dumps({"seconds": 1, "tokens": 2}))
    return job_id, folder


def test_a_job_that_is_cancelled_while_it_is_held_leaves_its_newest_checkpoint(workbench: Workbench) -> None:
    job_id, folder = with_checkpoints(workbench, 2, 4)
    home, store = workbench.settings.home, workbench.store
    store.pause(job_id, "me")
    store.give_back(job_id, 1, "the worker stopped")
    clear_up(home, store, job_id)
    assert folder.exists()
    workbench.cancel(job_id)
    clear_up(home, store, job_id)
    [kept] = workbench.show(job_id).artifacts
    assert (kept.kind, kept.name) == (ArtifactKind.CHECKPOINT, "checkpoint-4")
    made = artifact_folder(home, kept.id)
    assert (made / "optimizer.pt").read_bytes() == b"states"
    assert read_lineage(made)["spec"]["max_steps"] == 9
    assert not scratch_folder(home, job_id).exists()
    clear_up(home, store, job_id)
    assert len(workbench.show(job_id).artifacts) == 1


def test_a_job_that_failed_leaves_its_checkpoint_and_one_that_succeeded_none(workbench: Workbench) -> None:
    failed, _ = with_checkpoints(workbench, 3)
    workbench.store.fail(failed, 1, Trouble(code="nan_logits", message="It is none."), Kept())
    whole, _ = with_checkpoints(workbench, 5)
    workbench.store.finish(whole, 1, State.SUCCEEDED, {}, Kept())
    for job_id, n_kept in ((failed, 1), (whole, 0)):
        clear_up(workbench.settings.home, workbench.store, job_id)
        assert len(workbench.show(job_id).artifacts) == n_kept
        assert not scratch_folder(workbench.settings.home, job_id).exists()


def test_a_database_that_is_away_costs_no_checkpoint(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, folder = with_checkpoints(workbench, 3)
    workbench.store.fail(job_id, 1, Trouble(code="nan_logits", message="It is none."), Kept())
    with monkeypatch.context() as patch:
        patch.setattr(workbench.store, "leave_artifact", lambda *_: (_ for _ in ()).throw(Unavailable("away")))
        clear_up(workbench.settings.home, workbench.store, job_id)
    assert (folder / "checkpoint-3" / "optimizer.pt").exists()
    clear_up(workbench.settings.home, workbench.store, job_id)
    assert len(workbench.show(job_id).artifacts) == 1
