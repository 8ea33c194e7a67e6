"""Checkpoints that a person deletes, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import IllegalMove, NotFound
from core.ids import new_id
from core.states import State
from core.store import Store
from core.store.claims import Kept
from core.store.jobs import NewJob
from core.values import ArtifactKind, ArtifactRef

NEW = NewJob(kind="sft", queue="batch", owner="ana", spec={})


def running(store: Store) -> str:
    job_id = store.submit(replace(NEW))[0].id
    assert store.claim("batch", "w", 30)
    store.keep_result(job_id, 1, {"step": 9, "checkpoint_bytes": 30})
    return job_id


def made(store: Store, job_id: str, *kinds: ArtifactKind) -> list[str]:
    refs = [ArtifactRef(id=new_id(), kind=kind, name=f"{kind}", n_bytes=7) for kind in kinds]
    for one in refs:
        store.leave_artifact(job_id, 1, one)
    return [one.id for one in refs]


def test_one_that_has_ended_loses_its_checkpoints_and_nothing_else(store: Store) -> None:
    job_id = running(store)
    adapter, older, newer = made(store, job_id, ArtifactKind.ADAPTER, ArtifactKind.CHECKPOINT, ArtifactKind.CHECKPOINT)
    store.finish(job_id, 1, State.CANCELLED, None, Kept())
    assert [one.id for one in store.deletable_checkpoints(job_id)] == [older, newer]
    assert [one.id for one in store.delete_checkpoints(job_id, "ana", 30)] == [older, newer]
    job = store.job(job_id)
    assert [one.id for one in job.artifacts] == [adapter]
    assert job.result == {"step": 9, "checkpoint_bytes": 0}
    told = store.events(job_id)[-1]
    assert (told.kind, told.data) == ("checkpoints_deleted", {"by": "ana", "n_bytes": 44, "keeps_newest": False})
    assert store.deletable_checkpoints(job_id) == []


def test_one_that_is_held_keeps_its_newest(store: Store) -> None:
    job_id = running(store)
    older, newer = made(store, job_id, ArtifactKind.CHECKPOINT, ArtifactKind.CHECKPOINT)
    store.pause(job_id, "ana")
    store.give_back(job_id, 1, "the worker stopped")
    assert [one.id for one in store.delete_checkpoints(job_id, "ana", 20)] == [older]
    job = store.job(job_id)
    assert [one.id for one in job.artifacts] == [newer]
    assert (job.result or {})["checkpoint_bytes"] == 10
    assert store.events(job_id)[-1].data["keeps_newest"]


def test_one_that_runs_or_waits_keeps_them_all(store: Store) -> None:
    job_id = running(store)
    made(store, job_id, ArtifactKind.CHECKPOINT)
    assert store.deletable_checkpoints(job_id) == []
    with pytest.raises(IllegalMove, match="is running: its checkpoints can be deleted once it has ended or is paused"):
        store.delete_checkpoints(job_id, "ana", 0)
    store.give_back(job_id, 1, "the worker stopped")
    with pytest.raises(IllegalMove, match="waits to go on"):
        store.delete_checkpoints(job_id, "ana", 0)
    assert len(store.job(job_id).artifacts) == 1
    with pytest.raises(NotFound):
        store.delete_checkpoints(new_id(), "ana", 0)


def test_one_that_another_job_goes_on_from_stays_until_that_job_has_ended(store: Store) -> None:
    job_id = running(store)
    [kept] = made(store, job_id, ArtifactKind.CHECKPOINT)
    store.finish(job_id, 1, State.CANCELLED, None, Kept())
    other = store.submit(replace(NEW, spec={"resume_from": kept}))[0].id
    with pytest.raises(IllegalMove, match=f"Job {other} goes on from checkpoint {kept}"):
        store.delete_checkpoints(job_id, "ana", 0)
    store.cancel(other, "ana")
    assert [one.id for one in store.delete_checkpoints(job_id, "ana", 0)] == [kept]
