"""When a waiting job is expected to start: the queue played through, over plain values."""

from __future__ import annotations

import pytest

from core.expected import Occupied, Start, Took, Waiter, expected_starts, median_error_s

A, B = ("quick", "a"), ("quick", "b")
TEN, TWENTY = Took.of([10.0]), Took.of([20.0])


def waiter(id: str, owner: str = "ana", took: Took | None = TEN, **fields: object) -> Waiter:
    return Waiter(**{"id": id, "owner": owner, "sort": A, "took": took} | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("waiting", "occupied", "n_places", "most_running", "wanted"),
    [
        ([waiter("1")], [], 1, 0, {"1": 0}),
        ([waiter("1")], [Occupied("ben", A, 7)], 1, 0, {"1": 7}),
        ([waiter("1"), waiter("2")], [Occupied("ben", A, 7)], 1, 0, {"1": 7, "2": 17}),
        ([waiter("1"), waiter("2")], [Occupied("ben", A, 7)], 2, 0, {"1": 0, "2": 7}),
        # turns: the owner who was served longest ago goes first, and then alternately
        ([waiter("1", turn=5), waiter("2", turn=5), waiter("3", "ben", turn=1)], [], 1, 0, {"3": 0, "1": 10, "2": 20}),
        ([waiter("1"), waiter("2", priority=5)], [], 1, 0, {"2": 0, "1": 10}),
        # of one owner one at a time, though there is a place
        ([waiter("1"), waiter("2"), waiter("3", "ben")], [], 2, 1, {"1": 0, "3": 0, "2": 10}),
        ([waiter("1")], [Occupied("ana", A, 7)], 2, 1, {"1": 7}),
        # what was never measured ends nobody knows when, and what comes after it begins nobody knows when
        ([waiter("1", took=None), waiter("2")], [], 1, 0, {"1": 0, "2": None}),
        ([waiter("1")], [Occupied("ben", A, None)], 1, 0, {"1": None}),
        ([waiter("1"), waiter("2")], [Occupied("ben", A, None), Occupied("ben", A, 3)], 2, 0, {"1": 3, "2": 13}),
        # who waits for memory has it once all that run with another model have ended
        ([waiter("1", needs_others_memory=True)], [Occupied("ben", B, 7), Occupied("ben", B, 9)], 4, 0, {"1": 9}),
        ([waiter("1", needs_others_memory=True)], [], 4, 0, {"1": None}),
        # no place at all, and one that a drained worker keeps empty
        ([waiter("1")], [], 0, 0, {"1": None}),
        ([waiter("1")], [Occupied("ben", A, 3, is_given_back=False), Occupied("ben", A, 9)], 1, 0, {"1": 9}),
        ([], [Occupied("ben", A, 7)], 1, 0, {}),
    ],
)  # fmt: skip
def test_a_start_follows_from_what_is_before_it(
    waiting: list[Waiter], occupied: list[Occupied], n_places: int, most_running: int, wanted: dict[str, float | None]
) -> None:
    found = expected_starts(waiting, occupied, n_places, most_running)
    assert {one.id: one.in_s for one in found} == wanted
    assert [one.id for one in found] == list(wanted)


def test_what_is_estimated_says_from_how_many_runs_and_how_far_it_may_be_off() -> None:
    spread = Took.of([8.0, 10.0, 12.0, 14.0, 16.0])
    first, second = expected_starts(
        [waiter("1", took=spread), waiter("2", took=spread)], [Occupied("ben", B, 5.0, 3)], 1
    )
    assert first == Start("1", 5.0, 5.0, 5.0, n_runs=3)
    assert second == Start("2", 17.0, 15.0, 19.0, n_runs=8)


def test_the_same_work_is_counted_once_however_often_it_is_before_a_job() -> None:
    many = expected_starts([waiter(str(n), took=Took.of([1.0, 2.0])) for n in range(5)], [], 1)
    assert [one.n_runs for one in many] == [0, 2, 2, 2, 2]


def test_no_more_than_asked_for_are_played_through() -> None:
    assert len(expected_starts([waiter(f"{n:02}") for n in range(30)], [], 1, most=7)) == 7


def test_what_is_left_of_a_run_is_reckoned_from_those_that_took_longer() -> None:
    took = Took.of([10.0, 20.0, 30.0])
    assert took.left_s(0) == 20
    assert took.left_s(15) == 10
    assert took.left_s(30) is None
    assert took.quartiles_s() == (15, 20, 25)


def test_the_error_is_the_median_of_what_was_off_either_way() -> None:
    assert median_error_s([(10, 12), (10, 5), (3, 3)]) == 2
    assert median_error_s([]) is None
