"""How a pipeline moves on, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.access import Who
from core.errors import BadInput, IllegalMove
from core.states import State
from core.values import ArtifactKind, ArtifactRef
from tests.pipeline.hands import (
    ANA,
    CANCELLED,
    CHAIN,
    DONE,
    FAILED,
    HELD,
    QUEUED,
    RUNNING,
    WAITING,
    Hands,
    step,
)


def test_a_pipeline_runs_from_its_submission_on_and_holds_no_worker(hands: Hands) -> None:
    pipeline = hands.job(hands.submit(*CHAIN))
    assert (pipeline.state, pipeline.worker, pipeline.queue) == (State.RUNNING, None, "")
    assert pipeline.started_at is not None
    assert hands.states(pipeline.id) == {"a": QUEUED, "b": WAITING, "c": WAITING}
    assert hands.store.requeue_lost(3) == []
    assert [event.kind for event in hands.store.events(pipeline.id)] == ["began"]


def test_each_step_is_submitted_once_what_it_needs_is_there(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    first = hands.claim()
    assert hands.states(pipeline) == {"a": RUNNING, "b": WAITING, "c": WAITING}
    artifact = hands.succeed(first)
    second = hands.claim()
    assert second.spec["source"] == artifact
    hands.succeed(second)
    assert hands.work() == ["c"]
    done = hands.job(pipeline)
    assert (done.state, done.finished_at is not None) == (State.SUCCEEDED, True)
    assert hands.report(pipeline).text == "made c"
    assert len(hands.rung) == 3


def test_steps_that_need_nothing_of_each_other_wait_in_the_queue_together(hands: Hands) -> None:
    pipeline = hands.submit(step("a"), step("b"), step("c", sources=["@a", "model:@b,label=x*0.5"]))
    assert hands.waiting() == ["a", "b"]
    made = [hands.succeed(hands.claim()) for _ in range(2)]
    assert hands.claim().spec["sources"] == [made[0], f"model:{made[1]},label=x*0.5"]
    assert hands.states(pipeline) == {"a": DONE, "b": DONE, "c": RUNNING}


def test_fifty_who_advance_it_at_once_submit_each_step_once(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN, step("d", source="@a"), advance=False)
    with ThreadPoolExecutor(16) as threads:
        for _ in range(4):
            list(threads.map(lambda _: hands.pipelining.advance(pipeline), range(50)))
            while (claim := hands.store.claim("batch", "w", 30)) is not None:
                hands.succeed(claim, advance=False)
    assert hands.job(pipeline).state is State.SUCCEEDED
    assert len(hands.rung) == len(set(hands.rung)) == 4


def test_what_was_lost_between_two_steps_is_found_by_the_sweep(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN, advance=False)
    assert hands.store.stale_pipelines() == [pipeline]
    hands.pipelining.advance_stale()
    assert hands.store.stale_pipelines() == []
    hands.succeed(hands.claim(), advance=False)
    assert hands.store.stale_pipelines() == [pipeline]
    hands.pipelining.advance_stale()
    assert hands.waiting() == ["b"]


def test_a_step_that_fails_holds_the_pipeline_until_it_is_run_again_with_other_values(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.succeed(hands.claim())
    hands.fail(hands.claim())
    held = hands.job(pipeline)
    assert held.state is State.HELD
    assert held.error is not None
    assert (held.error.code, held.error.message) == ("bug", "b: It broke.")
    assert hands.states(pipeline) == {"a": DONE, "b": FAILED, "c": WAITING}
    assert hands.waiting() == []
    hands.pipelining.resume(pipeline, "ana", ANA, {"b.text": "better"})
    assert hands.job(pipeline).error is None
    assert hands.work() == ["better", "c"]
    assert hands.job(pipeline).state is State.SUCCEEDED
    assert [event.kind for event in hands.store.events(pipeline)] == ["began", "held", "resumed", "succeeded"]


def test_what_has_succeeded_cannot_be_changed_nor_can_what_is_not_there(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.succeed(hands.claim())
    hands.fail(hands.claim())
    with pytest.raises(BadInput, match="a is succeeded") as refused:
        hands.pipelining.resume(pipeline, "ana", ANA, {"a.text": "x"})
    assert "restart" in refused.value.hint
    with pytest.raises(BadInput, match="no field of a step"):
        hands.pipelining.resume(pipeline, "ana", ANA, {"z.text": "x"})
    with pytest.raises(BadInput, match="b: There is no field wrong"):
        hands.pipelining.resume(pipeline, "ana", ANA, {"b.wrong": 1})
    assert hands.job(pipeline).state is State.HELD


def test_a_step_that_is_cancelled_holds_the_pipeline_too_and_goes_on_from_its_checkpoint(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    claim = hands.claim()
    hands.store.cancel(claim.job_id, "ana")
    hands.store.add_artifact(
        claim.job_id, claim.attempt, ArtifactRef(id="C", kind=ArtifactKind.CHECKPOINT, name="c", n_bytes=1)
    )
    hands.stop(claim)
    assert hands.job(pipeline).state is State.HELD
    assert hands.states(pipeline)["a"] == CANCELLED
    hands.pipelining.resume(pipeline, "ana", ANA)
    again = hands.claim()
    assert (again.spec["resume_from"], again.spec["text"]) == ("C", "a")
    hands.succeed(again)
    assert hands.work() == ["b", "c"]


def test_a_pipeline_that_is_cancelled_ends_when_its_steps_have(hands: Hands) -> None:
    pipeline = hands.submit(step("a"), step("b"), step("c", source="@b"))
    claim = hands.claim()
    hands.pipelining.cancel(pipeline, "ana")
    asked = hands.job(pipeline)
    assert (asked.state, asked.is_cancel_requested) == (State.RUNNING, True)
    assert hands.states(pipeline) == {"a": RUNNING, "b": CANCELLED, "c": WAITING}
    assert hands.store.pulse([(claim.job_id, claim.attempt)])[claim.job_id].is_cancel_requested
    hands.stop(claim)
    assert hands.job(pipeline).state is State.CANCELLED
    assert hands.report(pipeline).steps[0].job_id == claim.job_id
    with pytest.raises(IllegalMove, match="already ended"):
        hands.pipelining.cancel(pipeline, "ana")


def test_a_held_pipeline_is_cancelled_at_once(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.fail(hands.claim())
    hands.pipelining.cancel(pipeline, "ana")
    assert hands.job(pipeline).state is State.CANCELLED
    assert hands.waiting() == []


def test_a_pause_holds_what_waits_and_what_can_go_on_later(hands: Hands) -> None:
    pipeline = hands.submit(step("a"), step("b"), step("c", source="@a"))
    claim = hands.claim()
    hands.pipelining.pause(pipeline, "ana")
    assert hands.job(pipeline).state is State.HELD
    assert hands.store.pulse([(claim.job_id, claim.attempt)])[claim.job_id].is_pause_requested
    hands.store.give_back(claim.job_id, claim.attempt, "paused")
    hands.pipelining.advance(pipeline)
    assert hands.states(pipeline) == {"a": HELD, "b": HELD, "c": WAITING}
    assert hands.store.claim("batch", "w", 30) is None
    hands.pipelining.resume(pipeline, "ana", ANA)
    assert hands.work() == ["a", "b", "c"]
    assert hands.job(pipeline).state is State.SUCCEEDED


def test_a_paused_pipeline_begins_nothing_when_a_step_ends(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    claim = hands.claim()
    hands.pipelining.pause(pipeline, "ana")
    hands.succeed(claim)
    assert hands.states(pipeline) == {"a": DONE, "b": WAITING, "c": WAITING}
    assert hands.waiting() == []
    hands.pipelining.resume(pipeline, "ana", ANA)
    assert hands.waiting() == ["b"]
    with pytest.raises(IllegalMove, match="only a paused"):
        hands.pipelining.resume(pipeline, "ana", ANA)


def test_a_step_that_is_paused_by_hand_is_waited_for_and_said(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.store.pause(hands.store.waiting_ids("batch", 1)[0], "ana")
    hands.pipelining.advance(pipeline)
    told = hands.job(pipeline)
    assert told.state is State.RUNNING
    assert told.progress is not None
    assert told.progress.message == "a is paused"
    hands.pipelining.resume(pipeline, "ana", ANA)
    assert hands.waiting() == ["a"]


def test_what_was_done_before_is_taken_over_and_what_depends_on_a_change_is_not(hands: Hands) -> None:
    first = hands.submit(*CHAIN)
    assert hands.work() == ["a", "b", "c"]
    again = hands.submit(*CHAIN[:2], step("c", source="@b", seconds=1))
    assert hands.states(again) == {"a": DONE, "b": DONE, "c": QUEUED}
    steps = hands.report(again).steps
    assert [one.is_reused for one in steps] == [True, True, False]
    assert steps[0].job_id == hands.report(first).steps[0].job_id
    assert hands.work() == ["c"]
    changed = hands.submit(step("a"), step("b", source="@a", seconds=2), CHAIN[2])
    assert hands.states(changed) == {"a": DONE, "b": QUEUED, "c": WAITING}


def test_a_whole_pipeline_that_was_done_before_ends_at_once(hands: Hands) -> None:
    hands.submit(*CHAIN)
    hands.work()
    assert hands.job(hands.submit(*CHAIN)).state is State.SUCCEEDED


def test_from_a_step_on_all_that_depends_on_it_is_done_anew(hands: Hands) -> None:
    hands.submit(*CHAIN)
    hands.work()
    fresh = hands.submit(*CHAIN, fresh_from="b")
    assert hands.states(fresh) == {"a": DONE, "b": QUEUED, "c": WAITING}
    assert hands.work() == ["b", "c"]


def test_what_another_person_did_is_not_taken_over(hands: Hands) -> None:
    hands.submit(*CHAIN)
    hands.work()
    assert hands.states(hands.submit(*CHAIN, who=Who("ben")))["a"] == QUEUED


def test_a_step_whose_job_was_deleted_is_done_again_where_it_is_still_needed(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.succeed(hands.claim())
    hands.fail(hands.claim())
    hands.store.delete(hands.report(pipeline).steps[0].job_id)
    hands.pipelining.resume(pipeline, "ana", ANA)
    assert hands.work() == ["a", "b", "c"]


def test_a_queued_step_that_is_deleted_holds_its_pipeline(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.store.delete(hands.store.waiting_ids("batch", 1)[0])
    hands.pipelining.advance_stale()
    held = hands.job(pipeline)
    assert held.state is State.HELD
    assert held.error is not None
    assert held.error.message == "a: its job was deleted."
    hands.pipelining.resume(pipeline, "ana", ANA)
    assert hands.work() == ["a", "b", "c"]


def test_a_deleted_pipeline_leaves_its_steps_as_jobs(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.work()
    job_id = hands.report(pipeline).steps[0].job_id
    hands.store.delete(pipeline)
    assert hands.store.job(job_id).pipeline_id is None
    assert hands.states(hands.submit(*CHAIN))["a"] == DONE


def test_a_step_that_made_nothing_to_hand_on_holds_the_next(hands: Hands) -> None:
    pipeline = hands.submit(*CHAIN)
    hands.succeed(hands.claim(), kind=ArtifactKind.REPORT)
    held = hands.job(pipeline)
    assert held.state is State.HELD
    assert held.error is not None
    assert "b: a made no model" in held.error.message
    assert hands.states(pipeline) == {"a": DONE, "b": FAILED, "c": WAITING}
