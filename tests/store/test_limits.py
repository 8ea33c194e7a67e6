"""How many jobs one person may have, and how many of them run at once: on SQLite and PostgreSQL alike."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.errors import TooMany
from core.limits import Limits
from core.states import State
from core.store import Store
from core.store.claims import Kept
from core.store.jobs import NewJob
from core.store.pipelines import NO_QUEUE, Move
from tests.store.test_jobs import NEW, submit

TWO = Limits(most_of_owner=2)


def add(store: Store, limits: Limits = TWO, **changes: object) -> str:
    return store.submit(replace(NEW, **changes), limits)[0].id  # type: ignore[arg-type]


def end(store: Store) -> None:
    claim = store.claim("interactive", "w", 30)
    assert claim is not None
    store.finish(claim.job_id, claim.attempt, State.SUCCEEDED, {}, Kept())


@pytest.mark.parametrize(
    ("limits", "first", "refused", "taken", "sentence"),
    [
        (Limits(most_of_owner=1), {}, {}, {"owner": "ben"}, "You have 1 job that waits or runs, the most at once."),
        (Limits(most_of_source=1), {"source": "::1"}, {"source": "::1", "owner": "ben"}, {"source": "::2"},
         "1 job from your address waits or runs, the most at once."),
        (Limits(most_in_all=1), {}, {"owner": "ben", "source": "::2"}, None,
         "1 job waits or runs here, the most that are taken."),
    ],
    ids=["owner", "source", "all"],
)  # fmt: skip
def test_one_job_too_many_is_refused_in_a_sentence(
    store: Store,
    limits: Limits,
    first: dict[str, object],
    refused: dict[str, object],
    taken: dict[str, object] | None,
    sentence: str,
) -> None:
    add(store, limits, **first)
    with pytest.raises(TooMany) as said:
        add(store, limits, **refused)
    assert said.value.message == sentence
    assert said.value.hint
    if taken is not None:
        add(store, limits, **taken)


def test_what_is_refused_leaves_nothing_behind(store: Store) -> None:
    ids = {add(store), add(store)}
    with pytest.raises(TooMany, match="You have 2 jobs that wait or run"):
        add(store)
    assert set(store.waiting_ids("interactive", 10)) == ids


def test_a_job_that_has_ended_makes_room_for_another_and_one_that_is_paused_does_not(store: Store) -> None:
    add(store)
    store.pause(add(store), "ana")
    with pytest.raises(TooMany):
        add(store)
    end(store)
    add(store)


def test_a_double_click_at_the_limit_gives_the_job_that_is_there(store: Store) -> None:
    first = add(store, Limits(most_of_owner=1), key="k")
    assert add(store, Limits(most_of_owner=1), key="k") == first


def test_the_steps_of_a_pipeline_are_not_counted_but_the_pipeline_is(store: Store) -> None:
    one = Limits(most_of_owner=1)
    pipeline, _ = store.submit(replace(NEW, kind="pipeline", queue=NO_QUEUE), one)
    steps = tuple(
        NewJob("quick", "batch", "ana", {}, pipeline_id=pipeline.id, step=name, round=1) for name in ("a", "b", "c")
    )
    begun = store.move_pipeline(store.job(pipeline.id), Move(State.RUNNING, {}, begun=steps))
    assert begun is not None
    assert len(begun) == 3
    with pytest.raises(TooMany):
        add(store, one)
    add(store, Limits(most_of_owner=2))


@pytest.mark.parametrize("limits", [Limits(most_of_owner=5), Limits(most_of_source=5), Limits(most_in_all=5)])
def test_of_twenty_who_submit_at_once_just_so_many_get_in(store: Store, limits: Limits) -> None:
    everyone_ready = threading.Barrier(20)

    def try_to(_: int) -> bool:
        everyone_ready.wait()
        try:
            add(store, limits, source="::1")
        except TooMany:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(try_to, range(20))) == 5


def test_of_one_owner_no_more_jobs_run_than_may_and_another_is_next(store: Store) -> None:
    for owner in ("many", "many", "many", "one"):
        submit(store, owner=owner)
    taken = [store.claim("interactive", "w", 30, most_running=1) for _ in range(3)]
    assert [claim.owner if claim else None for claim in taken] == ["many", "one", None]
    assert taken[0] is not None
    store.finish(taken[0].job_id, 1, State.SUCCEEDED, {}, Kept())
    again = store.claim("interactive", "w", 30, most_running=1)
    assert again is not None
    assert again.owner == "many"


def test_what_runs_in_another_queue_is_not_counted(store: Store) -> None:
    submit(store)
    submit(store, queue="batch")
    assert store.claim("batch", "w", 30, most_running=1) is not None
    assert store.claim("interactive", "w", 30, most_running=1) is not None


def test_eight_workers_that_claim_at_once_begin_no_more_of_one_owner_than_may_run(store: Store) -> None:
    for _ in range(16):
        submit(store)
    everyone_ready = threading.Barrier(8)

    def take(n: int) -> int:
        everyone_ready.wait()
        return sum(store.claim("interactive", f"w{n}", 30, most_running=3) is not None for _ in range(2))

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(8))) == 3


def test_a_worker_that_is_drained_takes_nothing_until_it_is_let_in_again(store: Store) -> None:
    from tests.store.test_holdings import report

    for worker in ("w", "v"):
        report(store, worker)
    jobs = [submit(store) for _ in range(2)]
    assert store.request_drain("w", True)
    report(store, "w")  # what it reports of itself leaves the wish as it is
    assert store.claim("interactive", "w", 30) is None
    taken = store.claim("interactive", "v", 30)
    assert taken is not None
    assert taken.job_id == jobs[0]
    assert [(one.id, one.is_drain_requested) for one in store.workers()] == [("v", False), ("w", True)]
    store.request_drain("w", False)
    assert store.claim("interactive", "w", 30) is not None
    assert not store.request_drain("nobody", True)
