"""A card in simulated time: jobs come, are claimed by the store's own statement within the worker's own rule, and end.

Time is counted here and nobody sleeps. The database's clock goes on meanwhile: a job is given the age that it has in
simulated time, and how long one must have waited is asked of the database as if its clock stood where ours does.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import update

from core.expected import Occupied, Took, Waiter, expected_starts
from core.memory.needs import Needs
from core.states import State
from core.store import Store
from core.store.claims import Claim, Kept
from core.store.holdings import Holding
from core.store.jobs import NewJob
from core.store.part import JOBS
from core.store.waiting import Terms
from worker.admission import Memory, Wanted, plan

QUEUE, WORKER, KIND = "interactive", "simulated", "quick"
FOR_NOW_S = 1e9
TICK_S = 1.0  # the sweep rings again where nothing else happens
MODEL_BYTES, BUDGET_BYTES = 10_000, 15_000  # one model fits, two do not
MOST_RUNS = 50


@dataclass(frozen=True)
class Task:
    """A job to come: whose, at which second, for which model, and how long it takes."""

    owner: str
    comes_s: float
    takes_s: float
    model: str


@dataclass(frozen=True)
class Done:
    """A job that has run, and when it was expected to start when it came, where something was."""

    task: Task
    began_s: float
    ended_s: float
    expected_s: float | None = None

    @property
    def waited_s(self) -> float:
        """From its coming to its start; loading its model is part of its run."""
        return self.began_s - self.task.comes_s


@dataclass
class Card:
    """One worker with so many places, whose card has room for one model at a time.

    Args:
        swap_s: what loading a model takes.
        resident_first_s: as the setting of that name.
    """

    store: Store
    n_places: int
    swap_s: float = 0.0
    resident_first_s: float = 20.0
    n_swaps: int = 0
    now_s: float = 0.0
    _began: float = field(default_factory=time.time)
    _running: dict[str, tuple[float, Claim]] = field(default_factory=dict)
    _tasks: dict[str, Task] = field(default_factory=dict)
    _resident: str = ""
    _loaded_s: float = 0.0
    _swapped_s: float = float("-inf")
    _expected: dict[str, float] = field(default_factory=dict)
    _took: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=MOST_RUNS)))

    def run(self, tasks: Iterable[Task]) -> list[Done]:
        """Every job, in the order in which they ended."""
        coming = deque(sorted(tasks, key=lambda task: task.comes_s))
        ends: list[tuple[float, str]] = []
        done: list[Done] = []
        began: dict[str, float] = {}
        while coming or ends or len(done) < len(self._tasks):
            self.now_s = min(
                coming[0].comes_s if coming else float("inf"), ends[0][0] if ends else float("inf"), self._tick()
            )
            while coming and coming[0].comes_s <= self.now_s:
                self._submit(coming.popleft())
            while ends and ends[0][0] <= self.now_s:
                done.append(self._finish(heapq.heappop(ends)[1], began))
            while len(self._running) < self.n_places and (claim := self._claim()):
                began[claim.job_id] = self.now_s
                heapq.heappush(ends, (self._begin(claim), claim.job_id))
        return done

    def _tick(self) -> float:
        waits = len(self._tasks) > len(self._running) and len(self._running) < self.n_places
        return self.now_s + TICK_S if waits else float("inf")

    def _submit(self, task: Task) -> None:
        new = NewJob(KIND, QUEUE, task.owner, {}, model=task.model, load_key=task.model)
        job_id = self.store.submit(new)[0].id
        self._tasks[job_id] = task
        with self.store.database.write() as connection:
            aged = update(JOBS).where(JOBS.c.id == job_id)  # type: ignore[arg-type]
            connection.execute(aged.values(created_at=self._began + task.comes_s))
        self._expect(job_id)

    def _finish(self, job_id: str, began: dict[str, float]) -> Done:
        _, claim = self._running.pop(job_id)
        self.store.finish(job_id, claim.attempt, State.SUCCEEDED, {}, Kept())
        task = self._tasks[job_id]
        self._took[task.model].append(self.now_s - began[job_id])
        return Done(task, began[job_id], self.now_s, self._expected.get(job_id))

    def _claim(self) -> Claim | None:
        """What a worker's desk does, with a memory that is told here."""
        has_been_there = self.now_s - self._swapped_s >= self.resident_first_s
        patience_s = self.resident_first_s if has_been_there else FOR_NOW_S
        waiting = [
            replace(one, waits_s=self.now_s - self._tasks[one.oldest].comes_s) for one in self.store.waiting_keys(QUEUE)
        ]
        wanted = {one.load_key: _wanted(one.load_key) for one in waiting}
        made = plan(waiting, wanted, self._memory(), patience_s)
        asked_s = patience_s + (time.time() - self._began) - self.now_s
        return self.store.claim(QUEUE, WORKER, 1e6, "", Terms(tuple(made.takes), asked_s, made.before))

    def _memory(self) -> Memory:
        if not self._resident:
            return Memory(BUDGET_BYTES, BUDGET_BYTES)
        users = tuple(self._running)
        is_loading = self.now_s < self._loaded_s
        held = Holding(
            WORKER, self._resident, "card", self._resident, None, "", "", MODEL_BYTES, is_loading, users, self.now_s
        )
        return Memory(BUDGET_BYTES, BUDGET_BYTES - MODEL_BYTES, own=(held,))

    def _begin(self, claim: Claim) -> float:
        """When it ends. Whoever comes while its model is loaded waits for that."""
        if claim.load_key != self._resident:
            self.n_swaps += 1
            self._resident, self._swapped_s, self._loaded_s = claim.load_key, self.now_s, self.now_s + self.swap_s
        self._running[claim.job_id] = (self.now_s, claim)
        return max(self.now_s, self._loaded_s) + self._tasks[claim.job_id].takes_s

    def _expect(self, job_id: str) -> None:
        """Keep when a job that has just come is expected to start, by the same rule as on the Cards page."""
        if not self._took:  # nothing has been measured yet
            return
        seen = self.store.standings(MOST_RUNS)
        took = {model: Took.of(runs) for model, runs in self._took.items()}
        occupied = [
            Occupied(claim.owner, (KIND, claim.load_key), _left(took.get(claim.load_key), self.now_s - began))
            for began, claim in self._running.values()
        ]
        waiting = [
            Waiter(one.id, one.owner, (KIND, one.load_key), one.priority, one.turn, took.get(one.load_key))
            for one in seen.waiting
        ]
        starts = {one.id: one.in_s for one in expected_starts(waiting, occupied, self.n_places, most=10_000)}
        if (in_s := starts.get(job_id)) is not None and in_s > 0:
            self._expected[job_id] = in_s


def round_robin(tasks: Sequence[Task], n_places: int) -> list[Done]:
    """The ideal that knows of no models: whoever was served longest ago is next, with their oldest job."""
    return _played(tasks, n_places, by_owner=True)


def first_come(tasks: Sequence[Task], n_places: int) -> list[Done]:
    """What it would be without turns."""
    return _played(tasks, n_places, by_owner=False)


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has all."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


def _played(tasks: Sequence[Task], n_places: int, *, by_owner: bool) -> list[Done]:
    coming = deque(enumerate(sorted(tasks, key=lambda task: task.comes_s)))
    queues: dict[str, deque[tuple[int, Task]]] = defaultdict(deque)
    turns: Counter[str] = Counter()
    ends: list[tuple[float, int, Done]] = []
    done: list[Done] = []
    while coming or ends:
        now_s = min(coming[0][1].comes_s if coming else float("inf"), ends[0][0] if ends else float("inf"))
        while coming and coming[0][1].comes_s <= now_s:
            n, task = coming.popleft()
            queues[task.owner if by_owner else ""].append((n, task))
        while ends and ends[0][0] <= now_s:
            done.append(heapq.heappop(ends)[2])
        while len(ends) < n_places and (waiting := [name for name, queue in queues.items() if queue]):
            name = min(waiting, key=lambda each: (turns[each], queues[each][0][0]))
            n, task = queues[name].popleft()
            turns[name] = max(turns.values(), default=0) + 1
            heapq.heappush(ends, (now_s + task.takes_s, n, Done(task, now_s, now_s + task.takes_s)))
    return done


def _left(took: Took | None, since_s: float) -> float | None:
    return took.left_s(since_s) if took else None


def _wanted(model: str) -> Wanted:
    return Wanted(model, model, "", Needs(1, MODEL_BYTES, 0, MODEL_BYTES, 1, 0))
