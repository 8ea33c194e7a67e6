"""Jobs that are paused, and the curves that they leave, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import Fenced, IllegalMove
from core.states import State
from core.store import Store
from core.store.claims import Kept
from core.store.jobs import NewJob
from core.values import Metric

NEW = NewJob(kind="sft", queue="batch", owner="ana", spec={})


def running(store: Store) -> str:
    job, _ = store.submit(replace(NEW))
    claim = store.claim("batch", "w", 30)
    assert claim
    assert claim.job_id == job.id
    return job.id


def test_a_queued_job_is_held_and_nobody_takes_it_until_it_is_resumed(store: Store) -> None:
    job_id = store.submit(NEW)[0].id
    assert store.pause(job_id, "ana") is State.HELD
    assert store.claim("batch", "w", 30) is None
    assert store.resume(job_id, "ana") == (State.QUEUED, True)
    claim = store.claim("batch", "w", 30)
    assert claim
    assert claim.job_id == job_id
    assert [event.kind for event in store.events(job_id)] == ["queued", "held", "resumed", "claimed"]


def test_a_running_job_is_asked_to_pause_and_is_held_once_it_lets_go(store: Store) -> None:
    job_id = running(store)
    assert store.pause(job_id, "ana") is State.RUNNING
    assert store.job(job_id).is_pause_requested
    assert store.pulse([(job_id, 1)])[job_id].is_pause_requested
    assert store.give_back(job_id, 1, "the worker stopped") is State.HELD
    assert store.resume(job_id, "ana") == (State.QUEUED, True)
    assert not store.job(job_id).is_pause_requested


def test_who_resumes_before_it_was_let_go_has_it_queued_at_once(store: Store) -> None:
    job_id = running(store)
    store.pause(job_id, "ana")
    assert store.resume(job_id, "ana") == (State.RUNNING, False)
    assert store.give_back(job_id, 1, "the worker stopped") is State.QUEUED


def test_a_job_that_is_lost_while_it_pauses_is_held(store: Store) -> None:
    job_id = running(store)
    store.pause(job_id, "ana")
    assert store.declare_lost(job_id, 1, 3)
    assert store.job(job_id).state is State.HELD


def test_a_held_job_can_be_cancelled_and_then_not_be_resumed(store: Store) -> None:
    job_id = store.submit(NEW)[0].id
    store.pause(job_id, "ana")
    with pytest.raises(IllegalMove):
        store.pause(job_id, "ana")
    assert store.cancel(job_id, "ana") is State.CANCELLED
    for move in (store.resume, store.pause):
        with pytest.raises(IllegalMove):
            move(job_id, "ana")


def test_a_job_that_nobody_paused_is_not_resumed(store: Store) -> None:
    with pytest.raises(IllegalMove, match="only a paused job"):
        store.resume(running(store), "ana")


def test_curves_go_on_where_the_last_checkpoint_was(store: Store) -> None:
    job_id = running(store)
    first = [Metric(step=step, values={"loss": 4.0 - step}, at=1.0) for step in (1, 2, 3)]
    store.keep(job_id, 1, Kept(metrics=[*first, Metric(step=2, sort="eval", values={"loss": 9.0}, at=1.0)]))
    store.give_back(job_id, 1, "the worker stopped")
    assert store.claim("batch", "w", 30)
    store.rewind(job_id, 2, 2)
    assert [(one.step, one.sort) for one in store.metrics(job_id)] == [(1, "train"), (2, "eval"), (2, "train")]
    store.keep(job_id, 2, Kept(metrics=[Metric(step=2, values={"loss": 0.5}, at=2.0)]))
    assert store.metrics(job_id)[-1] == Metric(step=2, values={"loss": 0.5}, at=2.0)
    with pytest.raises(Fenced):
        store.keep(job_id, 1, Kept(metrics=first))
    with pytest.raises(Fenced):
        store.rewind(job_id, 1, 0)


def test_curves_go_with_their_job(store: Store) -> None:
    job_id = running(store)
    store.finish(job_id, 1, State.SUCCEEDED, None, Kept(metrics=[Metric(step=1, values={"loss": 1.0})]))
    assert store.metrics(job_id)
    store.delete(job_id)
    assert store.metrics(job_id) == []


def test_pauses_and_workers_that_stopped_are_no_deaths(store: Store) -> None:
    job_id = running(store)
    for attempt in (1, 2, 3):
        store.pause(job_id, "ana")
        store.give_back(job_id, attempt, "the worker stopped")
        store.resume(job_id, "ana")
        assert store.claim("batch", "w", 30)
    assert store.declare_lost(job_id, 4, 2)
    assert store.job(job_id).state is State.QUEUED
    assert store.claim("batch", "w", 30)
    assert store.declare_lost(job_id, 5, 2)
    failed = store.job(job_id)
    assert failed.state is State.FAILED
    assert failed.error
    assert "2 times" in failed.error.message


def test_what_an_attempt_says_of_itself_is_kept_in_order_and_fenced(store: Store) -> None:
    job_id = running(store)
    store.add_event(job_id, 1, "saved", {"step": 20, "n_bytes": 9})
    store.give_back(job_id, 1, "the worker stopped")
    assert store.claim("batch", "w", 30)
    with pytest.raises(Fenced):
        store.add_event(job_id, 1, "saved", {"step": 40, "n_bytes": 9})
    store.add_event(job_id, 2, "went_on", {"step": 20})
    told = [(event.kind, event.attempt, event.data.get("step")) for event in store.events(job_id)]
    assert told == [("queued", 0, None), ("claimed", 1, None), ("saved", 1, 20), ("given_back", 1, None),
                    ("claimed", 2, None), ("went_on", 2, 20)]  # fmt: skip


def test_the_last_evaluations_are_read_alone(store: Store) -> None:
    job_id = running(store)
    logged = [Metric(step=n, sort=sort, values={"v": n}) for n in range(1, 6) for sort in ("train", "eval")]
    store.keep(job_id, 1, Kept(metrics=logged))
    assert [(one.sort, one.step) for one in store.evaluations(job_id, 2)] == [("eval", 4), ("eval", 5)]
