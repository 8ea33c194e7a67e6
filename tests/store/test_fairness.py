"""One card among many people, in simulated time on the real claim: the short form of `benchmarks/fairness.py`."""

from __future__ import annotations

import pytest

from benchmarks.fairness import Scene, measure, tasks_of
from benchmarks.simulated import Card, Task, jain
from core.store import Store

MINE, OTHER = "model 0", "model 1"


@pytest.mark.parametrize("scene", [Scene("1 model", 2, 1, 0.0, 4.0), Scene("2 models", 1, 2, 2.0, 4.0)], ids=str)
def test_nobody_waits_for_all_jobs_of_one_and_the_card_is_not_idle(store: Store, scene: Scene) -> None:
    found = measure(store, scene, tasks_of(scene, seed=1, n_many=40))
    assert found.utilisation >= 0.95
    assert found.longest_s < found.without_turns_s
    if scene.n_models == 1:  # with two, so few jobs tell more of who came while which model was there
        assert found.jain > 0.95
        assert found.longest_s == pytest.approx(found.ideal_longest_s)


def test_a_job_for_another_model_does_not_wait_for_sixty_that_were_there_before(store: Store) -> None:
    many = [Task("many", 0.0, 5.0, MINE) for _ in range(60)]
    card = Card(store, n_places=4, swap_s=2.0, resident_first_s=20.0)
    done = card.run([*many, Task("one", 1.0, 5.0, OTHER)])
    (one,) = [each for each in done if each.task.owner == "one"]
    assert one.waited_s <= 20.0 + 5.0 + 1.0  # the resident model's time, the longest run, a tick
    assert card.n_swaps == 3


def test_the_resident_model_is_not_swapped_at_every_turn(store: Store) -> None:
    tasks = [Task(owner, 0.0, 1.0, model) for _ in range(20) for owner, model in (("a", MINE), ("b", OTHER))]
    card = Card(store, n_places=1, swap_s=1.0, resident_first_s=10.0)
    card.run(tasks)
    assert card.n_swaps <= 6  # and not 40: nine jobs in the ten seconds of each


def test_jains_index_is_one_for_equals_and_small_for_one_who_has_all() -> None:
    assert jain([3.0, 3.0, 3.0]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
