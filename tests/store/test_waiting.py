"""Which waiting job a worker may take, by what is in its memory; and the words for those that wait."""

from __future__ import annotations

from core.store import Store
from core.store.waiting import HeldUp, Take, Terms
from tests.store.test_jobs import submit

PATIENCE_S = 20.0
MANY = 2**62


def take(store: Store, *takes: Take, patience_s: float = PATIENCE_S, before: HeldUp | None = None) -> str:
    claim = store.claim("interactive", "w", 30, terms=Terms(takes, patience_s, before))
    return claim.job_id if claim else ""


def test_only_what_is_named_is_taken(store: Store) -> None:
    submit(store, load_key="a")
    wanted = submit(store, load_key="b")
    assert take(store, Take("b", MANY, is_ready=True)) == wanted
    assert take(store, Take("b", MANY, is_ready=True)) == ""
    assert take(store) == ""


def test_a_job_with_more_tokens_than_fit_is_passed_over(store: Store) -> None:
    submit(store, load_key="a", work_tokens=500)
    small = submit(store, load_key="a", work_tokens=100)
    assert take(store, Take("a", 100, is_ready=True)) == small
    assert take(store, Take("a", 100, is_ready=True)) == ""


def test_what_can_never_fit_is_taken_to_be_told_so(store: Store) -> None:
    submit(store, load_key="a", work_tokens=500)
    never = submit(store, load_key="a", work_tokens=9000)
    assert take(store, Take("a", 100, is_ready=True, above_tokens=8000)) == never


def test_jobs_for_the_resident_model_go_first(store: Store) -> None:
    other = submit(store, load_key="other")
    resident = [submit(store, load_key="resident") for _ in range(2)]
    takes = (Take("other", MANY, is_ready=False), Take("resident", MANY, is_ready=True))
    assert [take(store, *takes) for _ in range(3)] == [*resident, other]


def test_but_not_before_one_that_has_waited_long_enough(store: Store) -> None:
    other = submit(store, load_key="other")
    submit(store, load_key="resident")
    takes = (Take("other", MANY, is_ready=False), Take("resident", MANY, is_ready=True))
    assert take(store, *takes, patience_s=0) == other


def test_a_higher_priority_goes_before_a_resident_model(store: Store) -> None:
    submit(store, load_key="resident")
    urgent = submit(store, load_key="other", priority=5)
    takes = (Take("other", MANY, is_ready=False), Take("resident", MANY, is_ready=True))
    assert take(store, *takes) == urgent


def test_owners_take_turns_among_what_is_resident(store: Store) -> None:
    mine = [submit(store, load_key="resident", owner="me") for _ in range(2)]
    yours = submit(store, load_key="resident", owner="you")
    ready = Take("resident", MANY, is_ready=True)
    assert [take(store, ready) for _ in range(3)] == [mine[0], yours, mine[1]]


def test_behind_a_job_that_waits_too_long_only_a_higher_priority_begins(store: Store) -> None:
    submit(store, load_key="large")
    submit(store, load_key="small")
    urgent = submit(store, load_key="small", priority=1)
    ready = Take("small", MANY, is_ready=True)
    assert take(store, ready, before=HeldUp("large", -1)) == urgent
    assert take(store, ready, before=HeldUp("large", -1)) == ""


def test_who_submitted_many_jobs_first_does_not_keep_the_memory_until_they_have_run(store: Store) -> None:
    for _ in range(5):
        submit(store, load_key="small", owner="many")
    submit(store, load_key="large", owner="one")
    ready = Take("small", MANY, is_ready=True)
    assert take(store, ready) != ""  # nobody has waited too long yet
    assert take(store, ready, before=HeldUp("large", -1)) == ""


def test_of_what_is_held_up_only_jobs_too_large_for_what_is_free_hold_back_others(store: Store) -> None:
    small = submit(store, load_key="a", work_tokens=5)
    submit(store, load_key="a", work_tokens=500)
    after = submit(store, load_key="a", work_tokens=5)
    fits = Take("a", 100, is_ready=True)
    assert take(store, fits, before=HeldUp("a", 100)) == small
    assert take(store, fits, before=HeldUp("a", 100)) == ""
    assert take(store, fits) == after


def test_once_nothing_is_held_up_any_more_nobody_is_held_back(store: Store) -> None:
    small = submit(store, load_key="small")
    assert take(store, Take("small", MANY, is_ready=True), before=HeldUp("large", -1)) == small


def test_what_waits_is_counted_by_load_key_the_oldest_first(store: Store) -> None:
    first = submit(store, load_key="a", work_tokens=5)
    submit(store, load_key="b")
    submit(store, load_key="a", work_tokens=50, priority=2)
    found = store.waiting_keys("interactive")
    assert [(one.load_key, one.n_jobs, one.priority, one.most_tokens) for one in found] == [
        ("a", 2, 2, 50),
        ("b", 1, 0, 0),
    ]
    assert found[0].oldest == first
    assert 0 <= found[0].waits_s < 60


def test_a_reason_is_written_once_and_goes_with_the_claim(store: Store) -> None:
    small, large = submit(store, load_key="a", work_tokens=5), submit(store, load_key="a", work_tokens=500)
    assert store.explain("interactive", "a", "needs more", above_tokens=100) == [large]
    assert store.explain("interactive", "a", "needs more", above_tokens=100) == []
    assert store.job(large).waiting_reason == "needs more"
    assert store.job(small).waiting_reason == ""
    assert take(store, Take("a", 1000, is_ready=True)) == small
    assert take(store, Take("a", 1000, is_ready=True)) == large
    assert store.job(large).waiting_reason == ""


def test_a_thousand_models_in_the_queue_stop_nobody(store: Store) -> None:
    for n in range(600):
        submit(store, load_key=f"invented {n}")
    plain = submit(store, load_key="")
    found = store.waiting_keys("interactive")
    assert len(found) == 100
    assert found[0].load_key == ""
    takes = [Take(one.load_key, MANY, is_ready=True) for one in found]
    taken = {take(store, *takes) for _ in range(101)}
    assert plain in taken
    assert "" not in taken - {plain} or len(taken) == 101


def test_behind_a_job_that_waits_too_long_what_needs_no_model_still_begins(store: Store) -> None:
    submit(store, load_key="large")
    plain = submit(store, load_key="")
    assert take(store, Take("", MANY, is_ready=True), before=HeldUp("large", -1)) == plain


def test_of_those_that_were_told_why_they_wait_one_message_is_enough(store: Store) -> None:
    told = [submit(store, load_key="a") for _ in range(3)]
    other = submit(store, load_key="b")
    store.explain("interactive", "a", "needs more")
    assert store.waiting_ids("interactive", 10) == [other, told[0]]
    assert [one.has_reason for one in store.waiting_keys("interactive")] == [True, False]
    assert store.explain("interactive", "a", "") == told


def test_jobs_of_an_owner_of_whom_enough_run_are_no_reason_to_wait(store: Store) -> None:
    for key in ("a", "b"):
        submit(store, load_key=key, owner="many")
    submit(store, load_key="c", owner="one")
    assert store.claim("interactive", "w", 30, most_running=1) is not None
    assert [one.load_key for one in store.waiting_keys("interactive", most_running=1)] == ["c"]
    assert [one.load_key for one in store.waiting_keys("interactive")] == ["b", "c"]
