"""One card among many people: twenty owners, one with 500 jobs and 19 with few, on the real claim in simulated time.

    python -m benchmarks.fairness --repeats 5 [--database postgresql+psycopg://…]

The others come while the 500 wait. Their longest wait is held against an ideal round robin, which knows of no models,
and against no turns at all. Jain's index is over what each owner got of the ideal: the mean time from submission to end
there, divided by the same here. Utilisation is work over the time of the places until the last job has ended, relative
to the same of an ideal that never idles but for a swap, once each WORKBENCH_RESIDENT_FIRST_S while both models are
waited for: its places run dry, and the model is loaded.

A second index is of turns: all twenty come at once, and each turn is counted until the first of them has none waiting.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.simulated import Card, Done, Task, first_come, jain, round_robin
from core.migrate import migrate
from core.store import Store

MANY, N_OTHERS = "many", 19
SHORTEST_S, LONGEST_S = 0.5, 30.0


@dataclass(frozen=True)
class Scene:
    """What is simulated: places, models, what a swap costs, and how long a job takes in the mean."""

    name: str
    n_places: int
    n_models: int
    swap_s: float
    mean_s: float
    resident_first_s: float = 20.0


@dataclass(frozen=True)
class Figures:
    """Of one run."""

    longest_s: float
    ideal_longest_s: float
    without_turns_s: float
    jain: float
    utilisation: float
    n_swaps: int
    expected_errors_s: tuple[float, ...]
    waits_s: tuple[float, ...]


SCENES = (
    Scene("1 place, 1 model", 1, 1, 0.0, 6.0),
    Scene("4 places, 1 model", 4, 1, 0.0, 6.0),
    Scene("1 place, 2 models, swap 5 s", 1, 2, 5.0, 6.0),
    Scene("4 places, 2 models, swap 5 s", 4, 2, 5.0, 2.0),
)


def tasks_of(scene: Scene, seed: int, n_many: int = 500) -> list[Task]:
    """The jobs of one run: 500 at once at the beginning, and one to eight of each other while those wait."""
    chance = random.Random(seed)
    until_s = 0.5 * n_many * scene.mean_s / scene.n_places

    def takes() -> float:
        return min(max(chance.expovariate(1 / scene.mean_s), SHORTEST_S), LONGEST_S)

    def model(n: int) -> str:
        return f"model {n % scene.n_models}"

    made = [Task(MANY, 0.0, takes(), model(0)) for _ in range(n_many)]
    for n in range(N_OTHERS):
        comes_s = chance.uniform(0, until_s)
        made += [Task(f"owner {n}", comes_s, takes(), model(n)) for _ in range(chance.randint(1, 8))]
    return made


def together(scene: Scene, seed: int, n_each: int = 8) -> list[Task]:
    """All owners at once, each with as many jobs; the one who has many goes on after the others."""
    chance = random.Random(seed)
    owners = [MANY, *(f"owner {n}" for n in range(N_OTHERS))]
    jobs = [(n, owner) for n, owner in enumerate(owners) for _ in range(n_each * (3 if owner == MANY else 1))]
    lengths = [min(max(chance.expovariate(1 / scene.mean_s), SHORTEST_S), LONGEST_S) for _ in jobs]
    return [
        Task(owner, 0.0, takes_s, f"model {n % scene.n_models}")
        for (n, owner), takes_s in zip(jobs, lengths, strict=True)
    ]


def jain_of_turns(done: Sequence[Done]) -> float:
    """Over how many jobs of each owner had begun when the first owner had none left that waited."""
    starts: dict[str, list[float]] = defaultdict(list)
    for one in done:
        starts[one.task.owner].append(one.began_s)
    until_s = min(max(each) for each in starts.values())
    return jain([sum(began <= until_s for began in each) for each in starts.values()])


def measure(store: Store, scene: Scene, tasks: Sequence[Task]) -> Figures:
    """One run, held against the ideals."""
    card = Card(store, scene.n_places, scene.swap_s, scene.resident_first_s)
    done = card.run(tasks)
    fair, here = _mean_s(round_robin(tasks, scene.n_places)), _mean_s(done)
    ended_s = max(one.ended_s for one in done)
    said = [one for one in done if one.expected_s is not None]
    return Figures(
        longest_s=_longest_of_others(done),
        ideal_longest_s=_longest_of_others(round_robin(tasks, scene.n_places)),
        without_turns_s=_longest_of_others(first_come(tasks, scene.n_places)),
        jain=jain([fair[owner] / here[owner] for owner in here]),
        utilisation=_ideal_s(scene, tasks) / ended_s,
        n_swaps=card.n_swaps,
        expected_errors_s=tuple(abs(one.waited_s - (one.expected_s or 0)) for one in said),
        waits_s=tuple(one.waited_s for one in said),
    )


def _mean_s(done: Sequence[Done]) -> dict[str, float]:
    """By owner, the mean time from the coming of a job to its end."""
    times: dict[str, list[float]] = defaultdict(list)
    for one in done:
        times[one.task.owner].append(one.ended_s - one.task.comes_s)
    return {owner: statistics.mean(each) for owner, each in times.items()}


def _longest_of_others(done: Sequence[Done]) -> float:
    return max(one.waited_s for one in done if one.task.owner != MANY)


def _ideal_s(scene: Scene, tasks: Sequence[Task]) -> float:
    """When the ideal is done: the same work without a gap, and a swap each so often while both models are wanted.

    Of as many runs as there are places, of exponential length, the longest lasts the mean times (1 + 1/2 + … + 1/n): a
    place is idle for that less the mean.
    """
    last_s = max(one.ended_s for one in round_robin(tasks, scene.n_places))
    if scene.n_models == 1:
        return last_s
    both_s = _both_wait_s(tasks, scene.n_places)
    dry_s = scene.mean_s * sum(1 / n for n in range(2, scene.n_places + 1))
    return last_s + (scene.swap_s + dry_s) * (1 + both_s / (scene.resident_first_s + scene.swap_s + dry_s))


def _both_wait_s(tasks: Sequence[Task], n_places: int) -> float:
    """For how many seconds of the ideal jobs of another model than the many's are there."""
    done = round_robin(tasks, n_places)
    others = sorted((one.task.comes_s, one.ended_s) for one in done if one.task.model != "model 0")
    total, until = 0.0, 0.0
    for began, ended in others:
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=500, help="of the one who has many; 0: turns alone")
    parser.add_argument("--database", default="", help="URL of a PostgreSQL database that is emptied; else SQLite")
    options = parser.parse_args()
    for scene in SCENES:
        found, turns = [], []
        for seed in range(options.repeats):
            with _empty(options.database) as store:
                card = Card(store, scene.n_places, scene.swap_s, scene.resident_first_s)
                turns.append(jain_of_turns(card.run(together(scene, seed))))
            if options.jobs:
                with _empty(options.database) as store:
                    found.append(measure(store, scene, tasks_of(scene, seed, options.jobs)))
        print(f"{scene.name}, n={options.repeats}", flush=True)
        _line("Jain's index of turns", turns, "")
        if found:
            _print(found)


def _print(found: Sequence[Figures]) -> None:
    _line("longest wait of the others", [one.longest_s for one in found], "s")
    _line("  of an ideal round robin", [one.ideal_longest_s for one in found], "s")
    _line("  without turns", [one.without_turns_s for one in found], "s")
    _line("Jain's index", [one.jain for one in found], "")
    _line("utilisation, of the ideal's", [one.utilisation for one in found], "")
    _line("swaps", [one.n_swaps for one in found], "")
    errors = [error for one in found for error in one.expected_errors_s]
    waits = [wait for one in found for wait in one.waits_s]
    if errors:
        print(
            f"  expected start: median error {statistics.median(errors):.1f} s of waits of "
            f"{statistics.median(waits):.1f} s in the median, n={len(errors)}",
            flush=True,
        )


def _line(name: str, values: Sequence[float], unit: str) -> None:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    low, high = min(values), max(values)
    said = f"median {statistics.median(values):8.3f} {unit}  {low:.3f} to {high:.3f}, stdev {spread:.3f}"
    print(f"  {name:32} {said}", flush=True)


@contextmanager
def _empty(url: str) -> Iterator[Store]:
    """A store with nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        database = url or f"sqlite:///{Path(folder) / 'workbench.db'}"
        migrate(database)
        store = Store.open(database)
        try:
            if url:
                _clear(store)
            yield store
        finally:
            store.close()


def _clear(store: Store) -> None:
    from sqlalchemy import text

    from core.models import Base

    with store.database.write() as connection:
        connection.execute(text("TRUNCATE " + ", ".join(table.name for table in Base.metadata.sorted_tables)))


if __name__ == "__main__":
    main()
