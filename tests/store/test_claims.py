"""Who gets which job, and that nobody else can write to it: on SQLite and PostgreSQL alike."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Fenced
from core.states import State
from core.store import Store
from core.store.claims import Kept
from core.store.queries import in_turns
from core.values import ArtifactKind, ArtifactRef, Progress, Trouble
from tests.store.test_jobs import submit


def claim(store: Store, worker: str = "w", lease_s: float = 30) -> str:
    taken = store.claim("interactive", worker, lease_s)
    assert taken is not None
    return taken.job_id


def test_the_oldest_job_is_first(store: Store) -> None:
    ids = [submit(store) for _ in range(3)]
    assert [claim(store) for _ in ids] == ids
    assert store.claim("interactive", "w", 30) is None


def test_a_higher_priority_goes_first(store: Store) -> None:
    low, high = submit(store), submit(store, priority=5)
    assert [claim(store), claim(store)] == [high, low]


def test_an_owner_with_one_job_is_next_after_one_with_two_hundred(store: Store) -> None:
    for _ in range(200):
        submit(store, owner="many")
    claim(store)
    single = submit(store, owner="single")
    assert store.place(single).ahead == 0  # type: ignore[union-attr]
    assert claim(store) == single


def test_a_queue_gives_only_its_own_jobs(store: Store) -> None:
    submit(store, queue="batch")
    assert store.claim("interactive", "w", 30) is None


@pytest.mark.parametrize("n_jobs", [1000])
def test_of_a_thousand_jobs_and_eight_claimers_each_is_claimed_exactly_once(store: Store, n_jobs: int) -> None:
    ids = {submit(store, owner=f"owner{n % 3}") for n in range(n_jobs)}
    claimed: list[tuple[str, int]] = []
    everyone_ready = threading.Barrier(8)

    def take_all(worker: str) -> None:
        everyone_ready.wait()
        while taken := store.claim("interactive", worker, 30):
            claimed.append((taken.job_id, taken.attempt))

    threads = [threading.Thread(target=take_all, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while taken := store.claim("interactive", "last", 30):  # on PostgreSQL a locked row is passed over, not awaited
        claimed.append((taken.job_id, taken.attempt))
    assert Counter(claimed) == Counter((job_id, 1) for job_id in ids)


def test_a_lost_job_goes_back_and_its_old_attempt_can_write_nothing(store: Store) -> None:
    job_id = submit(store)
    claim(store, "first", lease_s=-1)
    assert store.requeue_lost(max_attempts=3) == [job_id]
    again = store.claim("interactive", "second", 30)
    assert again is not None
    assert again.attempt == 2
    writes: list[Callable[[], object]] = [
        lambda: store.set_progress(job_id, 1, Progress(current=1)),
        lambda: store.keep(job_id, 1, Kept()),
        lambda: store.finish(job_id, 1, State.SUCCEEDED, {}, Kept()),
        lambda: store.fail(job_id, 1, Trouble(code="x", message="y"), Kept()),
        lambda: store.give_back(job_id, 1, "z"),
        lambda: store.add_artifact(job_id, 1, ArtifactRef(id="a" * 26, kind=ArtifactKind.REPORT, name="r", n_bytes=0)),
    ]
    for write in writes:
        with pytest.raises(Fenced):
            write()
    assert not store.pulse([(job_id, 1)])[job_id].is_mine
    assert store.pulse([(job_id, 2)])[job_id].is_mine
    assert [attempt.outcome for attempt in store.attempts(job_id)] == ["lost", None]


def test_a_lease_that_is_renewed_is_not_lost(store: Store) -> None:
    job_id = submit(store)
    claim(store, lease_s=-1)
    store.renew([(job_id, 1)], 30)
    assert store.requeue_lost(max_attempts=3) == []


def test_a_job_whose_workers_die_again_and_again_fails(store: Store) -> None:
    job_id = submit(store)
    for _ in range(2):
        claim(store, lease_s=-1)
        store.requeue_lost(max_attempts=2)
    job = store.job(job_id)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error.code == "worker_lost"


def test_a_lost_job_that_was_cancelled_does_not_run_again(store: Store) -> None:
    job_id = submit(store)
    claim(store, lease_s=-1)
    store.cancel(job_id, "ana")
    store.requeue_lost(max_attempts=3)
    assert store.job(job_id).state is State.CANCELLED


def test_a_job_given_back_is_claimed_again_with_the_next_attempt(store: Store) -> None:
    job_id = submit(store)
    claim(store)
    assert store.give_back(job_id, 1, "the worker stopped") is State.QUEUED
    again = store.claim("interactive", "w2", 30)
    assert again is not None
    assert (again.job_id, again.attempt) == (job_id, 2)
    assert [event.kind for event in store.events(job_id)] == ["queued", "claimed", "given_back", "claimed"]


def test_a_job_given_back_after_a_cancel_is_cancelled(store: Store) -> None:
    job_id = submit(store)
    claim(store)
    store.cancel(job_id, "ana")
    assert store.give_back(job_id, 1, "the worker stopped") is State.CANCELLED


def test_what_an_earlier_attempt_measured_is_not_mixed_with_the_last(store: Store) -> None:
    job_id = submit(store)
    claim(store)
    store.give_back(job_id, 1, "test")
    claim(store)
    store.finish(job_id, 2, State.SUCCEEDED, {}, Kept())
    assert store.job(job_id).measurements == ()


@given(
    jobs=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=12),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_place_that_is_shown_is_the_order_in_which_jobs_are_claimed(
    store: Store, jobs: list[tuple[str, int]]
) -> None:
    while store.claim("interactive", "before", 30):
        pass
    ids = [submit(store, owner=owner, priority=priority) for owner, priority in jobs]
    places = {job_id: store.place(job_id).ahead for job_id in ids}  # type: ignore[union-attr]
    assert [claim(store) for _ in ids] == sorted(ids, key=places.__getitem__)


def test_turns_go_round_between_owners() -> None:
    rows = [("1", "a", 0, 0), ("2", "a", 0, 0), ("3", "a", 0, 0), ("4", "b", 0, 0), ("5", "b", 0, 0)]
    assert in_turns(rows) == ["1", "4", "2", "5", "3"]


def test_a_job_that_does_not_wait_has_no_place(store: Store) -> None:
    job_id = submit(store)
    claim(store)
    assert store.place(job_id) is None
