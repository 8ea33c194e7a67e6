"""The cards as different people see them: who holds, who runs, who waits, why, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.access import Who
from core.errors import NotAllowed, NotFound
from core.overview import PRIVATE_MODEL, Overview, overview
from core.settings import Settings
from core.states import State
from core.store import Store
from core.store.claims import Kept
from core.store.jobs import NewJob
from core.store.workers import WorkerInfo
from core.tending import OnCards
from core.values import Progress, Visibility
from tests.store.test_holdings import holding

ROOT = Who("root", is_administrator=True)
ANA, BEN = Who("ana"), Who("ben")
SECRET = "secret/model"
NEW = NewJob(kind="quick", queue="interactive", owner="ana", spec={}, name="a poem", model="a/model", load_key="a")


class Tending(OnCards):
    """What the client does, without a broker."""

    def __init__(self, store: Store, who: Who, **settings: object) -> None:
        self.store, self.who = store, who
        self.settings = Settings(**settings)  # type: ignore[arg-type]


def see(store: Store, who: Who = ANA, **settings: object) -> Overview:
    return overview(store, Settings(**settings), who)[0]  # type: ignore[arg-type]


def report(store: Store, name: str = "w", queue: str = "interactive", slots: int = 1) -> None:
    store.report_worker(WorkerInfo(name, queue, "host", 1, "a card", "gpu", 16e9, 9e9, slots, "card", "here"), 60)


def add(store: Store, **changes: object) -> str:
    return store.submit(replace(NEW, **changes))[0].id  # type: ignore[arg-type]


def run(store: Store, worker: str = "w") -> str:
    claim = store.claim("interactive", worker, 600)
    assert claim is not None
    return claim.job_id


def measured(store: Store, took_s: float, **changes: object) -> None:
    """A job that has ended well, and took so long."""
    job = add(store, **changes)
    claim = store.claim(str(changes.get("queue", "interactive")), "earlier", 600)
    assert claim is not None
    assert claim.job_id == job
    store.finish(job, 1, State.SUCCEEDED, {}, Kept())
    from sqlalchemy import update

    from core.store.part import JOBS

    with store.database.write() as connection:
        ended = update(JOBS).where(JOBS.c.id == job)  # type: ignore[arg-type]
        connection.execute(ended.values(finished_at=JOBS.c.started_at + took_s))


def line(seen: Overview) -> list[tuple[str, str]]:
    return [(one.job.name or one.job.owner, one.reason) for one in seen.lines[0].waiting]


def test_what_runs_and_waits_is_told_in_its_order_with_the_reason(store: Store) -> None:
    report(store)
    add(store, name="first")
    first = run(store)
    add(store, name="second")
    add(store, name="third")
    add(store, name="hers", owner="ben")
    seen = see(store)
    (card,) = seen.cards
    assert [(one.job.name, one.worker) for one in card.running] == [("first", "w")]
    assert card.running[0].job.id == first
    assert line(seen) == [
        ("hers", "next, once a place is free"),
        ("second", "1 job before it"),
        ("third", "2 jobs before it"),
    ]
    assert (seen.lines[0].n_waiting, seen.lines[0].n_running, seen.lines[0].n_places) == (3, 1, 1)


def test_somebody_elses_private_job_shows_its_owner_and_its_bytes_alone(store: Store) -> None:
    report(store, slots=2)
    add(store, owner="ben", name="secret name", model=SECRET, load_key=SECRET, visibility=Visibility.PRIVATE)
    job = run(store)
    store.set_progress(job, 1, Progress(current=1, message="secret words"))
    add(store, owner="ben", name="secret too", model=SECRET, visibility=Visibility.PRIVATE)
    add(store, name="mine")
    store.report_holdings("w", [holding("w", f"key of {SECRET}", model=SECRET, n_bytes=7, users=(job,))])
    store.explain("interactive", "a", f"needs 2 GB, 1 GB free: waiting until {SECRET} is let go")
    seen = see(store, ANA)
    assert SECRET not in repr(replace_keys(seen))
    assert "secret" not in repr(replace_keys(seen))
    assert job not in repr(seen)
    (held,) = seen.cards[0].held
    assert (held.holding.model, held.holding.n_bytes, held.users[0].owner) == (PRIVATE_MODEL, 7, "ben")
    for who in (BEN, ROOT):
        (held,) = see(store, who).cards[0].held
        assert held.holding.model == SECRET
        assert held.users[0].name == "secret name"
    ours = Tending(store, ANA).holdings()
    assert [(one.model, one.users) for one in ours] == [(PRIVATE_MODEL, ())]


def replace_keys(seen: Overview) -> Overview:
    """Without the keys of holdings, which pages do not show either."""
    cards = (
        replace(card, held=tuple(replace(one, holding=replace(one.holding, key="")) for one in card.held))
        for card in seen.cards
    )
    return replace(seen, cards=tuple(cards))


def test_a_model_that_a_public_job_uses_too_is_no_secret(store: Store) -> None:
    report(store, slots=2)
    for owner, visibility in (("ben", Visibility.PRIVATE), ("cleo", Visibility.TEAM)):
        add(store, owner=owner, visibility=visibility)
    jobs = (run(store), run(store))
    store.report_holdings("w", [holding("w", "k", model="a/model", users=jobs)])
    (held,) = see(store).cards[0].held
    assert held.holding.model == "a/model"
    assert [(one.owner, one.is_private) for one in held.users] == [("ben", True), ("cleo", False)]


@pytest.mark.parametrize(
    ("who", "words"),
    [(ANA, "You have 1 job running, the most at once"), (BEN, "ana has 1 job running, the most at once")],
)
def test_who_has_as_many_jobs_running_as_may_is_told_so(store: Store, who: Who, words: str) -> None:
    report(store, slots=4)
    add(store, name="runs")
    run(store)
    add(store, name="waits")
    assert line(see(store, who, most_running=1)) == [("waits", words)]


def test_an_expected_start_comes_from_what_such_jobs_took(store: Store) -> None:
    report(store)
    for took_s in (90.0, 110.0, 100.0):
        measured(store, took_s)
    add(store)
    run(store)
    add(store, name="waits")
    (waits,) = see(store).lines[0].waiting
    assert waits.start.in_s == pytest.approx(100, abs=5)
    assert waits.start.n_runs == 3


def test_nothing_is_expected_where_nothing_was_measured(store: Store) -> None:
    report(store)
    measured(store, 100, load_key="another model")
    add(store)
    run(store)
    add(store)
    assert see(store).lines[0].waiting[0].start.in_s is None


def test_what_a_run_says_itself_is_better_than_what_others_took(store: Store) -> None:
    report(store)
    measured(store, 1000)
    add(store)
    store.set_progress(run(store), 1, Progress(current=1, total=2, eta_s=42))
    add(store)
    (waits,) = see(store).lines[0].waiting
    assert (waits.start.in_s, waits.start.n_runs) == (42, 0)


def test_the_error_of_what_was_said_is_kept_and_the_first_that_was_said_counts(store: Store) -> None:
    report(store)
    measured(store, 100)
    add(store)
    before = run(store)
    waits = add(store)
    client = Tending(store, ANA)
    client.overview()
    client.overview()
    assert client.overview().n_sayings == 0  # it has not started yet
    store.finish(before, 1, State.SUCCEEDED, {}, Kept())
    assert run(store) == waits
    claimed = store.events(waits)[-1]
    assert claimed.data["expected_s"] == pytest.approx(100, abs=5)
    assert 0 <= claimed.data["waited_s"] < 60
    seen = client.overview()
    assert seen.n_sayings == 1
    assert seen.median_error_s == pytest.approx(claimed.data["expected_s"] - claimed.data["waited_s"], abs=1)


def test_of_a_job_of_which_nothing_was_said_nothing_is_kept(store: Store) -> None:
    report(store)
    job = add(store)
    Tending(store, ANA).overview()
    run(store)
    assert set(store.events(job)[-1].data) == {"worker"}


def test_a_drained_worker_is_shown_and_what_waits_for_it_says_so(store: Store) -> None:
    report(store)
    add(store)
    assert [one.id for one in Tending(store, ROOT).drain("host")] == ["w"]
    seen = see(store)
    assert seen.cards[0].workers[0].is_drain_requested
    assert line(seen) == [("a poem", "every worker that takes interactive jobs is being drained")]
    assert seen.lines[0].waiting[0].start.in_s is None
    Tending(store, ROOT).drain("w", is_draining=False)
    assert line(see(store)) == [("a poem", "next")]


def test_only_an_administrator_decides_what_workers_hold_and_take(store: Store) -> None:
    report(store)
    store.report_holdings("w", [holding("w", "k", model="a/model")])
    acts: list[Callable[[Tending], object]] = [
        lambda client: client.drain("w"),
        lambda client: client.unload("a/model"),
        lambda client: client.pin("a/model"),
        lambda client: client.pin("a/model", is_pinned=False),
    ]
    for act in acts:
        with pytest.raises(NotAllowed, match="Only an administrator"):
            act(Tending(store, ANA))
        act(Tending(store, ROOT))
    with pytest.raises(NotFound, match="No worker"):
        Tending(store, ROOT).drain("nobody")


def test_without_a_worker_that_is_the_reason(store: Store) -> None:
    add(store)
    assert line(see(store)) == [("a poem", "no worker runs that takes interactive jobs")]


def test_a_long_queue_is_told_by_its_first_jobs_and_their_number(store: Store) -> None:
    report(store)
    for n in range(70):
        add(store, owner=f"owner {n % 2}")
    seen = see(store)
    assert len(seen.lines[0].waiting) == 50
    assert seen.lines[0].n_waiting == 70
    assert [one.job.owner for one in seen.lines[0].waiting[:4]] == ["owner 0", "owner 1", "owner 0", "owner 1"]
