"""Who may begin, who waits and why: the rule alone, over plain values."""

from __future__ import annotations

from typing import Any

from core.memory.needs import UNBOUNDED, Needs
from core.store.holdings import Holding
from core.store.waiting import HeldUp, Waiting
from worker.admission import Memory, Plan, Wanted, plan

PATIENCE_S = 20.0


def needs(load_bytes: int, *, token_bytes: int = 10, request_bytes: int = 100) -> Needs:
    return Needs(1, load_bytes, 0, load_bytes, request_bytes, token_bytes)


def wanted(name: str, load_bytes: int, **others: int) -> Wanted:
    alternatives = tuple((precision, needs(n_bytes)) for precision, n_bytes in others.items())
    return Wanted(f"key of {name}", name, "bfloat16", needs(load_bytes), lambda: alternatives)


def waits(name: str, *, tokens: int = 10, waits_s: float = 0.0, oldest: str = "", priority: int = 0) -> Waiting:
    return Waiting(name, 1, oldest or f"job of {name}", waits_s, priority, tokens)


def holding(name: str, n_bytes: int, *users: str, worker: str = "own", **fields: Any) -> Holding:
    return Holding(
        worker=worker,
        key=f"key of {name}",
        card="card",
        model=name,
        revision=None,
        precision="bfloat16",
        attention="sdpa",
        n_bytes=n_bytes,
        is_loading=fields.pop("is_loading", False),
        users=users,
        used_at=fields.pop("used_at", 0.0),
        **fields,
    )


def decide(waiting: list[Waiting], *models: Wanted, **memory: Any) -> Plan:
    return plan(waiting, {model.model: model for model in models}, Memory(**memory), PATIENCE_S)


def taken(made: Plan) -> dict[str, int]:
    return {take.load_key: take.most_tokens for take in made.takes if take.most_tokens >= 0}


def test_a_model_that_fits_is_taken_with_as_many_tokens_as_fit_beside_it() -> None:
    made = decide([waits("a")], wanted("a", 1000), budget_bytes=3000, free_bytes=2000)
    assert taken(made) == {"a": 90}
    assert made.takes[0].is_ready
    assert made.cases["a"].let_go(10) == []
    assert not made.waits


def test_a_job_without_a_model_is_always_taken() -> None:
    made = decide([Waiting("", 1, "job", 0.0, 0, 0)], budget_bytes=0, free_bytes=0)
    assert taken(made) == {"": UNBOUNDED}


def test_the_longest_idle_models_go_first_and_no_more_of_them_than_it_takes() -> None:
    own = (
        holding("old", 500, used_at=1.0),
        holding("older still", 500, used_at=0.5),
        holding("new", 500, used_at=9.0),
    )
    made = decide([waits("a")], wanted("a", 1000), budget_bytes=5000, free_bytes=300, own=own)
    assert made.cases["a"].let_go(10) == ["key of older still", "key of old"]
    assert not made.takes[0].is_ready


def test_what_is_pinned_or_in_use_stays() -> None:
    own = (holding("pinned", 900, is_pinned=True), holding("busy", 900, "job 1"), holding("idle", 900))
    made = decide([waits("a")], wanted("a", 700), budget_bytes=5000, free_bytes=0, own=own)
    assert made.cases["a"].let_go(10) == ["key of idle"]


def test_a_job_for_a_resident_model_needs_its_own_memory_alone() -> None:
    made = decide(
        [waits("a", tokens=40)],
        wanted("a", 1000),
        budget_bytes=2000,
        free_bytes=600,
        own=(holding("a", 1000, "job 1"),),
    )
    assert taken(made) == {"a": 50}
    assert made.takes[0].is_ready


def test_who_must_wait_is_told_for_whom_and_for_how_much() -> None:
    made = decide(
        [waits("a")], wanted("a", 13_900_000_000), budget_bytes=20 * 10**9, free_bytes=9_200_000_000,
        own=(holding("b", 10 * 10**9, "01M86K0CQKZSCFM8J8JXCDEF41"),),
    )  # fmt: skip
    assert taken(made) == {}
    assert made.waits == [("a", -1, "needs 13.9 GB, 9.2 GB free: waiting for job CDEF41")]


def test_an_idle_model_of_another_process_is_asked_to_go() -> None:
    other = holding("b", 900, worker="another")
    made = decide([waits("a")], wanted("a", 1000), budget_bytes=2000, free_bytes=500, others=(other,))
    assert made.ask == [other]
    assert made.waits[0][2].endswith("waiting until b is let go")


def test_what_can_never_fit_is_taken_at_once_to_be_told_what_would() -> None:
    made = decide([waits("a")], wanted("a", 5000, nf4=1500), budget_bytes=2000, free_bytes=2000)
    assert made.takes[0].above_tokens < 10
    never = made.why_never("a", 10)
    assert never is not None
    assert never.code == "out_of_memory"
    assert "needs 5.20 kB with 10 tokens, and this device has 2.00 kB" in never.message
    assert never.hint == "nf4 would need 1.70 kB."


def test_a_context_that_can_never_fit_says_how_many_tokens_would() -> None:
    made = decide([waits("a", tokens=500)], wanted("a", 1000), budget_bytes=2000, free_bytes=2000)
    assert (take := made.takes[0]).most_tokens == 90
    assert take.above_tokens == 90
    never = made.why_never("a", 500)
    assert never is not None
    assert "at most 90 tokens fit" in never.hint
    assert made.why_never("a", 90) is None


def test_a_model_that_would_fit_on_another_workers_card_is_left_for_it() -> None:
    made = decide(
        [waits("a")], wanted("a", 5000), budget_bytes=2000, free_bytes=2000, largest_elsewhere_bytes=10_000
    )  # fmt: skip
    assert made.takes[0].most_tokens < 0
    assert made.takes[0].above_tokens == 490


def test_a_job_that_waits_too_long_for_memory_in_use_holds_back_those_after_it() -> None:
    own = (holding("b", 900, "job 1"),)
    waiting = [waits("a", waits_s=PATIENCE_S + 1, oldest="01A"), waits("b", oldest="01B")]
    made = decide(waiting, wanted("a", 1500), wanted("b", 900), budget_bytes=2000, free_bytes=1100, own=own)
    assert made.before == HeldUp("a", above_tokens=-1)


def test_a_job_that_has_just_come_holds_nobody_back() -> None:
    own = (holding("b", 900, "job 1"),)
    waiting = [waits("a", waits_s=1, oldest="01A"), waits("b", oldest="01B")]
    made = decide(waiting, wanted("a", 1500), wanted("b", 900), budget_bytes=2000, free_bytes=1100, own=own)
    assert made.before is None
    assert "b" in taken(made)


def test_a_model_that_another_worker_has_is_not_taken_here() -> None:
    made = plan([waits("a")], {}, Memory(1000, 1000), PATIENCE_S, elsewhere=frozenset({"a"}))
    assert made.takes == []


def test_a_model_that_is_on_its_way_in_is_waited_for_by_name() -> None:
    loading = holding("b", 900, "preload", is_loading=True)
    made = decide([waits("a")], wanted("a", 1000), budget_bytes=2000, free_bytes=500, own=(loading,))
    assert made.waits[0][2].endswith("waiting until b is loaded")


def test_who_was_asked_to_go_is_not_asked_again() -> None:
    other = holding("b", 900, worker="another", is_release_requested=True)
    made = decide([waits("a")], wanted("a", 1000), budget_bytes=2000, free_bytes=500, others=(other,))
    assert made.ask == []


def test_a_job_that_no_running_one_will_make_room_for_holds_nobody_back() -> None:
    own = (holding("b", 900, is_pinned=True),)
    waiting = [waits("a", waits_s=PATIENCE_S + 1, oldest="01A"), waits("b", oldest="01B")]
    made = decide(waiting, wanted("a", 1500), wanted("b", 900), budget_bytes=2000, free_bytes=1100, own=own)
    assert made.before is None
    assert "b" in taken(made)


def test_what_loading_takes_for_a_moment_is_not_reckoned_to_the_work() -> None:
    transient = Needs(1, 1000, 0, 1800, 100, 10)
    made = decide([waits("a", tokens=80)], Wanted("k", "a", "nf4", transient), budget_bytes=2000, free_bytes=2000)
    assert taken(made) == {"a": 90}
    assert made.why_never("a", 80) is None


def test_a_job_never_keeps_more_than_the_models_context() -> None:
    short = Needs(1, 1000, 0, 1000, 100, 10, context=50)
    made = decide([waits("a", tokens=5000)], Wanted("k", "a", "nf4", short), budget_bytes=2000, free_bytes=2000)
    assert taken(made) == {"a": UNBOUNDED}


def test_no_more_jobs_wait_for_a_load_than_leave_threads_for_what_is_there() -> None:
    loading = holding("a", 900, "job 1", "job 2", "job 3", is_loading=True)
    made = decide([waits("a")], wanted("a", 900), budget_bytes=2000, free_bytes=1000, own=(loading,), most_waiting=3)
    assert made.takes == []
    assert made.waits == [("a", -1, "waiting until a is loaded")]


def test_of_two_jobs_for_a_larger_card_one_that_fits_nowhere_is_told_so_and_the_other_left() -> None:
    made = decide(
        [waits("a", tokens=900)], wanted("a", 5000), budget_bytes=2000, free_bytes=2000, largest_elsewhere_bytes=6000
    )
    (take,) = made.takes
    assert (take.most_tokens, take.above_tokens) == (-1, 90)
